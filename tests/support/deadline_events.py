"""Events of the deadlines topic as sla-timer publishes them, for the tests of their consumers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockName,
    ClockVoided,
    ClockWarned,
    Contact,
    Customer,
    EndReason,
    EscalationReason,
    EscalationRequested,
    LadderContinued,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    RequestRerouted,
    Ticket,
    Tier,
    derived_id,
    ticket_id,
)

START = datetime(2026, 6, 9, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)
LADDER = tuple(
    Tier(number=number, role=role, title=title)
    for number, (role, title) in enumerate(
        [
            ("service_desk_team_lead", "Service Desk Team Lead"),
            ("senior_it_operations_manager", "Senior IT Operations Manager"),
            ("it_operations_director", "IT Operations Director"),
            ("account_manager", "Account Manager"),
            ("chief_operating_officer", "Chief Operating Officer"),
            ("chief_executive_officer", "Chief Executive Officer"),
        ],
        start=1,
    )
)


def ticket(external_id: str = "SR-1042", tenant: str = "default", customer: str = "acme") -> Ticket:
    return Ticket(
        tenant=tenant,
        ticket_id=ticket_id(tenant, "connectwise", external_id),
        source="connectwise",
        external_id=external_id,
        summary="Mail is down",
        affected_services=("Email",),
        contact=Contact(name="Dana Wu", email="dana@acme.example"),
        customer=Customer(id=customer, name=customer.capitalize()),
        channel="portal",
        category="incident",
        opened_at=START - 25 * HOUR,
        initial_severity=1,
    )


class DeadlineEventFactory:
    """Makes the events of one ticket. Instants are hours after `START`, the breach."""

    def __init__(self, about: Ticket | None = None) -> None:
        self.ticket = about or ticket()

    def step(
        self,
        step: int,
        hours: float | None = None,
        *,
        reason: EscalationReason = "resolution_breached",
        following: float | None = 1,
        ladder: Sequence[Tier] = LADDER,
        **more: Any,
    ) -> LadderStepDue:
        """Step n at `hours`, by default an hour after step n - 1; the next one `following` hours later."""
        at = START + (step - 1 if hours is None else hours) * HOUR
        return LadderStepDue(
            **self._common("step_due", at, more, step),
            step=step,
            reason=reason,
            ladder=tuple(ladder),
            interval="1 hour",
            target="24 hours",
            started_at=START - 24 * HOUR,
            due_at=START,
            next_at=None if following is None else at + following * HOUR,
        )

    def step_voided(self, step: int, hours: float = 0, **more: Any) -> LadderStepVoided:
        return LadderStepVoided(**self._common("step_voided", START + hours * HOUR, more, step), step=step)

    def held(self, hours: float, until: float | None, actor: str | None = None, **more: Any) -> LadderHeld:
        at = START + hours * HOUR
        return LadderHeld(
            **self._common("held", at, more, str(at)),
            by="acknowledged",
            until=None if until is None else START + until * HOUR,
            acknowledged_by=actor,
        )

    def continued(
        self, hours: float, following: float | None = None, *, exhausted: float | None = None, **more: Any
    ) -> LadderContinued:
        """The next step at `following`, the exhaustion at `exhausted`; `held` and `acknowledgements` are in `more`."""
        at = START + hours * HOUR
        return LadderContinued(
            **self._common("continued", at, more, str(at)),
            next_at=None if following is None else START + following * HOUR,
            exhausted_at=None if exhausted is None else START + exhausted * HOUR,
        )

    def ended(self, hours: float, reason: EndReason = "resolved", stand_down: bool = True, **more: Any) -> LadderEnded:
        at = START + hours * HOUR
        return LadderEnded(**self._common("ended", at, more, str(at)), reason=reason, stand_down=stand_down)

    def exhausted(self, hours: float = 6, **more: Any) -> LadderExhausted:
        return LadderExhausted(**self._common("exhausted", START + hours * HOUR, more))

    def requested(self, role: str = "service_desk_team_lead", **more: Any) -> EscalationRequested:
        return EscalationRequested(**self._common("requested", self.ticket.opened_at, more), role=role)

    def rerouted(self, **more: Any) -> RequestRerouted:
        return RequestRerouted(**self._common("rerouted", self.ticket.opened_at, more))

    def warned(self, clock: ClockName, hours: float = -6, roles: Sequence[str] = (), **more: Any) -> ClockWarned:
        common = self._common("warned", START + hours * HOUR, more, clock)
        return ClockWarned(**common, clock=clock, due_at=START, target="24 hours", roles=tuple(roles) or _LEAD)

    def breached(self, clock: ClockName, hours: float = 0, roles: Sequence[str] = (), **more: Any) -> ClockBreached:
        common = self._common("breached", START + hours * HOUR, more, clock)
        return ClockBreached(**common, clock=clock, due_at=START, target="1 hour", roles=tuple(roles) or _LEAD)

    def met(self, clock: ClockName, hours: float = -1, **more: Any) -> ClockMet:
        return ClockMet(**self._common("met", START + hours * HOUR, more, clock), clock=clock)

    def cancelled(self, clock: ClockName, hours: float = -1, **more: Any) -> ClockCancelled:
        return ClockCancelled(**self._common("cancelled", START + hours * HOUR, more, clock), clock=clock)

    def voided(self, published: ClockWarned | ClockBreached, hours: float = 1, stand_down: bool = True) -> ClockVoided:
        kind: Literal["warned", "breached"] = "warned" if isinstance(published, ClockWarned) else "breached"
        common = self._common(
            "voided", START + hours * HOUR, {"cycle": published.cycle, "run": published.run}, published.clock, kind
        )
        return ClockVoided(**common, clock=published.clock, kind=kind, voids=published.event_id, stand_down=stand_down)

    def _common(self, kind: str, at: datetime, more: dict[str, Any], *parts: str | int) -> dict[str, Any]:
        where = {"cycle": 1, "run": 1, "severity": 1} | more
        about = "/".join(map(str, parts))
        event_id = derived_id(self.ticket.ticket_id, kind, cycle=where["cycle"], run=where["run"], about=about)
        return {"event_id": event_id, "ticket": self.ticket, "at": at, **where}


_LEAD = ("service_desk_team_lead",)
