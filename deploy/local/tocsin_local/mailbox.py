"""The mails that the sink accepted: parsed, and stored in a file that outlives the process."""

import email
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any

import orjson

Message = dict[str, Any]


class Mailbox:
    """All mails, oldest first. Each is written to the file before the sender gets a reply."""

    def __init__(self, path: Path) -> None:
        path.touch(exist_ok=True)
        whole = _whole_lines(path)
        self._mails = [orjson.Fragment(line) for line in whole.splitlines()]
        self._file = path.open("ab", buffering=0)
        self._file.truncate(len(whole))

    def add(self, message: Message) -> None:
        line = orjson.dumps(message)
        self._file.write(line + b"\n")
        self._mails.append(orjson.Fragment(line))

    def clear(self) -> None:
        self._file.truncate(0)
        self._mails.clear()

    def json(self) -> bytes:
        return orjson.dumps(self._mails)


def parse_message(content: bytes, *, mail_from: str, rcpt_to: Sequence[str]) -> Message:
    """An item of `GET /messages`: headers decoded, bodies as text, None if there is no such part."""
    message = email.message_from_bytes(content, policy=modern)
    assert isinstance(message, EmailMessage)
    return {
        "id": uuid.uuid4().hex,
        "received_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "mail_from": mail_from,
        "rcpt_to": list(rcpt_to),
        "subject": _clean(message.get("Subject", "")),
        "headers": [[name, _clean(value)] for name, value in message.items()],
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
    }


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    if part is None:
        return None
    try:
        content = part.get_content()
    except LookupError:
        part.set_param("charset", "latin-1")  # the named charset is unknown
        content = part.get_content()
    return _clean(content).replace("\r\n", "\n")


def _clean(text: object) -> str:
    """Replace lone surrogates, which stand for bytes that are not UTF-8: JSON cannot carry them."""
    return str(text).encode("utf-8", "replace").decode()


def _whole_lines(path: Path) -> bytes:
    """A sink that is killed while writing leaves half a line, of a mail without a reply."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]
