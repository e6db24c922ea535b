"""Only who knows a secret can deliver: every scheme, over the raw bytes, whatever else is sent."""

import hmac
import json
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.auth_failure import refusal
from intake.domain.webhooks.config.auth import Auth, Signature
from support.webhook_recordings import PROVIDERS, SECRET, proven, shipped, story

NOW = datetime(2026, 6, 8, 12, 0, 10, tzinfo=UTC)
SIGNING = ("connectwise", "autotask", "zendesk", "jira")
VECTOR = (
    b'{"Action":"Create","Guid":"a1","EntityType":"Ticket","Id":7,"Fields":{},'
    b'"EventTime":"2026-01-05T14:57:50Z","SequenceNumber":1,"PersonID":9}'
)


def genuine(
    provider: str, headers: dict[str, str], body: bytes, secrets: tuple[bytes, ...] = (SECRET,), now: datetime = NOW
) -> bool:
    integration = shipped(provider)
    return ADAPTERS[integration.adapter].genuine(integration.auth, secrets, headers, body, now)


def headers_of(provider: str, body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return dict(proven(provider, body, secret, at=NOW))


def test_autotask_signs_like_its_documented_example() -> None:
    assert genuine("autotask", {"x-hook-signature": "sha1=yCNAsmhj2ixE6Zn373wmYKboP9U="}, VECTOR)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_the_tool_sent_is_genuine_whichever_of_the_secrets_is_used(provider: str) -> None:
    for body in story(provider):
        assert genuine(provider, headers_of(provider, body), body)
        assert genuine(provider, headers_of(provider, body), body, (b"the new one", SECRET))
        assert genuine(provider, headers_of(provider, body), body, (SECRET, b"the new one"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_proves_a_delivery_is_compared_in_constant_time_with_every_secret(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = story(provider)[0]
    compared = Mock(wraps=hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", compared)
    for secrets in ((SECRET, b"another"), (b"another", SECRET), (b"another", b"a third")):
        assert genuine(provider, headers_of(provider, body), body, secrets) == (SECRET in secrets)
    assert compared.call_count == 6


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_secret_none_and_an_empty_one_prove_nothing(provider: str) -> None:
    body = story(provider)[0]
    assert not genuine(provider, headers_of(provider, body, b"another"), body)
    assert not genuine(provider, headers_of(provider, body), body, ())
    assert not genuine(provider, headers_of(provider, body, b""), body, (b"",))
    assert not genuine(provider, {}, body)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_why_a_delivery_proves_nothing_is_known(provider: str) -> None:
    body = story(provider)[0]
    wrong, old = headers_of(provider, body, b"another"), NOW + timedelta(minutes=6)
    assert refusal(shipped(provider), (), wrong, NOW) == "no_secret"
    assert refusal(shipped(provider), (SECRET,), wrong, NOW) == "wrong"
    assert refusal(shipped(provider), (SECRET,), wrong, old) == (
        "stale_timestamp" if provider == "zendesk" else "wrong"
    )
    for missing in wrong:
        left = {name: value for name, value in wrong.items() if name != missing}
        assert refusal(shipped(provider), (SECRET,), left, NOW) == "header_missing"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_proof_that_is_cut_empty_doubled_or_not_ascii_proves_nothing(provider: str) -> None:
    body = story(provider)[0]
    whole = headers_of(provider, body)
    for name, value in whole.items():
        broken = [value[:-1], value[1:], "", " ", f"{value},{value}", f"{value}, {value}", value + "é", "é", "\udcff"]
        for wrong in (*broken, value[:-2] + "é=", value.swapcase() if name != "x-hub-signature" else "x"):
            assert not genuine(provider, whole | {name: wrong}, body), wrong
        assert not genuine(provider, {other: whole[other] for other in whole if other != name}, body)


@pytest.mark.parametrize("provider", SIGNING)
def test_a_body_that_was_changed_or_written_anew_is_not_the_one_that_was_signed(provider: str) -> None:
    body = story(provider)[0]
    headers = headers_of(provider, body)
    anew = json.dumps(json.loads(body)).encode()
    assert json.loads(anew) == json.loads(body)
    for other in (anew, body + b"\n", body[:-1], b"\xef\xbb\xbf" + body, b"", body.replace(b"1", b"2", 1)):
        assert not genuine(provider, headers, other)


@pytest.mark.parametrize("provider", PROVIDERS)
@given(value=st.text(max_size=60), name=st.sampled_from(["prefix", "whole"]))
def test_no_text_in_a_header_is_an_error(provider: str, value: str, name: str) -> None:
    body = story(provider)[0]
    headers = headers_of(provider, body)
    for header in headers:
        wrong = headers[header].partition(" ")[0] + " " + value if name == "prefix" else value
        assert not genuine(provider, headers | {header: wrong}, body) or wrong == headers[header]


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24 * 400, -60 * 24 * 400])
def test_a_stale_or_future_timestamp_is_refused_though_it_is_signed(minutes: int) -> None:
    body = story("zendesk")[0]
    headers = dict(proven("zendesk", body, at=NOW + timedelta(minutes=minutes)))
    assert not genuine("zendesk", headers, body)
    assert genuine("zendesk", headers, body, now=NOW + timedelta(minutes=minutes + 4))


@pytest.mark.parametrize("stamp", ["", "soon", "99999999999999999999", "0001-01-01T00:00:00Z", "９", "2026-06-08"])
def test_a_timestamp_that_is_none_is_refused(stamp: str) -> None:
    body = story("zendesk")[0]
    headers = headers_of("zendesk", body) | {"x-zendesk-webhook-signature-timestamp": stamp}
    assert not genuine("zendesk", headers, body)


def test_seconds_since_1970_are_a_timestamp_and_hexadecimal_has_two_cases() -> None:
    auth = Auth(
        signature=Signature(
            header="X-Sig", algorithm="sha512", signed=("timestamp", "body"), separator=".", timestamp_header="X-At"
        )
    )
    adapter = ADAPTERS["generic"]
    body, stamp = b"{}", str(int(NOW.timestamp()))
    code = hmac.digest(SECRET, stamp.encode() + b"." + body, "sha512").hex()
    for given_code in (code, code.upper()):
        assert adapter.genuine(auth, [SECRET], {"x-sig": given_code, "x-at": stamp}, body, NOW)
    assert not adapter.genuine(auth, [SECRET], {"x-sig": code, "x-at": str(int(stamp) - 1000)}, body, NOW)


def test_halopsa_may_bring_a_bearer_token_and_needs_the_right_user() -> None:
    body, adapter = story("halopsa")[0], ADAPTERS["halopsa"]
    assert adapter.genuine(Auth(), [SECRET], {"authorization": f"Bearer {SECRET.decode()}"}, body, NOW)
    assert not adapter.genuine(Auth(), [SECRET], headers_of("halopsa", body), body, NOW)
    assert not adapter.genuine(Auth(user="other"), [SECRET], headers_of("halopsa", body), body, NOW)
