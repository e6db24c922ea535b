"""Only a delivery with a valid secret or signature over its raw bytes is genuine, for every scheme."""

import hmac
import json
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.auth_failure import auth_failure
from intake.domain.webhooks.config.auth import Auth, Signature
from support.webhook_recordings import PROVIDERS, SECRET, auth_headers, shipped, story

NOW = datetime(2026, 6, 8, 12, 0, 10, tzinfo=UTC)
SIGNING = ("connectwise", "autotask", "zendesk", "jira")
VECTOR = (
    b'{"Action":"Create","Guid":"a1","EntityType":"Ticket","Id":7,"Fields":{},'
    b'"EventTime":"2026-01-05T14:57:50Z","SequenceNumber":1,"PersonID":9}'
)


def is_genuine(
    provider: str, headers: dict[str, str], body: bytes, secrets: tuple[bytes, ...] = (SECRET,), now: datetime = NOW
) -> bool:
    integration = shipped(provider)
    return ADAPTERS[integration.adapter].is_genuine(integration.auth, secrets, headers, body, now)


def headers_of(provider: str, body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return dict(auth_headers(provider, body, secret, at=NOW))


def test_the_documented_example_of_autotask() -> None:
    assert is_genuine("autotask", {"x-hook-signature": "sha1=yCNAsmhj2ixE6Zn373wmYKboP9U="}, VECTOR)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_configured_secret_is_valid(provider: str) -> None:
    for body in story(provider):
        assert is_genuine(provider, headers_of(provider, body), body)
        assert is_genuine(provider, headers_of(provider, body), body, (b"the new one", SECRET))
        assert is_genuine(provider, headers_of(provider, body), body, (SECRET, b"the new one"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_secret_is_compared_in_constant_time(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = story(provider)[0]
    compared = Mock(wraps=hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", compared)
    for secrets in ((SECRET, b"another"), (b"another", SECRET), (b"another", b"a third")):
        assert is_genuine(provider, headers_of(provider, body), body, secrets) == (SECRET in secrets)
    assert compared.call_count == 6


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_missing_or_empty_secret_is_invalid(provider: str) -> None:
    body = story(provider)[0]
    assert not is_genuine(provider, headers_of(provider, body, b"another"), body)
    assert not is_genuine(provider, headers_of(provider, body), body, ())
    assert not is_genuine(provider, headers_of(provider, body, b""), body, (b"",))
    assert not is_genuine(provider, {}, body)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_reason_of_a_failure(provider: str) -> None:
    body = story(provider)[0]
    wrong, old = headers_of(provider, body, b"another"), NOW + timedelta(minutes=6)
    assert auth_failure(shipped(provider), (), wrong, NOW) == "no_secret"
    assert auth_failure(shipped(provider), (SECRET,), wrong, NOW) == "wrong"
    assert auth_failure(shipped(provider), (SECRET,), wrong, old) == (
        "stale_timestamp" if provider == "zendesk" else "wrong"
    )
    for missing in wrong:
        left = {name: value for name, value in wrong.items() if name != missing}
        assert auth_failure(shipped(provider), (SECRET,), left, NOW) == "header_missing"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_truncated_doubled_or_non_ascii_value_is_invalid(provider: str) -> None:
    body = story(provider)[0]
    whole = headers_of(provider, body)
    for name, value in whole.items():
        broken = [value[:-1], value[1:], "", " ", f"{value},{value}", f"{value}, {value}", value + "é", "é", "\udcff"]
        for wrong in (*broken, value[:-2] + "é=", value.swapcase() if name != "x-hub-signature" else "x"):
            assert not is_genuine(provider, whole | {name: wrong}, body), wrong
        assert not is_genuine(provider, {other: whole[other] for other in whole if other != name}, body)


@pytest.mark.parametrize("provider", SIGNING)
def test_a_changed_body_has_another_signature(provider: str) -> None:
    body = story(provider)[0]
    headers = headers_of(provider, body)
    rewritten = json.dumps(json.loads(body)).encode()
    assert json.loads(rewritten) == json.loads(body)
    for other in (rewritten, body + b"\n", body[:-1], b"\xef\xbb\xbf" + body, b"", body.replace(b"1", b"2", 1)):
        assert not is_genuine(provider, headers, other)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(value=st.text(max_size=60), name=st.sampled_from(["prefix", "whole"]))
def test_any_text_in_a_header_is_valid_or_not_and_never_an_error(provider: str, value: str, name: str) -> None:
    body = story(provider)[0]
    headers = headers_of(provider, body)
    for header in headers:
        wrong = headers[header].partition(" ")[0] + " " + value if name == "prefix" else value
        assert not is_genuine(provider, headers | {header: wrong}, body) or wrong == headers[header]


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24 * 400, -60 * 24 * 400])
def test_a_signed_timestamp_must_be_recent(minutes: int) -> None:
    body = story("zendesk")[0]
    headers = dict(auth_headers("zendesk", body, at=NOW + timedelta(minutes=minutes)))
    assert not is_genuine("zendesk", headers, body)
    assert is_genuine("zendesk", headers, body, now=NOW + timedelta(minutes=minutes + 4))


@pytest.mark.parametrize("stamp", ["", "soon", "99999999999999999999", "0001-01-01T00:00:00Z", "９", "2026-06-08"])
def test_a_value_that_is_not_a_timestamp_is_invalid(stamp: str) -> None:
    body = story("zendesk")[0]
    headers = headers_of("zendesk", body) | {"x-zendesk-webhook-signature-timestamp": stamp}
    assert not is_genuine("zendesk", headers, body)


def test_unix_timestamps_and_upper_case_hexadecimal_are_valid() -> None:
    auth = Auth(
        signature=Signature(
            header="X-Sig", algorithm="sha512", signed=("timestamp", "body"), separator=".", timestamp_header="X-At"
        )
    )
    adapter = ADAPTERS["generic"]
    body, stamp = b"{}", str(int(NOW.timestamp()))
    code = hmac.digest(SECRET, stamp.encode() + b"." + body, "sha512").hex()
    for given_code in (code, code.upper()):
        assert adapter.is_genuine(auth, [SECRET], {"x-sig": given_code, "x-at": stamp}, body, NOW)
    assert not adapter.is_genuine(auth, [SECRET], {"x-sig": code, "x-at": str(int(stamp) - 1000)}, body, NOW)


def test_halopsa_accepts_a_bearer_token_or_basic_with_the_configured_user() -> None:
    body, adapter = story("halopsa")[0], ADAPTERS["halopsa"]
    assert adapter.is_genuine(Auth(), [SECRET], {"authorization": f"Bearer {SECRET.decode()}"}, body, NOW)
    assert not adapter.is_genuine(Auth(), [SECRET], headers_of("halopsa", body), body, NOW)
    assert not adapter.is_genuine(Auth(user="other"), [SECRET], headers_of("halopsa", body), body, NOW)
