"""A browser for the tests of the pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from capsules.generate import ROOT

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("Chromium is missing: make setup-web installs it")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def editor_server():
    """The address of the parameter editor, served on a port of its own."""
    command = [sys.executable, str(ROOT / "params_app" / "serve.py"), "0", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
    process.terminate()
    process.wait(10)


class Seen:
    """What a page did while it was open: what it said on the console, and what it asked for."""

    def __init__(self, page):
        self.console, self.requests = [], []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture(scope="module")
def tab(browser):
    """One page for many tests, which load it anew, and what was Seen: a new window takes three times as long."""
    context = browser.new_context()
    page = context.new_page()
    yield page, Seen(page)
    context.close()


@pytest.fixture
def visit(browser):
    """Opens a file or an address; gives the page and what was Seen of it."""
    contexts = []

    def open_page(file, **options):
        # Axe runs as a script of its own, which the page's security policy would refuse.
        contexts.append(browser.new_context(bypass_csp=options.pop("bypass_csp", False), **options))
        page = contexts[-1].new_page()
        seen = Seen(page)
        page.goto(file if isinstance(file, str) else file.as_uri())
        return page, seen

    yield open_page
    for context in contexts:
        context.close()
