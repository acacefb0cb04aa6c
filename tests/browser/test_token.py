# SPDX-License-Identifier: MIT
"""The page where tokens are wanted: the token comes with the address, once, and the page says when it has ended."""

import pytest

from lib.wait import eventually
from page import seen_once


@pytest.fixture
def someone(guarded_stack):
    user = guarded_stack.new_users(1)[0]
    task = guarded_stack.new_tasks([user])[0]
    mine = {"Authorization": f"Bearer {guarded_stack.issuer.token(user)}"}

    def change():
        assert guarded_stack.client().patch(f"/tasks/{task}", {"status": 1}, headers=mine).status == 200

    return user, change


def address(stack, user, token=None):
    return f"{stack.http}/index.html?user_id={user}" + (f"#token={token}" if token else "")


def test_the_token_comes_once(guarded_stack, browser, someone):
    user, change = someone
    tab = browser().open(address(guarded_stack, user, guarded_stack.issuer.token(user))).live()
    assert tab.driver.current_url == address(guarded_stack, user)
    change()
    seen_once(tab, [("task.completed", "test")])
    tab.driver.refresh()
    tab.live()
    assert len(tab.tasks()) == 1
    assert not any("token=" in url or "eyJ" in url for url in browser().requests()), "it is in no request's address"
    other = browser().open(address(guarded_stack, user))
    eventually(lambda: other.text("#page-error").startswith("This service wants to know"), 60, "another tab has no token")


def test_the_end_is_told_and_a_fresh_token_goes_on(guarded_stack, browser, someone):
    user, change = someone
    tab = browser().open(address(guarded_stack, user, guarded_stack.issuer.token(user, ttl=20))).live()
    eventually(lambda: tab.text("#page-error").startswith("Your link has expired"), 60, "the end is told")
    assert tab.state == "offline"
    change()
    before = tab.same_document()
    tab.go(address(guarded_stack, user, guarded_stack.issuer.token(user)))
    tab.live()
    assert tab.same_document() == before
    seen_once(tab, [("task.completed", "test")])
    assert tab.text("#page-error") == ""


def test_another_users_page(guarded_stack, browser, someone):
    user, _ = someone
    stranger = guarded_stack.issuer.token(guarded_stack.new_users(1)[0])
    tab = browser("fr-FR").open(address(guarded_stack, user, stranger))
    eventually(lambda: tab.text("#page-error").startswith("Votre lien est celui d’un autre"), 60, "it says so")
    assert tab.tasks() == []
