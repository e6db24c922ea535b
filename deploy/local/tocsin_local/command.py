"""`python -m tocsin_local stop|start|kill PART`: asks the stack that runs, and waits for its answer."""

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tocsin_local.errors import LocalError
from tocsin_local.paths import control_file
from tocsin_local.ports import LOOPBACK


def send(state: Path, command: str, part: str) -> None:
    """Returns when the running stack has done it. Raises LocalError with its answer, or when none runs on `state`."""
    try:
        control = json.loads(control_file(state).read_text())
        connection = HTTPConnection(LOOPBACK, control["port"])
        headers = {"Authorization": f"Bearer {control['token']}"}
        connection.request("POST", f"/{command}/{part}", headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, HTTPException) as error:
        raise LocalError(f"no stack runs on {state}: start one with `make run`.") from error
    connection.close()
    if answer.status != 200:
        raise LocalError(text)
