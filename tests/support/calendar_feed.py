"""A real https server for an iCalendar, at an address that holds a token."""

import http.server
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import trustme
from tocsin.directory import ICalendarError
from tocsin.sources.calendar_child import read_content
from tocsin.sources.calendar_reader import CalendarCopy

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""The networks that must be allowed to fetch from this server."""
TOKEN = "token-1f2e3d"


def one_event(person: str) -> str:
    """An iCalendar with one event of a year, which names that person."""
    event = f"UID:1\nDTSTART:20260601T000000Z\nDTEND:20270601T000000Z\nSUMMARY:{person}"
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"


async def read_in_process(octets: bytes, zone: str, years: Iterable[int]) -> CalendarCopy:
    """`read_calendar` without its child process, for tests that read many calendars."""
    content = read_content(octets, zone, years)
    if content.problem is not None:
        raise ICalendarError(content.problem)
    return CalendarCopy(octets, zone, content)


class FeedServer:
    """An https server. `response` is its next response: (status, body, headers); it waits while `released` is clear.

    `paths` are the paths of the requests so far, and `ca` is the file of the authority that signed its certificate.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
        self.response: tuple[int, bytes, dict[str, str]] = (200, one_event("ana").encode(), {})
        self.paths: list[str] = []
        self.released = threading.Event()
        self.released.set()
        feed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                feed.paths.append(self.path)
                feed.released.wait(30)
                moved = self.path.startswith("/moved")
                status, body, headers = (302, b"", {"Location": "/new.ics"}) if moved else feed.response
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}/{TOKEN}.ics"


@contextmanager
def serve_feed(folder: Path) -> Iterator[FeedServer]:
    """Run the server inside the with block."""
    feed = FeedServer(folder)
    thread = threading.Thread(target=feed.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield feed
    finally:
        feed.released.set()
        feed.server.shutdown()
        thread.join()
        feed.server.server_close()
