"""Renders a mail of each kind in a real browser, for docs/mail.md: `make pictures` writes docs/mail/*.png, and
the digests of pages and pictures to digests.txt.

The browser is driven by its DevTools protocol over a pipe. A mail that is wider than its screen is an error.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tocsin.business_time import load_zone

from support.mail_samples import SAMPLES, render_digest_sample
from support.small_png import reduced

FOLDER: Final = Path(__file__).parents[2] / "docs" / "mail"
DIGESTS: Final = FOLDER / "digests.txt"
LARGEST: Final = 120_000
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
QUIET: Final = ("background-networking", "component-update", "extensions", "gpu", "lcd-text", "quic", "sync")


@dataclass(frozen=True)
class Screen:
    """A screen; its width is in CSS pixels."""

    name: str
    width: int
    scheme: str
    mobile: bool
    scale: float


SCREENS: Final = (Screen("desktop", 680, "light", False, 1), Screen("phone", 320, "dark", True, 2))


class Browser:
    """One page of a headless browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._rest = b""
        self._last = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    _session: str | None = None

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self._last += 1
        request: dict[str, object] = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            request["sessionId"] = self._session
        os.write(self._commands, json.dumps(request).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def picture(self, html: str, screen: Screen) -> bytes:
        """The whole page as a PNG."""
        metrics = {"width": screen.width, "deviceScaleFactor": screen.scale, "mobile": screen.mobile}
        scheme = {"name": "prefers-color-scheme", "value": screen.scheme}
        self.call("Emulation.setDeviceMetricsOverride", height=100, **metrics)
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        frame = self.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self.call("Page.setDocumentContent", frameId=frame, html=html)
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        if size["width"] > screen.width:
            raise RuntimeError(f"the mail is {size['width']} pixels wide on a {screen.name} of {screen.width}")
        area = {"x": 0, "y": 0, "width": screen.width, "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=area)
        return base64.b64decode(shot["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._answers, 1 << 20)
            if not read:
                raise RuntimeError("the browser exited")
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, closed at the end of the block."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        sys.exit(f"no browser found: install one of {', '.join(BROWSERS)}")
    our_answers, their_answers = os.pipe()
    their_commands, our_commands = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [
            program,
            "--headless",
            "--no-sandbox",
            "--no-first-run",
            "--hide-scrollbars",
            "--remote-debugging-pipe",
        ]
        arguments += [f"--user-data-dir={profile}", *(f"--disable-{name}" for name in QUIET)]
        # The browser reads descriptor 3 and writes descriptor 4.
        plumbing = f'exec "$@" 3<&{their_commands} 4>&{their_answers}'
        process = subprocess.Popen(
            ["bash", "-c", plumbing, "browser", *arguments],
            pass_fds=(their_commands, their_answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(their_commands)
        os.close(their_answers)
        try:
            yield Browser(our_commands, our_answers)
        finally:
            process.terminate()
            process.wait(20)
            os.close(our_commands)
            os.close(our_answers)


def pages() -> dict[str, str]:
    """The HTML of a mail of each kind."""
    zone = load_zone("America/New_York")
    mails = {kind: sample.render(zone) for kind, sample in SAMPLES.items()} | {"digest": render_digest_sample(zone)}
    return {kind: mail.html for kind, mail in mails.items()}


def render_digests() -> str:
    """A line for each picture: the digest of its page, its own digest, its name."""
    lines = []
    for kind, html in pages().items():
        for name in (f"{kind}-{screen.name}.png" for screen in SCREENS):
            hashes = (hashlib.sha256(content).hexdigest() for content in (html.encode(), (FOLDER / name).read_bytes()))
            lines.append(f"{' '.join(hashes)} {name}\n")
    return "".join(lines)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with browser() as page:
        for kind, html in pages().items():
            for screen in SCREENS:
                picture = reduced(page.picture(html, screen))
                if len(picture) > LARGEST:
                    raise RuntimeError(f"{kind} on a {screen.name} has {len(picture)} bytes")
                (FOLDER / f"{kind}-{screen.name}.png").write_bytes(picture)
    DIGESTS.write_text(render_digests())


if __name__ == "__main__":
    main()
