# SPDX-License-Identifier: MIT
"""A browser for each language, started when first needed; tabs end with their test. What they and the stacks say to each
other is judged by openapi.yaml and asyncapi.yaml."""

import pytest

from lib.tap import guarded_stack, judged, stack
from page import Browser

__all__ = ["guarded_stack", "judged", "stack"]  # fixtures


@pytest.fixture(scope="session")
def browsers():
    started = {}
    yield started
    for browser in started.values():
        browser.quit()


@pytest.fixture
def browser(browsers):
    """browser("fr-FR") is the one of that language."""
    used = set()

    def of(language="en-US"):
        if language not in browsers:
            browsers[language] = Browser(language)
        used.add(language)
        return browsers[language]

    yield of
    for language in used:
        browsers[language].close_tabs()


@pytest.fixture
def visit(stack, browser):
    """visit(user) is a tab in which that user's page is live."""

    def open_one(user=None, language="en-US", live=True, path="/index.html", **look):
        query = "" if user is None else f"?user_id={user}"
        tab = browser(language).open(stack.http + path + query, **look)
        return tab.live() if live and user is not None else tab

    return open_one
