"""Renders a sample of every kind of mail, so that a broken template is found at start and not at night. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, get_args
from uuid import UUID

from tocsin.directory import Holder
from tocsin.events import (
    Acknowledgement,
    Assignee,
    Contact,
    Customer,
    Exhausted,
    Flag,
    Notify,
    ReportReady,
    StandDown,
    Ticket,
    Tier,
    UpcomingStep,
    pack_page,
)

from notifier.domain.delivery import Notification
from notifier.domain.digest_mail import DigestContext, DigestItem, render_digest
from notifier.domain.mail_history import EarlierMail
from notifier.domain.rendering import MailTemplates, describe_failure, render_mail
from notifier.domain.report_mail import ReportContext, render_report
from notifier.domain.template_context import MAX_ITEMS, Involved, MailContext, Pages, Reader, Redelivery
from notifier.errors import MailTemplateError

_NOW: Final = datetime(2026, 6, 10, 12, tzinfo=UTC)
_BEFORE: Final = _NOW - timedelta(hours=1)
_AFTER: Final = _NOW + timedelta(hours=1)
_TIER: Final = Tier(number=1, role="service_desk_team_lead", title="Service Desk Team Lead")
_ABOUT: Final[dict[str, Any]] = {
    "event_id": UUID(int=1),
    "cycle": 1,
    "severity": 1,
    "at": _NOW,
    "ticket": Ticket(
        tenant="default",
        ticket_id=UUID(int=2),
        source="connectwise",
        external_id="SR-1042",
        summary="Mail is down",
        affected_services=("E-mail",),
        contact=Contact(name="Sam de Vries", email="sam@acme.example"),
        customer=Customer(id="acme", name="Acme Logistics"),
        channel="portal",
        category="incident",
        opened_at=_BEFORE,
        initial_severity=1,
    ),
}
_EVERYTHING: Final = _ABOUT["ticket"].model_copy(
    update={
        "description": "The whole office is affected.\nIt began at nine.",
        "assignee": Assignee(name="Ana", email="ana@example.com"),
        "category": "mishandled_request",
        "starts_at": _AFTER,
        "flags": get_args(Flag),
        "initial_severity": 3,
    }
)
_INVOLVED: Final = Involved(
    next_holder=Holder("kim", "Kim", "kim@example.com", "default", phone="+1 212 555 0100"), names={"dana": "Dana"}
)
_READER: Final = Reader(
    person="dana",
    name="Dana",
    email="dana@example.com",
    role=_TIER.role,
    role_title=_TIER.title,
    tier=1,
    rule="default",
)
_FALLBACK: Final = replace(_READER, tier=None, instead_of="old@example.com", is_group=True)
_MAILED: Final = EarlierMail(1, _TIER.title, name="Dana", scheduled_at=_BEFORE, sent_at=_BEFORE)
_OTHERS: Final = (
    replace(_MAILED, tier=None, kind="warning", address="dana@home.example"),
    replace(_MAILED, sent_at=None, is_open=True),
    replace(_MAILED, sent_at=None),
    replace(_MAILED, sent_at=None, name=None),
)


def check_templates(templates: MailTemplates) -> None:
    """Render every sample. Raises MailTemplateError: which template fails, where, and why."""
    renderings = [
        *(partial(render_mail, mail, templates) for mail in sample_mails()),
        *(partial(render_digest, digest, templates) for digest in sample_digests()),
        *(partial(render_report, report, templates) for report in sample_reports()),
    ]
    for render in renderings:
        try:
            rendered = render()
        except Exception as error:  # whatever a template does
            raise MailTemplateError(describe_failure(error)) from error
        if not (rendered.subject and rendered.text.strip() and rendered.html.strip()):
            raise MailTemplateError("a mail has no subject, no text or no HTML")


def sample_mails() -> Iterator[MailContext]:
    """Every kind of mail in every variant: each expression of the built-in templates is rendered by one of them."""
    page = Pages("https://psa.example.com/tickets/SR-1042")
    links = Pages(page.ticket, "https://sla.example.com/ack/a-token", _AFTER, "https://example.com/help")
    again = Redelivery("a.key", _NOW, 2)
    for notification in _notifications():
        has_links = isinstance(notification, Notify) and notification.kind in ("escalation", "rerouted")
        yield MailContext(
            notification=notification,
            reader=replace(_READER, role=notification.role) if isinstance(notification, Notify) else _READER,
            earlier=(),
            now=_NOW,
            late=False,
            zone=UTC,
            pages=links if has_links else page,
            involved=_INVOLVED,
        )
        yield MailContext(
            notification=notification,
            reader=_FALLBACK,
            earlier=(*_OTHERS, *[_MAILED] * MAX_ITEMS),
            now=_NOW,
            late=True,
            zone=UTC,
            redelivery=again,
        )


def sample_digests() -> Iterator[DigestContext]:
    """Digests in every variant."""
    for due_at in (_BEFORE, _AFTER, None):
        notify = _notify(kind="warning", clock="response", severity=3, due_at=due_at, suggested_severity=2)
        missed = _notify(kind="response_missed", clock="response", severity=4, target=None, unconfirmed=True)
        items = [
            DigestItem(notify, is_late=False, page="https://psa.example.com/tickets/SR-1042"),
            DigestItem(missed, is_late=True),
            DigestItem(notify, is_late=False, is_withdrawn=True),
        ]
        for reader, shown in ((_READER, items[:1]), (_FALLBACK, items)):
            yield DigestContext(
                digest_id=UUID(int=3),
                items=shown,
                reader=reader,
                role_titles=[_TIER.title],
                now=_NOW,
                zone=UTC,
            )


def sample_reports() -> Iterator[ReportContext]:
    """Reports in every variant."""
    about = ReportReady(
        event_id=UUID(int=4),
        tenant="default",
        month="2026-05",
        to="dana",
        subject="Service levels of May 2026",
        text="Response: 118 of 120 met (98.3%)\n\nResolution: 96 of 101 met (95.0%)",
        at=_NOW,
    )
    full = about.model_copy(
        update={
            "customer": _ABOUT["ticket"].customer,
            "page": pack_page("<!DOCTYPE html><p>98.3%</p>"),
            "url": "https://sla.example.com/reports/2026-05",
        }
    )
    again = Redelivery("a.key", _NOW, 2)
    yield ReportContext(report=about, reader=_READER, zone=UTC, late=False)
    yield ReportContext(report=full, reader=_FALLBACK, zone=UTC, late=True, redelivery=again)


def _notifications() -> Iterator[Notification]:
    for severity in (1, 2, 3, 4):
        yield _escalation(severity=severity, cycle=severity)
    for reason in ("no_response", "explicit"):
        yield _escalation(reason=reason)
    for upcoming in (None, *(UpcomingStep(at=at, tier=tier) for at in (_BEFORE, _AFTER) for tier in (_TIER, None))):
        yield _escalation(
            upcoming=upcoming, interval=None, target=None, due_at=None, unconfirmed=True, skipped=(_TIER,)
        )
    for kind, clock in (
        ("warning", "response"),
        ("warning", "resolution"),
        ("response_missed", "response"),
        ("answer_missed", "answer"),
    ):
        for due_at in (_BEFORE, _AFTER, None):
            yield _notify(kind=kind, clock=clock, due_at=due_at)
    for reason in ("resolved", "workaround", "cancelled"):
        yield StandDown(**_ABOUT, run=1, notifications=(), reason=reason)
    yield StandDown(**_ABOUT, notifications=(), reason="voided", clock="response")
    for end in ("ladder", "vacant"):
        yield Exhausted(**_ABOUT, run=1, reason=end, skipped=(_TIER,), due_at=_BEFORE, suggested_severity=1)
    yield _notify(kind="escalation_request", target=None)
    yield _notify(kind="rerouted", role="contact", role_title="Contact", target=None)
    yield _notify(kind="warning", clock="response", ticket=_EVERYTHING, role="assignee", role_title="Assignee")
    known = Acknowledgement(at=_BEFORE, by="dana", held_until=_AFTER)
    yield _escalation(
        ticket=_EVERYTHING,
        reason="explicit",
        requested_by="ada",
        requested_reason="The customer called.",
        acknowledgements=(known, Acknowledgement(at=_BEFORE)),
        suggested_severity=1,
    )


def _escalation(**fields: Any) -> Notify:
    about = {"run": 1, "step": 1, "tier": _TIER, "reason": "resolution_breached", "interval": "1 hour"}
    upcoming = {"due_at": _BEFORE, "upcoming": UpcomingStep(at=_AFTER, tier=_TIER)}
    return _notify(**about | upcoming | {"kind": "escalation"} | fields)


def _notify(**fields: Any) -> Notify:
    return Notify(**_ABOUT | {"role": _TIER.role, "role_title": _TIER.title, "target": "24 hours"} | fields)
