"""The mail of a monthly report: its summary, the attached page, and its name."""

from email.message import EmailMessage

import pytest
from notifier.domain.delivery import Now
from notifier.domain.new_delivery import report_delivery
from notifier.handlers.claims import Claim
from support.notifier_events import NOON, REPORT_PAGE, report_ready
from support.notifier_mails import COMPOSER, READER, parse
from tocsin.events import MAX_PAGE_BYTES, Customer, ReportReady, decode, encode, pack_page


def composed(report: ReportReady) -> EmailMessage:
    """The mail of a report, as its reader parses it."""
    claim = Claim(report_delivery(report, Now(NOON, NOON)), report, READER, (), (), ())
    return parse(COMPOSER.compose(claim, NOON, late=False))


def text_of(mail: EmailMessage, form: str = "plain") -> str:
    body = mail.get_body((form,))
    assert body is not None
    return str(body.get_content())


def test_the_page_is_attached_beside_both_forms_of_the_summary() -> None:
    mail = composed(report_ready())
    [attached] = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("report-2026-05-acme.html", "text/html")
    assert attached.get_content().strip() == REPORT_PAGE
    assert text_of(mail).startswith("Service levels of May 2026\r\n")
    assert "Summary:     Response: 118 of 120 met (98.3 %)\r\n             Resolution: 96 of 101" in text_of(mail)
    assert "Attached:    report-2026-05-acme.html" in text_of(mail)
    assert "98.3 %)<br>Resolution: 96 of 101" in text_of(mail, "html")


def test_a_report_that_is_too_large_is_mailed_without_its_page() -> None:
    mail = composed(report_ready(page=None, url="https://sla.example.com/reports/2026-05"))
    assert list(mail.iter_attachments()) == []
    assert "too large for a mail" in text_of(mail)
    assert "https://sla.example.com/reports/2026-05" in text_of(mail)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://sla.example.com/\n/", f"https://{'x' * 2000}"])
def test_only_a_web_address_becomes_a_link(url: str) -> None:
    mail = composed(report_ready(url=url))
    assert "Open report" not in text_of(mail) + text_of(mail, "html")


@pytest.mark.parametrize(
    ("customer", "name"),
    [
        (None, "report-2026-05.html"),
        ("acme", "report-2026-05-acme.html"),
        ('a"; x=\r\nBcc: eve@example.com', "report-2026-05-a-x-Bcc-eve-example.com.html"),
        ("../../Ørsted", "report-2026-05-rsted.html"),
        ("Ø", "report-2026-05.html"),
    ],
)
def test_the_file_is_named_after_month_and_customer(customer: str | None, name: str) -> None:
    about = Customer(id=customer, name="Any") if customer else None
    [attached] = composed(report_ready().model_copy(update={"customer": about})).iter_attachments()
    assert attached.get_filename() == name


def test_a_page_survives_the_record_and_one_that_is_too_large_is_left_out() -> None:
    page = "<p>é</p>" * 100_000
    headers, value = encode(report_ready(page=pack_page(page)), "board")
    read = decode(headers, value)
    assert isinstance(read, ReportReady)
    assert read.html == page
    assert pack_page("x" * (MAX_PAGE_BYTES + 1)) is None


@pytest.mark.parametrize("page", ["", "plain text", "AAAA", (pack_page(REPORT_PAGE) or "")[:-12]])
def test_an_event_with_an_unreadable_page_is_rejected(page: str) -> None:
    with pytest.raises(ValueError, match="page is"):
        report_ready(page=page)
