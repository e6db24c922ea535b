"""JSON parsing: invalid JSON, duplicate keys, huge integers, and nesting that is too deep."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.json_parsing import (
    MAX_DEPTH,
    DuplicateKey,
    HugeInteger,
    parse_bounded_json,
    parse_json,
)
from intake.errors import InvalidJsonError, JsonDepthError

TEXT = st.text(st.characters(exclude_characters="\\", codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b'{"a":}', b"\xef\xbb\xbf{}", b"1 2", b"'a'"]
)
def test_invalid_json_is_rejected(raw: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        parse_bounded_json(raw)


@pytest.mark.parametrize(
    ("raw", "field"),
    [(b"[" * 33 + b"]" * 33, "[0]"), (b'{"a":' * 40 + b"1" + b"}" * 40, "a")],
)
def test_a_value_that_is_nested_too_deeply_names_its_outermost_field(raw: bytes, field: str) -> None:
    with pytest.raises(JsonDepthError, match="deep") as refused:
        parse_bounded_json(raw)
    assert refused.value.field == field
    assert len(str(refused.value)) < 200


def test_a_model_can_name_the_field_of_a_duplicate_key_or_a_huge_integer() -> None:
    raw = b'[{"a": 1, "a": 2}, ' + b"9" * 5000 + b', "\\u0000"]'
    assert parse_json(raw) == parse_bounded_json(raw) == [DuplicateKey("a"), HugeInteger(), "\x00"]
    assert parse_json(b"[" * 100 + b"]" * 100)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000])
def test_json_that_is_too_deep_to_parse_says_so(raw: bytes) -> None:
    with pytest.raises(InvalidJsonError, match="deep"):
        parse_json(raw)


def test_the_deepest_allowed_value_is_accepted() -> None:
    assert parse_bounded_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@given(VALUES)
def test_a_value_is_parsed_as_it_was_sent(value: object) -> None:
    assert parse_bounded_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
def test_any_bytes_give_a_value_or_one_of_the_two_errors(raw: bytes) -> None:
    with contextlib.suppress(InvalidJsonError, JsonDepthError):
        parse_bounded_json(raw)
