"""Acknowledgement links: signing, verification, expiry and replacement of keys."""

from datetime import UTC, datetime, timedelta
from hashlib import shake_256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin.acknowledgement import (
    MAX_TOKEN_LENGTH,
    AcknowledgementLink,
    ExpiredLinkError,
    InvalidLinkError,
    LinkSigner,
    NotifiedPerson,
)
from tocsin.events import Tier, UpcomingStep

NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
OLD, NEW = "o" * 32, "n" * 32
LINK = AcknowledgementLink(
    tenant="default",
    ticket_id=UUID(int=7),
    cycle=1,
    run=2,
    step=3,
    tier=Tier(number=3, role="it_operations_director", title="IT Operations Director"),
    reason="no_response",
    person="ruth.adeyemi",
    name="Ruth Adéyemi",
    upcoming=UpcomingStep(at=NOW, tier=None),
    expires_at=NOW + timedelta(days=7),
)


@pytest.mark.rule("5.28")
def test_a_signed_link_is_valid_until_it_expires() -> None:
    token = LinkSigner([NEW]).sign(LINK)
    assert LinkSigner([NEW]).verify(token, LINK.expires_at - timedelta(microseconds=1)) == LINK
    with pytest.raises(ExpiredLinkError) as expired:
        LinkSigner([NEW]).verify(token, LINK.expires_at)
    assert expired.value.link == LINK


def test_a_key_can_be_replaced_while_its_links_are_in_use() -> None:
    token = LinkSigner([OLD]).sign(LINK)
    assert LinkSigner([NEW, OLD]).verify(token, NOW) == LINK
    assert LinkSigner([NEW]).verify(LinkSigner([NEW, OLD]).sign(LINK), NOW) == LINK
    with pytest.raises(InvalidLinkError):
        LinkSigner([NEW]).verify(token, NOW)


@given(st.data())
def test_a_changed_token_is_invalid(data: st.DataObject) -> None:
    token = LinkSigner([NEW]).sign(LINK)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    for text in (token[:place] + other + token[place + 1 :], token[:place], data.draw(st.text())):
        with pytest.raises(InvalidLinkError):
            LinkSigner([NEW]).verify(text, NOW)


def test_a_token_needs_no_escaping_in_a_url_path() -> None:
    token = LinkSigner([NEW]).sign(LINK)
    assert token.isascii()
    assert not set(token) & set("/?#%&+ ")
    assert len(token) < 500


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "short"]])
def test_a_short_or_missing_key_is_rejected(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="32 characters"):
        LinkSigner(keys)


def test_only_the_spelling_that_was_signed_is_valid() -> None:
    token = LinkSigner([NEW]).sign(LINK)
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = digits.index(token[-1])
    same_bytes = [
        token[:-1] + digit for digit in digits if digits.index(digit) >> 2 == last >> 2 and digit != token[-1]
    ]
    assert len(same_bytes) == 3  # 32 bytes leave two bits of the last digit unused
    padded = [f"{token}=", f"{token}==", f"{token[:-5]}\n{token[-5:]}", f"{token[:-5]}é{token[-5:]}", f"{token}!"]
    for text in (*same_bytes, *padded, f" {token}", f"{token} ", token.swapcase(), f".{token}"):
        with pytest.raises(InvalidLinkError):
            LinkSigner([NEW]).verify(text, NOW)


def test_a_long_token_omits_the_people_notified_first() -> None:
    people = tuple(
        NotifiedPerson(tier=tier, title=shake_256(bytes([tier])).hexdigest(200), name="x", at=NOW)
        for tier in (5, 4, 3, 2, 1)
    )
    token = LinkSigner([NEW]).sign(LINK.model_copy(update={"notified": people}))
    assert len(token) <= MAX_TOKEN_LENGTH
    kept = LinkSigner([NEW]).verify(token, NOW).notified
    assert 0 < len(kept) < 5
    assert kept == people[: len(kept)]
