# SPDX-License-Identifier: MIT
"""The page by https and wss, in a browser that knows the certificate."""

import base64
import hashlib
import subprocess

import pytest

from lib.http import Http
from page import Browser, seen_once


def key_of(certificate):
    """The hash of its public key, as Chromium wants it."""
    public = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], capture_output=True, check=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.stdout, capture_output=True, check=True)
    return base64.b64encode(hashlib.sha256(der.stdout).digest()).decode()


@pytest.fixture
def knowing(tls_stack):
    """Chromium takes CAs only from the system's or the user's store, which tests must not change. So it is told to
    accept this one key; curl and Python's ssl check the CA (tests/system/test_tls.py)."""
    browser = Browser("en-US", f"--ignore-certificate-errors-spki-list={key_of(tls_stack.run_dir / 'tls' / 'server.pem')}")
    yield browser
    browser.quit()


def test_the_page_by_https(tls_stack, knowing):
    user = tls_stack.new_users(1)[0]
    secure = Http(tls_stack.endpoints["https"], trust=tls_stack.endpoints["tls_ca"])
    # The address that people type leads to https.
    tab = knowing.open(f"http://localhost:{tls_stack.port('PORT')}/index.html?user_id={user}").live()
    assert tab.driver.current_url == f"{tls_stack.endpoints['https']}/index.html?user_id={user}"
    assert secure.post("/tasks", {"user_id": user, "content": "from elsewhere"}).status == 201
    seen_once(tab, [("task.created", "from elsewhere")])
    tab.write("typed here")
    seen_once(tab, [("task.created", "from elsewhere"), ("task.created", "typed here")])
    assert tab.run("return window.isSecureContext && window.witness.violations.length === 0")
    asked = [url for url in knowing.requests() if url.startswith(("http:", "ws:"))]
    assert asked == [f"http://localhost:{tls_stack.port('PORT')}/index.html?user_id={user}"], "everything else is encrypted"
