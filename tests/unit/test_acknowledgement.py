"""Acknowledgement links: what is signed comes back, and nothing else does."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tocsin.acknowledgement import AcknowledgementLink, ExpiredLinkError, InvalidLinkError, LinkSigner
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


def test_what_was_signed_is_read_again_until_it_expires() -> None:
    token = LinkSigner([NEW]).sign(LINK)
    assert LinkSigner([NEW]).verify(token, LINK.expires_at - timedelta(microseconds=1)) == LINK
    with pytest.raises(ExpiredLinkError) as expired:
        LinkSigner([NEW]).verify(token, LINK.expires_at)
    assert expired.value.link == LINK


def test_a_key_can_be_replaced_while_its_links_are_in_use() -> None:
    written_before = LinkSigner([OLD]).sign(LINK)
    assert LinkSigner([NEW, OLD]).verify(written_before, NOW) == LINK
    assert LinkSigner([NEW]).verify(LinkSigner([NEW, OLD]).sign(LINK), NOW) == LINK
    with pytest.raises(InvalidLinkError):
        LinkSigner([NEW]).verify(written_before, NOW)


@given(st.data())
def test_no_other_text_is_a_link(data: st.DataObject) -> None:
    token = LinkSigner([NEW]).sign(LINK)
    place = data.draw(st.integers(0, len(token) - 2))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    for text in (token[:place] + other + token[place + 1 :], token[:place], data.draw(st.text())):
        with pytest.raises(InvalidLinkError):
            LinkSigner([NEW]).verify(text, NOW)


def test_a_token_stands_in_a_path_as_it_is() -> None:
    token = LinkSigner([NEW]).sign(LINK)
    assert token.isascii()
    assert not set(token) & set("/?#%&+ ")
    assert len(token) < 500


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "short"]])
def test_a_key_that_could_be_guessed_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="32 characters"):
        LinkSigner(keys)
