"""The search for secrets finds them, however they are written."""

import base64
from collections.abc import Callable
from urllib.parse import quote

import orjson
import pytest
from support.secret_search import find_secrets

SECRET = 'pass/word+"é&=<7'


def in_base64(before: str, after: str) -> Callable[[str], str]:
    return lambda text: base64.b64encode(f"{before}{text}{after}".encode()).decode()


@pytest.mark.parametrize(
    "write",
    [
        str,
        quote,
        lambda text: quote(text, safe=""),
        lambda text: orjson.dumps({"a": text}).decode(),
        lambda text: text.encode().hex(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        *(in_base64("x" * before, "y" * after) for before in range(3) for after in range(3)),
    ],
)
def test_it_is_found(write: Callable[[str], str]) -> None:
    assert find_secrets({"it": SECRET}, [("there", f"before {write(SECRET)} after".encode())])
    assert not find_secrets({"it": SECRET}, [("there", f"before {write('pass/word+é&=<8')} after".encode())])
