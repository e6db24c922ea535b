"""The addresses that mails link to."""

import pytest
from notifier.domain.links import page_templates, public_url, ticket_page
from support.notifier_events import ticket

PSA = {"connectwise": "https://psa.example.com/t/{external_id}?id={ticket_id}"}


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://sla.example.com/", "https://sla.example.com"),
        ("https://example.com:8443/sla", "https://example.com:8443/sla"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_base_of_links(given: str, base: str) -> None:
    assert public_url(given) == base


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("http://sla.example.com", "must begin with https://"),
        ("http://127.0.0.1.evil.example", "must begin with https://"),
        ("https://sla.example.com/?a=b", "nothing may follow the path"),
        ("sla.example.com", "must be an address such as https://sla.example.com"),
        ("javascript:alert(1)", "must be an address such as"),
        ("https://user:password@sla.example.com", "must be an address such as"),
        ("https://sla.example.com:99999", "must be an address such as"),
        ('https://sla.example.com/"><b', "must be ASCII without spaces, quotes"),
    ],
)
def test_what_cannot_be_the_base_of_links(given: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        public_url(given)


@pytest.mark.parametrize(
    ("external_id", "path"),
    [
        ("SR-1042", "SR-1042"),
        ("../../admin?x=1#y", "..%2F..%2Fadmin%3Fx%3D1%23y"),
        ('"><script>', "%22%3E%3Cscript%3E"),
        ("é\ud800", "%C3%A9%3F"),
        ("{ticket_id}", "%7Bticket_id%7D"),
    ],
)
def test_a_tickets_ids_stand_percent_encoded_in_the_address_of_its_page(external_id: str, path: str) -> None:
    of = ticket().model_copy(update={"external_id": external_id})
    assert ticket_page(PSA, of) == f"https://psa.example.com/t/{path}?id={of.ticket_id}"


def test_no_page_where_none_is_known_or_its_address_would_be_too_long() -> None:
    assert ticket_page({}, ticket()) is None
    assert ticket_page(PSA, ticket(external_id="é" * 400)) is None
    assert ticket_page(PSA, ticket(external_id="x" * 1_000_000)) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("{", "must be a JSON object such as"),
        ("[]", "must be a JSON object such as"),
        ('{"a": 1}', "must be a JSON object such as"),
        ('{"a": "https://h.example/{id}"}', r"a: .* may have {external_id} and {ticket_id} in braces"),
        ('{"a": "https://h.example/{external_id.x}"}', "in braces, and nothing else"),
        ('{"a": "https://h.example/{external_id!r}"}', "in braces, and nothing else"),
        ('{"a": "https://h.example/{external_id:>9}"}', "in braces, and nothing else"),
        ('{"a": "https://h.example/{"}', "has a brace without its partner"),
        ('{"a": "https://h.example/"}', "leads every ticket to the same page"),
        ('{"a": "https://{external_id}/"}', "must not take its host from a ticket"),
        ('{"a": "/t/{external_id}"}', "must be an address such as"),
        ('{"a": "javascript:{external_id}"}', "must be an address such as"),
    ],
)
def test_what_cannot_be_the_address_of_pages(given: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        page_templates(given)


def test_addresses_of_pages_by_source() -> None:
    assert page_templates('{"connectwise": "https://psa.example.com/t/{external_id}?id={ticket_id}"}') == PSA
