"""A real http or https server on loopback that receives webhooks, and responds as a test says."""

import http.server
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme


@dataclass(frozen=True)
class ReceivedWebhook:
    """A request: its headers with lower-case names, and its body."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class WebhookResponse:
    """A response. `hangs`: it does not come while the receiver is not released."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False


class WebhookReceiver:
    """Receives webhooks. `responses` are used up in order, then every response is `response`.

    Before it responds, it waits for `released`.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.received: list[ReceivedWebhook] = []
        self.response = WebhookResponse()
        self.responses: list[WebhookResponse] = []
        self.released = threading.Event()
        receiver, lock = self, threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with lock:
                    receiver.received.append(ReceivedWebhook(self.path, headers, body))
                    response = receiver.responses.pop(0) if receiver.responses else receiver.response
                if response.hangs:
                    receiver.released.wait(60)
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, request: object, client_address: object) -> None:
                """The client went away, as it may."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://localhost:{self.server.server_port}/hook"

    @property
    def ids(self) -> list[str]:
        """The webhook-ids of all requests, in order."""
        return [webhook.id for webhook in list(self.received)]


@contextmanager
def receive_webhooks(authority: trustme.CA | None = None) -> Iterator[WebhookReceiver]:
    """Run a receiver inside the with block: https with a certificate of the authority, or http."""
    tls = None
    if authority is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
    receiver = WebhookReceiver(tls)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def trusted_authority(folder: Path) -> tuple[trustme.CA, Path]:
    """A certificate authority, and the file with its certificate for SSL_CERT_FILE."""
    authority, file = trustme.CA(), folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return authority, file
