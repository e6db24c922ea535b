"""How `python -m tocsin_local stop|start|kill PART` reaches the stack that runs: a small HTTP server on loopback.

Its port and its token lie in the state, readable by its owner only; `tocsin_local.command` is its client.
"""

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tocsin_local.errors import LocalError
from tocsin_local.ports import LOOPBACK
from tocsin_local.state import State

Commands = Mapping[str, Callable[[str], None]]


class Control:
    """Serves `POST /COMMAND/PART` in a thread a request, so that a long `start` does not hold up a `kill`."""

    def __init__(self, state: State, commands: Commands) -> None:
        token = secrets.token_urlsafe(24)
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(commands, token))
        threading.Thread(target=self._server.serve_forever, name="control", daemon=True).start()
        state.write_control({"port": self._server.server_port, "token": token})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(commands: Commands, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
                self._answer(401, "")
                return
            command, _, part = self.path.strip("/").partition("/")
            try:
                commands[command](part)
            except (LocalError, KeyError) as error:
                self._answer(409, str(error))
            else:
                self._answer(200, "")

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """What happens is told by the stack itself."""

    return Handler
