"""Mails of every kind, made up: templates are tried with them, and docs/mail.md shows some. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from tocsin.events import Contact, Customer, Notify, StandDown, Ticket, Tier, UpcomingStep, derived_id

from notifier.domain.rendering import write
from notifier.domain.template_context import Pages, Reader, Redelivery, Telling, Told
from notifier.domain.templating import TemplateFailed, Templates, failure

_OPENED: Final = datetime(2026, 6, 10, 5, 10, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_DUE: Final = _OPENED + timedelta(minutes=30) + 24 * _HOUR  # responded at 05:40
_HANDED_OVER: Final = timedelta(seconds=1)
_TICKET: Final = Ticket(
    tenant="default",
    ticket_id=UUID("0b0e7c1c-6c52-5d3e-9f0a-3c8a53f1d9b4"),
    source="connectwise",
    external_id="SR-1042",
    summary="Mail is down for the whole of the Rotterdam office",
    affected_services=("E-mail", "Calendar"),
    contact=Contact(name="Sam de Vries", phone="+31 10 555 0142", email="sam@acme.example"),
    customer=Customer(id="acme", name="Acme Logistics"),
    channel="portal",
    category="incident",
    opened_at=_OPENED,
    initial_severity=1,
)
_LADDER: Final = [
    ("service_desk_team_lead", "Service Desk Team Lead", "Dana Whitfield", "dana"),
    ("senior_it_operations_manager", "Senior IT Operations Manager", "Kim Østergård", "kim"),
    ("it_operations_director", "IT Operations Director", "Robin Okafor", "robin"),
    ("account_manager", "Account Manager", "Lee Marchetti", "lee"),
    ("chief_operating_officer", "Chief Operating Officer", "Ines Duarte", "ines"),
    ("chief_executive_officer", "Chief Executive Officer", "Max Lindqvist", "max"),
]
_TIERS: Final = [Tier(number=n, role=role, title=title) for n, (role, title, _, _) in enumerate(_LADDER, 1)]
_TARGETS: Final = {"24 hours": 24 * _HOUR, "2 hours": 2 * _HOUR}
_ACKNOWLEDGE: Final = "https://sla.example.com/ack/a-token"


@dataclass(frozen=True, slots=True)
class Sample:
    """`notice` as it is told to `reader` at the business instant `now`."""

    notice: Notify | StandDown
    reader: Reader
    now: datetime
    told: tuple[Told, ...] = ()


def step(number: int) -> Sample:
    """The mail of that tier (1..6) of a severity-1 ticket which was answered in time and then not resolved."""
    at = _DUE + (number - 1) * _HOUR
    tier = _TIERS[number - 1]
    notice = Notify(
        event_id=_id("step", number),
        ticket=_TICKET,
        cycle=1,
        run=1,
        severity=1,
        at=at,
        kind="escalation",
        role=tier.role,
        role_title=tier.title,
        step=number,
        tier=tier,
        reason="resolution_breached",
        target="24 hours",
        interval="1 hour",
        started_at=_OPENED + timedelta(minutes=30),
        due_at=_DUE,
        upcoming=UpcomingStep(at=at + _HOUR, tier=_TIERS[number] if number < len(_TIERS) else None),
    )
    before = [(_DUE + past * _HOUR, *_LADDER[past]) for past in range(number - 1)]
    told = tuple(
        Told(n, title, name, then, then + _HANDED_OVER) for n, (then, _, title, name, _) in enumerate(before, 1)
    )
    return Sample(notice, _reader(number), at + _HANDED_OVER, told)


def kinds() -> Mapping[str, Sample]:
    """One sample of each kind by its name; what each tells fits together, and the rules."""
    escalated, missed, answer = step(3), _about(2, "response_missed"), _about(3, "answer_missed")
    ended = _DUE + 2 * _HOUR + timedelta(minutes=25)
    stood_down = StandDown(
        event_id=_id("stand down"),
        ticket=_TICKET,
        cycle=1,
        run=1,
        severity=1,
        at=ended,
        notifications=(escalated.notice.event_id,),
        reason="resolved",
    )
    mailed = escalated.notice.at
    mine = (Told(3, _TIERS[2].title, _LADDER[2][2], mailed, mailed + _HANDED_OVER),)
    return {
        "escalation": escalated,
        "warning": _about(1, "warning"),
        "response_missed": missed,
        "answer_missed": answer,
        "stand_down": Sample(stood_down, _reader(3), ended + _HANDED_OVER, mine),
    }


def rehearse(templates: Templates) -> None:
    """Write every mail that there is. Raises TemplateFailed: which template, where, and why it would fail at night."""
    for telling in tellings():
        try:
            letter = write(telling, templates)
        except Exception as error:  # whatever a template does
            raise TemplateFailed(failure(error)) from error
        if not (letter.subject and letter.text.strip() and letter.html.strip()):
            raise TemplateFailed("a mail without a subject, a text or a page")


def tellings() -> Iterator[Telling]:
    """Every kind, in every way its words can turn."""
    samples = kinds()
    for sample in samples.values():
        yield telling(sample)
        yield replace(telling(sample), late=True, redelivery=Redelivery("a.key", sample.now, 2), pages=Pages())
        instead = replace(sample.reader, instead_of="robin@example.com", tier=None, rule="override: holiday")
        yield replace(telling(sample), reader=instead)
    escalation, stood_down = samples["escalation"].notice, samples["stand_down"].notice
    variants: list[Notify | StandDown] = [
        *(_changed(escalation, reason=reason) for reason in ("no_response", "explicit")),
        *(_changed(escalation, severity=severity, cycle=severity) for severity in (2, 3, 4)),
        _changed(escalation, unconfirmed=True, skipped=(_TIERS[1],), upcoming=None, due_at=None, target=None),
        _changed(escalation, interval=None),
        step(6).notice,
        *(_changed(samples[kind].notice, due_at=None, target=None) for kind in ("warning", "response_missed")),
        *(_changed(stood_down, reason=reason) for reason in ("workaround", "cancelled", "voided")),
        _changed(stood_down, reason="voided", run=None, clock="response"),
    ]
    unheard = Told(1, _TIERS[0].title, _LADDER[0][2], _DUE, None)
    crowd = (unheard, replace(unheard, name=None, tier=None), *(unheard for _ in range(20)))
    for notice in variants:
        for told in (crowd, ()):
            yield telling(Sample(notice, samples["escalation"].reader, samples["escalation"].now, told))


def telling(sample: Sample) -> Telling:
    """The sample told in UTC, with a link for every purpose."""
    asked = isinstance(sample.notice, Notify) and sample.notice.kind == "escalation"
    pages = Pages(f"https://psa.example.com/tickets/{sample.notice.ticket.external_id}")
    if asked:
        pages = replace(pages, acknowledge=_ACKNOWLEDGE, expires_at=sample.now + timedelta(days=7))
    return Telling(sample.notice, sample.reader, sample.told, sample.now, False, UTC, pages)


def _about(severity: int, kind: str) -> Sample:
    """A mail about a clock, to tier 1: a warning, a missed response, a missed answer."""
    clock = {"warning": "resolution", "response_missed": "response", "answer_missed": "answer"}[kind]
    opened, target, due = {
        "warning": (_OPENED, "24 hours", _DUE),
        "response_missed": (_OPENED + 9 * _HOUR, "2 hours", _OPENED + 11 * _HOUR),
        "answer_missed": (_OPENED + 8 * _HOUR, "24 hours", _OPENED + 32 * _HOUR),
    }[kind]
    ticket = _TICKETS.get(kind, _TICKET).model_copy(update={"opened_at": opened, "initial_severity": severity})
    warned_at = due - _TARGETS[target] / 4
    at = warned_at if kind == "warning" else due
    warned = Told(None, _TIERS[0].title, _LADDER[0][2], warned_at, warned_at + _HANDED_OVER)
    notice = Notify.model_validate(
        {
            "event_id": _id(kind),
            "ticket": ticket,
            "cycle": 1,
            "severity": severity,
            "at": at,
            "kind": kind,
            "role": _TIERS[0].role,
            "role_title": _TIERS[0].title,
            "clock": clock,
            "target": target,
            "due_at": due,
        }
    )
    told = () if kind == "warning" else (warned,)
    return Sample(notice, replace(_reader(1), tier=None), at + _HANDED_OVER, told)


_TICKETS: Final = {
    "response_missed": _TICKET.model_copy(
        update={
            "ticket_id": UUID("6f0f0f61-53f2-5c0b-8d6b-6a7b7f2c1a55"),
            "external_id": "SR-1057",
            "summary": "VPN drops every ten minutes",
            "affected_services": ("VPN",),
            "contact": Contact(name="Ana Lima", phone="+1 212 555 0187"),
            "customer": Customer(id="globex", name="Globex"),
        }
    ),
    "answer_missed": _TICKET.model_copy(
        update={
            "ticket_id": UUID("2e9d1c8a-0d43-5a4e-b0a7-7f4f0a3b9e21"),
            "external_id": "SR-1055",
            "summary": "New monitor for the front desk",
            "affected_services": ("Hardware",),
            "contact": Contact(name="Jo Park", email="jo@initech.example"),
            "customer": Customer(id="initech", name="Initech"),
            "channel": "email",
            "category": "user_request",
        }
    ),
}


def _reader(tier: int) -> Reader:
    role, title, name, person = _LADDER[tier - 1]
    return Reader(person, name, f"{person}@example.com", role, title, tier, "default")


def _changed(notice: Notify | StandDown, **fields: object) -> Notify | StandDown:
    return notice.model_copy(update=fields)


def _id(*what: str | int) -> UUID:
    return derived_id(_TICKET.ticket_id, "rehearsal", *what)
