"""Pages of the board in a real browser (Debian's chromium): what they load, what they report, and what axe finds."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright, expect

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
MISSING: Final = "chromium is not installed, so no page is tested in a browser (Debian: apt-get install chromium)"
SCHEMES: Final = ("light", "dark")
DESKTOP, PHONE, SMALL_PHONE = 1280, 390, 360
"""Widths of screens in CSS pixels."""
HEIGHT: Final = 844
WAIT_MS: Final = 60_000
expect.set_options(timeout=WAIT_MS)


def find_chromium() -> str | None:
    """The path of the browser; None if it is not installed."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser, closed at the end of the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


class BoardPage:
    """A page of the board at `url`. `faults` are what the browser reports and what came from elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self._url = url
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("requestfailed", self._on_failure)

    async def open(self, path: str) -> None:
        """Opens the page at this path of the board."""
        await self.page.goto(f"{self._url}{path}")

    @property
    def path(self) -> str:
        """The path and the query of the present address."""
        return self.page.url.removeprefix(self._url)

    async def violations(self) -> str:
        """What axe finds, in words; empty if it finds nothing."""
        found = await Axe().run(self.page)
        return "" if found.violations_count == 0 else found.generate_report()

    async def overflow(self) -> int:
        """How many pixels the page is wider than its screen."""
        width: int = await self.page.evaluate(
            "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"
        )
        return width

    async def focused(self) -> str:
        """The text, or the name, of the element that has the focus."""
        text: str = await self.page.evaluate(
            "(({innerText, name, ariaLabel, tagName}) => (ariaLabel || innerText || name || tagName).trim())"
            "(document.activeElement)"
        )
        return text

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._url}/", "data:")):
            self.faults.append(f"loaded from elsewhere: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left ends its event stream
            self.faults.append(f"{request.failure}: {request.url}")


@asynccontextmanager
async def board_page(
    browser: Browser,
    url: str,
    key: str | None,
    *,
    width: int = DESKTOP,
    scheme: str = "light",
    scale: float = 1,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[BoardPage]:
    """A blank page in a fresh session: signed in with `key`, or signed out. Fails at the end if there were faults.

    `headers` are added to every request, as a proxy adds them.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=scale,
        is_mobile=width <= PHONE,
        has_touch=width <= PHONE,
        reduced_motion="reduce",
        locale="en-GB",
        extra_http_headers=headers or {},
    )
    try:
        if key is not None:
            signed_in = await context.request.post(
                f"{url}/login", form={"key": key, "next": "/login"}, headers={"Origin": url}
            )
            assert signed_in.ok, await signed_in.text()
        page = BoardPage(await context.new_page(), url)
        yield page
        assert page.faults == [], "\n".join(page.faults)
    finally:
        await context.close()
