"""The URLs that mails link to."""

import pytest
from support.notifier_events import ticket
from tocsin.links import page_template, public_url, ticket_page

PSA = {"connectwise": "https://psa.example.com/t/{external_id}?id={ticket_id}"}


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("https://sla.example.com/", "https://sla.example.com"),
        ("https://example.com:8443/sla", "https://example.com:8443/sla"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_base_url(text: str, base: str) -> None:
    assert public_url(text) == base


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://sla.example.com", "must begin with https://"),
        ("http://127.0.0.1.evil.example", "must begin with https://"),
        ("https://sla.example.com/?a=b", "must be a base URL, without a query"),
        ("sla.example.com", "must be a URL such as https://sla.example.com"),
        ("javascript:alert(1)", "must be a URL such as"),
        ("https://user:password@sla.example.com", "must be a URL such as"),
        ("https://sla.example.com:99999", "must be a URL such as"),
        ('https://sla.example.com/"><b', "must be ASCII; percent-encode spaces"),
    ],
)
def test_an_invalid_base_url_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        public_url(text)


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
def test_ids_are_percent_encoded_in_the_ticket_url(external_id: str, path: str) -> None:
    of = ticket().model_copy(update={"external_id": external_id})
    assert ticket_page(PSA, of) == f"https://psa.example.com/t/{path}?id={of.ticket_id}"


def test_no_url_without_a_template_or_if_it_would_be_too_long() -> None:
    assert ticket_page({}, ticket()) is None
    assert ticket_page(PSA, ticket(external_id="é" * 400)) is None
    assert ticket_page(PSA, ticket(external_id="x" * 1_000_000)) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("https://h.example/{id}", "may use the placeholders {external_id} and {ticket_id} only"),
        ("https://h.example/{external_id.x}", "may use the placeholders"),
        ("https://h.example/{external_id!r}", "may use the placeholders"),
        ("https://h.example/{external_id:>9}", "may use the placeholders"),
        ("https://h.example/{", "has an unbalanced brace"),
        ("https://h.example/", "is the same page for every ticket"),
        ("https://{external_id}/", "must not have a placeholder in its host"),
        ("/t/{external_id}", "must be a URL such as"),
        ("javascript:{external_id}", "must be a URL such as"),
    ],
)
def test_an_invalid_page_template_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        page_template(text)
