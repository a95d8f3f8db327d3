"""A real browser, headless, that reaches this machine alone, and what a page did in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Starts Chromium; fails the test where there is none."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("This test needs Chromium. On Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                # In a container the tests run as root, where Chromium has no sandbox of its own.
                "--no-sandbox",
                "--disable-background-networking",
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page in a browser.

    Attributes:
        console: What it or the browser wrote on the console; a breach of the content policy is written there.
        requests: Every address that was asked for.
        failed: Those that could not be loaded; what the browser itself gave up, as the page was left, could have been.
    """

    page: "Page"
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def style(self, selector: str, name: str) -> str:
        """Returns a computed style of the first element that the selector finds."""
        return str(self.page.evaluate("([s, n]) => getComputedStyle(document.querySelector(s))[n]", [selector, name]))


@contextmanager
def visit(browser: "Browser", address: str, *, width: str = "desktop", scheme: str = "light") -> Iterator[Visit]:
    """Opens a page and waits until all of it is loaded.

    Args:
        browser: Where.
        address: What.
        width: One of `WIDTHS`.
        scheme: The colors that the visitor prefers: `light` or `dark`.
    """
    x, y = WIDTHS[width]
    context = browser.new_context(viewport={"width": x, "height": y}, color_scheme=scheme)
    visited = Visit(context.new_page())
    visited.page.on("console", lambda message: visited.console.append(message.text))
    visited.page.on("pageerror", lambda error: visited.console.append(str(error)))
    visited.page.on("dialog", lambda dialog: visited.console.append(f"dialog: {dialog.message}"))
    visited.page.on("request", lambda request: visited.requests.append(request.url))
    visited.page.on("requestfailed", lambda request: _note_failure(request, visited))
    visited.page.goto(address, wait_until="load")
    yield visited
    context.close()


def _note_failure(request: "Request", visited: Visit) -> None:
    if request.failure != "net::ERR_ABORTED":
        visited.failed.append(request.url)
