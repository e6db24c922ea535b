"""A calendar on a real https server, at an address that holds a token."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

TOKEN = "token-1f2e3d"


def calendar(person: str) -> str:
    event = f"UID:1\nDTSTART:20260601T000000Z\nDTEND:20270601T000000Z\nSUMMARY:{person}"
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"


class Feed:
    """An https server; `answer` is what it gives next: (status, body, headers)."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
        self.answer: tuple[int, bytes, dict[str, str]] = (200, calendar("ana").encode(), {})
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        feed = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                feed.asked.append(self.path)
                feed.answers.wait(30)
                moved = self.path.startswith("/moved")
                status, body, headers = (302, b"", {"Location": "/new.ics"}) if moved else feed.answer
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
def fed(folder: Path) -> Iterator[Feed]:
    """The feed, served inside the with block."""
    served = Feed(folder)
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.answers.set()
        served.server.shutdown()
        thread.join()
        served.server.server_close()
