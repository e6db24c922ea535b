"""The mail of a digest: its tickets in the order of their deadlines, and its headers (docs/mail.md#digest). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from email.utils import format_datetime
from typing import Any, Final
from uuid import UUID

from tocsin.characters import one_line
from tocsin.events import Notify
from tocsin.instants import display_instant, render_instant
from tocsin.links import ticket_page

from notifier.domain.delivery import MailRequest
from notifier.domain.message import Mail, MailSender, smtp_address
from notifier.domain.mime import Header, serialise
from notifier.domain.rendering import DIGEST_HTML, DIGEST_TEXT, MailTemplates, RenderedMail
from notifier.domain.sanitize import header_text
from notifier.domain.template_context import SEVERITIES, Reader, distance

_BACKGROUND, _INK = "#455a64", "#ffffff"
_SUBJECT: Final = 160
_SENDER: Final = 60
_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class DigestItem:
    """One ticket of a digest. `page`: the URL of the ticket. `is_withdrawn`: it is no longer needed."""

    notification: Notify
    is_late: bool
    page: str | None = None
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestContext:
    """The input of a digest's rendering. `now` is business time; instants are shown in UTC and in `zone`.

    `role_titles`: the roles by which the reader gets the items.
    """

    digest_id: UUID
    items: Sequence[DigestItem]
    reader: Reader
    role_titles: Sequence[str]
    now: datetime
    zone: tzinfo

    @property
    def listed(self) -> Sequence[DigestItem]:
        """The items as the digest lists them: the nearest deadline first, unknown ones last.

        A warning is left out if the digest also says that the clock was missed.
        """
        missed = {_clock(item) for item in self.items if item.notification.kind != "warning" and not item.is_withdrawn}
        news = (item for item in self.items if item.notification.kind != "warning" or _clock(item) not in missed)
        return sorted(news, key=_by_deadline)

    @property
    def is_late(self) -> bool:
        return any(item.is_late for item in self.items)


def as_item(
    request: MailRequest, ticket_urls: Mapping[str, str], *, is_late: bool, is_withdrawn: bool = False
) -> DigestItem:
    """The item of a notification about a clock; only such mails join a digest. `ticket_urls`: see `ticket_page`."""
    if not isinstance(request, Notify):
        raise TypeError("only a mail about a clock joins a digest")
    return DigestItem(request, is_late, ticket_page(ticket_urls, request.ticket), is_withdrawn)


def render_digest(digest: DigestContext, templates: MailTemplates) -> RenderedMail:
    """The digest in the words of `templates`; text from outside is on one line and capped."""
    words = templates.digest_words
    values = _digest_values(digest)
    content = {
        "headline": words.headline(values),
        "background": _BACKGROUND,
        "ink": _INK,
        "notes": _notes(words, values, digest),
        "tickets": [_ticket(words, item, digest) for item in digest.listed],
        "groups": [],
        "actions": [],
        "paragraphs": [],
        "origin": words.why(values),
    }
    return RenderedMail(
        sender=header_text(words.sender(values), _SENDER),
        subject=header_text(words.subject(values), _SUBJECT),
        text=templates.render(DIGEST_TEXT, content),
        html=templates.render(DIGEST_HTML, content),
    )


def build_digest(digest: DigestContext, rendered: RenderedMail, sender: MailSender) -> Mail:
    """The message. Its `Message-ID` is the same in every attempt.

    It names no ticket and belongs to no conversation, because it is about several tickets. Raises
    UnmailableAddressError and UnsafeMailError.
    """
    address = smtp_address(digest.reader.email)
    message_id = f"<digest.{digest.digest_id}@{sender.domain}>"
    tickets = dict.fromkeys(str(item.notification.ticket_id) for item in digest.listed)
    tocsin: list[Header] = [("Tocsin-Kind", "digest"), *(("Tocsin-Ticket", ticket) for ticket in tickets)]
    if digest.is_late:
        tocsin.append(("Tocsin-Late", "yes"))
    headers = [
        ("Subject", rendered.subject),
        ("Date", format_datetime(max(item.notification.at for item in digest.items))),
        ("Message-ID", message_id),
        *([("Reply-To", f"<{sender.reply_to}>")] if sender.reply_to else []),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        *tocsin,
    ]
    name = header_text(digest.reader.role_title if digest.reader.is_group else digest.reader.name, _NAME)
    raw = serialise(
        headers,
        sender=(rendered.sender, sender.address),
        to=(name, address),
        text=rendered.text,
        html=rendered.html,
        boundary=str(digest.digest_id),
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


def _clock(item: DigestItem) -> tuple[UUID, int, str | None]:
    return item.notification.ticket_id, item.notification.cycle, item.notification.clock


def _by_deadline(item: DigestItem) -> tuple[bool, str, str, str]:
    due_at = item.notification.due_at
    ticket = item.notification.ticket
    return due_at is None, render_instant(due_at) if due_at else "", ticket.external_id, str(ticket.ticket_id)


def _digest_values(digest: DigestContext) -> dict[str, Any]:
    dues = sorted(item.notification.due_at for item in digest.items if item.notification.due_at)
    coming = next((due for due in dues if due > digest.now), None)
    instead_of = digest.reader.instead_of
    return {
        "count": len({item.notification.ticket_id for item in digest.items}),
        "missed": len({item.notification.ticket_id for item in digest.items if item.notification.kind != "warning"}),
        "next_due_at": display_instant(coming, digest.zone) if coming else None,
        "next_due_ago": distance(coming, digest.now) if coming else None,
        "last_due_at": display_instant(dues[-1], digest.zone) if dues else None,
        "name": one_line(digest.reader.name, 100),
        "role_titles": [one_line(title, 100) for title in digest.role_titles],
        "instead_of": one_line(instead_of, 120) if instead_of else None,
    }


def _item_values(item: DigestItem, digest: DigestContext) -> dict[str, Any]:
    notify, ticket = item.notification, item.notification.ticket
    due_at = notify.due_at
    return {
        "kind": notify.kind,
        "external_id": header_text(ticket.external_id, 60),
        "summary": one_line(ticket.summary, 200),
        "customer": one_line(ticket.customer.name, 120),
        "severity": notify.severity,
        "severity_name": SEVERITIES[notify.severity],
        "suggested": notify.suggested_severity,
        "clock": notify.clock or "resolution",
        "target": one_line(notify.target, 80) if notify.target else None,
        "due_at": display_instant(due_at, digest.zone) if due_at else None,
        "due_ago": distance(due_at, digest.now) if due_at else None,
        "due_passed": due_at is not None and due_at <= digest.now,
        "unconfirmed": notify.unconfirmed,
        "late": item.is_late,
        "at": display_instant(notify.at, digest.zone),
    }


def _ticket(words: Any, item: DigestItem, digest: DigestContext) -> dict[str, Any]:
    values = _item_values(item, digest)
    lines = [words.withdrawn(values)] if item.is_withdrawn else [words.problem(values), words.deadline(values)]
    return {"title": words.title(values), "lines": [words.about(values), *lines], "url": item.page}


def _notes(words: Any, values: Mapping[str, Any], digest: DigestContext) -> list[str]:
    applies = {
        "nearest": True,
        "fallback": digest.reader.instead_of is not None,
        "late": digest.is_late,
        "unconfirmed": any(item.notification.unconfirmed for item in digest.items),
    }
    return [getattr(words, name)(values) for name, holds in applies.items() if holds]
