"""The mail of a monthly report: its summary, the report as attachment, and its headers (docs/mail.md#report). Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from email.utils import format_datetime
from typing import Any, Final

from tocsin.characters import one_line
from tocsin.events import ReportReady, derived_id
from tocsin.instants import display_instant, render_instant

from notifier.domain.message import Mail, MailSender, smtp_address
from notifier.domain.mime import Attachment, Header, serialise
from notifier.domain.rendering import HTML, TEXT, MailTemplates, RenderedMail
from notifier.domain.sanitize import header_text
from notifier.domain.template_context import Reader, Redelivery

_BACKGROUND, _INK = "#37474f", "#ffffff"
_SUBJECT: Final = 160
_SENDER: Final = 60
_NAME: Final = 80
_LINES: Final = 60
_LINE: Final = 200
_URL: Final = 2000
_ID_IN_FILE_NAME: Final = 60
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """The input of the rendering of a report's mail. Instants are shown in UTC and in `zone`."""

    report: ReportReady
    reader: Reader
    zone: tzinfo
    late: bool
    redelivery: Redelivery | None = None

    @property
    def file_name(self) -> str:
        """The name of the attachment: `report-2026-05-acme.html`, or `report-2026-05.html` for all customers."""
        customer = self.report.customer
        cleaned = _NOT_IN_FILE_NAMES.sub("-", customer.id)[:_ID_IN_FILE_NAME].strip("-.") if customer else ""
        return f"{'-'.join(part for part in ('report', self.report.month, cleaned) if part)}.html"


def render_report(mail: ReportContext, templates: MailTemplates) -> RenderedMail:
    """The mail in the words of `templates`; text from outside is on one line and capped."""
    words, report = templates.report_words, mail.report
    values = _report_values(mail)
    summary = [one_line(line, _LINE) for line in report.text.splitlines()[:_LINES]]
    groups: list[list[tuple[str, Sequence[str]]]] = [
        [("Summary", [line for line in summary if line] or [values["subject"]])],
        [("Attached", [words.attached(values)]), ("Why you", [words.why(values)])],
    ]
    link = {"label": "Open report", "url": report.url, "does": words.open_report(values), "main": True}
    content = {
        "headline": values["subject"],
        "background": _BACKGROUND,
        "ink": _INK,
        "notes": _notes(words, values),
        "paragraphs": [],
        "groups": groups,
        "actions": [link] if _is_link(report.url) else [],
        "origin": words.origin(values),
    }
    return RenderedMail(
        sender=header_text(words.sender(values), _SENDER),
        subject=header_text(report.subject, _SUBJECT),
        text=templates.render(TEXT, content),
        html=templates.render(HTML, content),
    )


def build_report_mail(mail: ReportContext, rendered: RenderedMail, sender: MailSender) -> Mail:
    """The message. Its `Message-ID` is the same in every attempt, and it belongs to no conversation.

    Raises UnmailableAddressError and UnsafeMailError.
    """
    report, reader, again = mail.report, mail.reader, mail.redelivery
    address = smtp_address(reader.email)
    unique = derived_id(report.event_id, "mail", number=again.number if again else 0)
    message_id = f"<report.{unique}@{sender.domain}>"
    tocsin: list[Header] = [("Tocsin-Kind", "report"), ("Tocsin-Scheduled-At", render_instant(report.at))]
    if mail.late:
        tocsin.append(("Tocsin-Late", "yes"))
    if again:
        tocsin.append(("Tocsin-Redelivery", str(again.number)))
    headers = [
        ("Subject", rendered.subject),
        ("Date", format_datetime(again.at if again else report.at)),
        ("Message-ID", message_id),
        *([("Reply-To", f"<{sender.reply_to}>")] if sender.reply_to else []),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        *tocsin,
    ]
    page = report.html
    raw = serialise(
        headers,
        sender=(rendered.sender, sender.address),
        to=(header_text(reader.name, _NAME), address),
        text=rendered.text,
        html=rendered.html,
        boundary=str(unique),
        attachment=Attachment(mail.file_name, page) if page is not None else None,
    )
    return Mail(
        message_id=message_id,
        recipient=address,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        headers=tuple(tocsin),
        raw=raw,
    )


def _report_values(mail: ReportContext) -> dict[str, Any]:
    report, again, instead_of = mail.report, mail.redelivery, mail.reader.instead_of
    return {
        "subject": one_line(report.subject, _SUBJECT),
        "month": report.month,
        "customer": one_line(report.customer.name, 120) if report.customer else None,
        "file_name": mail.file_name if report.page is not None else None,
        "name": one_line(mail.reader.name, 100),
        "instead_of": one_line(instead_of, 120) if instead_of else None,
        "redelivery": {
            "by": one_line(again.by, 100),
            "at": display_instant(again.at, mail.zone),
            "number": again.number,
        }
        if again
        else None,
    }


def _notes(words: Any, values: Mapping[str, Any]) -> list[str]:
    applies = {"redelivery": values["redelivery"] is not None, "fallback": values["instead_of"] is not None}
    return [getattr(words, name)(values) for name, holds in applies.items() if holds]


def _is_link(url: str | None) -> bool:
    return url is not None and len(url) <= _URL and url.startswith(("https://", "http://")) and url.isprintable()
