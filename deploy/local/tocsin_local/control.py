"""`python -m tocsin_local stop|start|kill PART`: a small HTTP server in the running stack, and its client.

The server listens on loopback. Its port and its token are in control.json in the state, readable by the owner only.
"""

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tocsin_local.atomic_file import write_atomically
from tocsin_local.errors import LocalError
from tocsin_local.loopback import LOOPBACK

CONTROL_FILE = "control.json"
Commands = Mapping[str, Callable[[str], None]]


def send_command(state: Path, *, command: str, part: str) -> None:
    """Return when the stack on `state` has executed the command. Raises LocalError if it cannot, or if none runs."""
    try:
        control = json.loads((state / CONTROL_FILE).read_text())
        connection = HTTPConnection(LOOPBACK, control["port"])
        connection.request("POST", f"/{command}/{part}", headers={"Authorization": f"Bearer {control['token']}"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
    except (OSError, HTTPException) as error:
        raise LocalError(f"no stack runs on {state}: start one with `make run`.") from error
    if response.status != 200:
        raise LocalError(text)


class ControlServer:
    """Serves `POST /COMMAND/PART`, one thread per request: a slow `start` does not delay a `kill`."""

    def __init__(self, state: Path, commands: Commands) -> None:
        token = secrets.token_urlsafe(24)
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(commands, token))
        threading.Thread(target=self._server.serve_forever, name="control", daemon=True).start()
        write_atomically(state / CONTROL_FILE, json.dumps({"port": self._server.server_port, "token": token}).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(commands: Commands, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
                self._respond(401, "")
                return
            command, _, part = self.path.strip("/").partition("/")
            try:
                commands[command](part)
            except (LocalError, KeyError) as error:
                self._respond(409, str(error))
            else:
                self._respond(200, "")

        def _respond(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """The stack itself reports what happens."""

    return Handler
