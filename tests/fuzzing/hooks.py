"""What Schemathesis must be told of our APIs beside their documents."""

from typing import Any
from uuid import uuid4

import schemathesis

KEY = "Idempotency-Key"
LONGEST = 255


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """An Idempotency-Key belongs to one request: a valid one is made anew for each."""
    if case.headers is not None and _valid(case.headers.get(KEY)):
        case.headers[KEY] = str(uuid4())


def _valid(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= LONGEST and key.isascii() and bool(key.strip())


@schemathesis.serializer("message/rfc822")
def message(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """A mail is text, or, where it should not be one, whatever it is."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
