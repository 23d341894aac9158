"""Chromium without a window, kept off the network, and a folder for what it saw."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tracking_fixtures import template

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["template"]

LOCAL = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_MS = 60_000  # a machine with much else to do


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that ORRERY_CHROMIUM names, or one that is installed."""
    named = os.environ.get("ORRERY_CHROMIUM")
    if named is not None:
        assert shutil.which(named), f"ORRERY_CHROMIUM names {named}, which is no program"
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium, or set ORRERY_CHROMIUM to a Chrome")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make install"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address with some context options; whatever lies beyond this machine cannot be reached."""
    contexts = []

    def opened(address: str, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        context.route(
            "**/*", lambda route: route.continue_() if is_local(route.request.url) else route.abort()
        )
        page = context.new_page()
        page.problems = []
        page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else None)
        page.on("request", lambda sent: page.problems.append(sent.url) if not is_local(sent.url) else None)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()


def is_local(address: str) -> bool:
    return address.startswith(LOCAL)


@pytest.fixture(scope="session")
def screenshots(repository: Path) -> Path:
    folder = repository / "reports" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
