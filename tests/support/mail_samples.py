"""Sample mails that fit together and the rules: docs/mail.md shows them, and tests compare text and HTML of each."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from uuid import UUID

from notifier.domain.delivery import Notification
from notifier.domain.digest_mail import DigestContext, DigestItem, render_digest
from notifier.domain.mail_history import EarlierMail
from notifier.domain.rendering import RenderedMail, render_mail
from notifier.domain.template_context import Involved, MailContext, Pages, Reader
from notifier.sources.mail_templates import built_in_templates
from tocsin.directory import Holder
from tocsin.events import (
    Acknowledgement,
    Assignee,
    Contact,
    Customer,
    Exhausted,
    Notify,
    StandDown,
    Ticket,
    Tier,
    UpcomingStep,
    derived_id,
)

_OPENED: Final = datetime(2026, 6, 10, 5, 10, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_DUE: Final = _OPENED + timedelta(minutes=30) + 24 * _HOUR  # responded at 05:40
_SECOND: Final = timedelta(seconds=1)
_TICKET: Final = Ticket(
    tenant="default",
    ticket_id=UUID("0b0e7c1c-6c52-5d3e-9f0a-3c8a53f1d9b4"),
    source="connectwise",
    external_id="SR-1042",
    summary="Mail is down for the whole of the Rotterdam office",
    description="Nobody in Rotterdam can send or receive mail.\nOutlook says: cannot connect to the server.",
    affected_services=("E-mail", "Calendar"),
    contact=Contact(name="Sam de Vries", phone="+31 10 555 0142", email="sam@acme.example"),
    customer=Customer(id="acme", name="Acme Logistics"),
    channel="portal",
    category="incident",
    opened_at=_OPENED,
    initial_severity=1,
    assignee=Assignee(name="Priya Nair", email="priya@example.com"),
)
_LADDER: Final = [
    ("service_desk_team_lead", "Service Desk Team Lead", "Dana Whitfield", "dana"),
    ("senior_it_operations_manager", "Senior IT Operations Manager", "Kim Østergård", "kim"),
    ("it_operations_director", "IT Operations Director", "Robin Okafor", "robin"),
    ("account_manager", "Account Manager", "Lee Marchetti", "lee"),
]
_TIERS: Final = [Tier(number=n, role=role, title=title) for n, (role, title, _, _) in enumerate(_LADDER, 1)]


@dataclass(frozen=True, slots=True)
class Sample:
    """`notification` as its mail reaches `reader` at the business instant `now`."""

    notification: Notification
    reader: Reader
    now: datetime
    earlier: tuple[EarlierMail, ...] = ()
    involved: Involved = field(default_factory=Involved)

    def render(self, zone: tzinfo) -> RenderedMail:
        """With the built-in templates, instants also in `zone`, and a link for every purpose."""
        pages = Pages(f"https://psa.example.com/tickets/{self.notification.ticket.external_id}")
        if isinstance(self.notification, Notify) and self.notification.kind == "escalation":
            link, expires_at = "https://sla.example.com/ack/a-token", self.now + timedelta(days=7)
            pages = replace(pages, acknowledge=link, expires_at=expires_at)
        if isinstance(self.notification, Notify) and self.notification.kind == "rerouted":
            pages = replace(pages, help_guide="https://example.com/how-to-get-help")
        mail = MailContext(
            notification=self.notification,
            reader=self.reader,
            earlier=self.earlier,
            now=self.now,
            late=False,
            zone=zone,
            pages=pages,
            involved=self.involved,
        )
        return render_mail(mail, built_in_templates())


def _reader(tier: int) -> Reader:
    role, title, name, person = _LADDER[tier - 1]
    return Reader(person, name, f"{person}@example.com", role, title, tier, "default")


def _earlier(tier: int, scheduled_at: datetime) -> EarlierMail:
    _, title, name, _ = _LADDER[tier - 1]
    return EarlierMail(tier, title, name, scheduled_at, scheduled_at + _SECOND)


def _id(name: str) -> UUID:
    return derived_id(_TICKET.ticket_id, "sample", name=name)


def _escalation() -> Sample:
    """Tier 3 of a severity-1 ticket that was responded to in time and then not resolved."""
    tier, following = _TIERS[2], _TIERS[3]
    at = _DUE + _HOUR / 3 + 2 * _HOUR
    notify = Notify(
        event_id=_id("escalation"),
        ticket=_TICKET,
        cycle=1,
        run=1,
        severity=1,
        at=at,
        kind="escalation",
        role=tier.role,
        role_title=tier.title,
        step=3,
        tier=tier,
        reason="resolution_breached",
        target="24 hours",
        interval="1 hour",
        started_at=_OPENED + timedelta(minutes=30),
        due_at=_DUE,
        upcoming=UpcomingStep(at=at + _HOUR, tier=following),
        acknowledgements=(Acknowledgement(at=_DUE + _HOUR / 3, by="dana", held_until=_DUE + _HOUR / 3 + _HOUR),),
    )
    _, _, name, person = _LADDER[3]
    involved = Involved(
        next_holder=Holder(person, name, f"{person}@example.com", "default", phone="+1 212 555 0104"),
        names={"dana": _LADDER[0][2]},
    )
    told = (_earlier(1, _DUE), _earlier(2, _DUE + _HOUR / 3 + _HOUR))
    return Sample(notify, _reader(3), at + _SECOND, told, involved)


def _stand_down() -> Sample:
    """Twenty-five minutes later the ticket was resolved."""
    mailed = _DUE + _HOUR / 3 + 2 * _HOUR
    ended = mailed + timedelta(minutes=25)
    stand_down = StandDown(
        event_id=_id("stand down"),
        ticket=_TICKET,
        cycle=1,
        run=1,
        severity=1,
        at=ended,
        notifications=(_id("escalation"),),
        reason="resolved",
    )
    return Sample(stand_down, _reader(3), ended + _SECOND, (_earlier(3, mailed),))


def _about_clock(kind: str, severity: int, clock: str, target: timedelta, ticket: Ticket) -> Sample:
    """A mail to tier 1; a missed clock was preceded by a warning."""
    started = _DUE - 24 * _HOUR if kind == "warning" else ticket.opened_at
    due = started + target
    warned = due - target / 4
    at = warned if kind == "warning" else due
    notify = Notify.model_validate(
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
            "target": f"{target // _HOUR} hours",
            "due_at": due,
        }
    )
    earlier = () if kind == "warning" else (replace(_earlier(1, warned), tier=None, kind="warning"),)
    return Sample(notify, replace(_reader(1), tier=None), at + _SECOND, earlier)


_VPN: Final = _TICKET.model_copy(
    update={
        "ticket_id": UUID("6f0f0f61-53f2-5c0b-8d6b-6a7b7f2c1a55"),
        "external_id": "SR-1057",
        "summary": "VPN drops every ten minutes",
        "description": None,
        "assignee": None,
        "affected_services": ("VPN",),
        "contact": Contact(name="Ana Lima", phone="+1 212 555 0187"),
        "customer": Customer(id="globex", name="Globex"),
        "opened_at": _OPENED + 9 * _HOUR,
        "initial_severity": 2,
    }
)
_MONITOR: Final = _TICKET.model_copy(
    update={
        "ticket_id": UUID("2e9d1c8a-0d43-5a4e-b0a7-7f4f0a3b9e21"),
        "external_id": "SR-1055",
        "summary": "New monitor for the front desk",
        "description": None,
        "assignee": None,
        "affected_services": ("Hardware",),
        "contact": Contact(name="Jo Park", email="jo@initech.example"),
        "customer": Customer(id="initech", name="Initech"),
        "channel": "email",
        "category": "user_request",
        "opened_at": _OPENED + 8 * _HOUR,
        "initial_severity": 3,
    }
)
_HIRE: Final = _TICKET.model_copy(
    update={
        "ticket_id": UUID("8a5b1f0c-95d3-5c0e-8d1e-0f6a3c1b7d42"),
        "external_id": "SR-1060",
        "summary": "Onboarding of Jane Miller",
        "description": "Jane starts as an accountant. She needs a laptop and the usual accounts.",
        "affected_services": ("Accounts",),
        "channel": "email",
        "category": "onboarding",
        "routed_to": "escalations",
        "flags": ("short_notice", "default_severity"),
        "starts_at": _OPENED + 30 * _HOUR,
        "initial_severity": 4,
        "assignee": None,
    }
)
_REROUTED: Final = _MONITOR.model_copy(update={"flags": ("rerouted",)})


def _about_request(kind: str, ticket: Ticket, reader: Reader) -> Sample:
    notify = Notify.model_validate(
        {
            "event_id": _id(kind),
            "ticket": ticket,
            "cycle": 1,
            "severity": ticket.initial_severity,
            "at": ticket.opened_at,
            "kind": kind,
            "role": reader.role,
            "role_title": reader.role_title,
        }
    )
    return Sample(notify, reader, ticket.opened_at + _SECOND)


def _exhausted() -> Sample:
    """An hour after the last of three tiers; the others are vacant."""
    at = _DUE + 3 * _HOUR
    exhausted = Exhausted(
        event_id=_id("exhausted"),
        ticket=_TICKET,
        cycle=1,
        run=1,
        severity=1,
        at=at,
        reason="vacant",
        skipped=(_TIERS[3],),
        target="24 hours",
        due_at=_DUE,
        notifications=(_id("escalation"),),
    )
    told = tuple(_earlier(tier, _DUE + (tier - 1) * _HOUR) for tier in (1, 2, 3))
    return Sample(exhausted, _reader(2), at + _SECOND, told)


_SCANNER: Final = _MONITOR.model_copy(
    update={
        "ticket_id": UUID("5d0c2f7e-6c1a-5b77-9a53-3f0d9e6a4b10"),
        "external_id": "SR-1063",
        "summary": "The scanner on the second floor sends empty pages",
    }
)
_CHAIR: Final = _VPN.model_copy(
    update={
        "ticket_id": UUID("c41e7a90-2b6f-5e0d-8f4e-1a7c5d3b9e66"),
        "external_id": "SR-1064",
        "summary": "Desk for the new colleague",
        "initial_severity": 4,
    }
)
_CONTACT: Final = Reader(
    "jo@initech.example", "Jo Park", "jo@initech.example", "contact", "Contact", None, "contact of the ticket"
)
SAMPLES: Final = {
    "escalation": _escalation(),
    "warning": _about_clock("warning", 1, "resolution", 24 * _HOUR, _TICKET),
    "response_missed": _about_clock("response_missed", 2, "response", 2 * _HOUR, _VPN),
    "answer_missed": _about_clock("answer_missed", 3, "answer", 24 * _HOUR, _MONITOR),
    "stand_down": _stand_down(),
    "exhausted": _exhausted(),
    "escalation_request": _about_request("escalation_request", _HIRE, replace(_reader(1), tier=None)),
    "rerouted": _about_request("rerouted", _REROUTED, _CONTACT),
}
"""One mail of each kind."""


def render_digest_sample(zone: tzinfo) -> RenderedMail:
    """A digest for tier 1: a missed answer, a warning, and a warning whose clock is paused."""
    now = SAMPLES["answer_missed"].now
    items = []
    for kind, ticket, due_at in (
        ("answer_missed", _MONITOR, now - _SECOND),
        ("warning", _SCANNER, now + 2 * _HOUR),
        ("warning", _CHAIR, None),
    ):
        notify = _about_clock(kind, ticket.initial_severity, "response", 24 * _HOUR, ticket).notification
        if not isinstance(notify, Notify):
            raise TypeError(kind)
        clock = "answer" if kind == "answer_missed" else "response"
        target = "24 hours" if clock == "answer" else "1 business day"
        shown = notify.model_copy(update={"due_at": due_at, "at": now - _SECOND, "clock": clock, "target": target})
        items.append(DigestItem(shown, is_late=False, page=f"https://psa.example.com/tickets/{ticket.external_id}"))
    digest = DigestContext(
        digest_id=_id("digest"),
        items=items,
        reader=replace(_reader(1), tier=None),
        role_titles=[_TIERS[0].title],
        now=now,
        zone=zone,
    )
    return render_digest(digest, built_in_templates())
