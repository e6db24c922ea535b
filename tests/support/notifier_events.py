"""Events of the escalator and the board, for tests of the notifier."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from tocsin.events import (
    Contact,
    Customer,
    Exhausted,
    Notify,
    ReportReady,
    StandDown,
    Ticket,
    Tier,
    UpcomingStep,
    pack_page,
    report_id,
)

NOON = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
TIERS = {1: Tier(number=1, role="service_desk_team_lead", title="Service Desk Team Lead")}
TIERS[2] = Tier(number=2, role="senior_it_operations_manager", title="Senior IT Operations Manager")


def ticket(**fields: Any) -> Ticket:
    given_fields: dict[str, Any] = {
        "tenant": "default",
        "ticket_id": UUID(int=7),
        "source": "connectwise",
        "external_id": "SR-1042",
        "summary": "Mail is down",
        "affected_services": ("Email",),
        "contact": Contact(name="Sam", email="sam@acme.example"),
        "customer": Customer(id="acme", name="Acme"),
        "channel": "portal",
        "category": "incident",
        "opened_at": NOON,
        "initial_severity": 1,
    }
    return Ticket(**(given_fields | fields))


def escalation(of: Ticket | None = None, **fields: Any) -> Notify:
    given_fields: dict[str, Any] = {
        "event_id": UUID(int=1),
        "ticket": of or ticket(),
        "cycle": 1,
        "run": 1,
        "severity": 1,
        "at": NOON + timedelta(hours=1),
        "kind": "escalation",
        "role": "service_desk_team_lead",
        "role_title": "Service Desk Team Lead",
        "step": 1,
        "tier": TIERS[1],
        "reason": "resolution_breached",
        "target": "24 hours",
        "due_at": NOON + timedelta(hours=1),
        "upcoming": UpcomingStep(at=NOON + timedelta(hours=2), tier=TIERS[2]),
    }
    return Notify(**(given_fields | fields))


def about_clock(kind: Literal["warning", "response_missed", "answer_missed"], **fields: Any) -> Notify:
    clock = "answer" if kind == "answer_missed" else "response"
    cleared = {"run": None, "step": None, "tier": None, "reason": None, "upcoming": None}
    return escalation(kind=kind, **(cleared | {"clock": clock} | fields))


def request(kind: Literal["escalation_request", "rerouted"], of: Ticket | None = None, **fields: Any) -> Notify:
    who = {"role": "contact", "role_title": "Contact"} if kind == "rerouted" else {}
    cleared = {
        "run": None,
        "step": None,
        "tier": None,
        "reason": None,
        "upcoming": None,
        "target": None,
        "due_at": None,
    }
    return escalation(of, kind=kind, **(cleared | who | fields))


def exhausted(of: Ticket | None = None, **fields: Any) -> Exhausted:
    given_fields: dict[str, Any] = {
        "event_id": UUID(int=800),
        "ticket": of or ticket(),
        "cycle": 1,
        "run": 1,
        "severity": 1,
        "at": NOON + timedelta(hours=2),
        "notifications": (UUID(int=1),),
        "reason": "ladder",
        "due_at": NOON + timedelta(hours=1),
    }
    return Exhausted(**(given_fields | fields))


def stand_down(of: Ticket | None = None, **fields: Any) -> StandDown:
    given_fields: dict[str, Any] = {
        "event_id": UUID(int=900),
        "ticket": of or ticket(),
        "cycle": 1,
        "run": 1,
        "severity": 1,
        "at": NOON + timedelta(hours=1, minutes=5),
        "notifications": (UUID(int=1),),
        "reason": "resolved",
    }
    return StandDown(**(given_fields | fields))


REPORT_PAGE = "<!DOCTYPE html><title>Service levels</title><p>Øresund: 98.3 %</p>"


def report_ready(customer: str | None = "acme", to: str = "dana", month: str = "2026-05", **fields: Any) -> ReportReady:
    given_fields: dict[str, Any] = {
        "event_id": report_id("default", month, customer, to),
        "tenant": "default",
        "month": month,
        "customer": Customer(id=customer, name=customer.capitalize()) if customer else None,
        "to": to,
        "subject": "Service levels of May 2026",
        "text": "Response: 118 of 120 met (98.3 %)\nResolution: 96 of 101 met (95.0 %)",
        "at": NOON,
    }
    made = ReportReady(**(given_fields | fields))
    return made.model_copy(update={"page": pack_page(REPORT_PAGE)}) if "page" not in fields else made
