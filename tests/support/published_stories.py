"""Tickets for the pages of the board, made by the code of sla-timer and the escalator without a database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid5

import orjson
from board.domain.board_ticket import BoardTicket, TicketPhase
from board.domain.clock_ledger import TicketLedger
from board.domain.owner_responses import read_clocks, read_ladder, read_tiers
from board.domain.ticket_story import StoryEvent, TicketStory
from escalator.api.schemas import LadderResponse
from escalator.domain.decisions import decide
from escalator.domain.tiers import TicketEscalation
from escalator.store.ladders import LadderRow
from sla_timer.api.ticket_clocks import current_clocks_json, ticket_clocks_json
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.handlers.queries import TicketTimeline
from tocsin.business_time import micros
from tocsin.directory import Directory, load_directory
from tocsin.events import (
    DeliveryEvent,
    DeliveryState,
    Exhausted,
    Fact,
    FactType,
    Notify,
    Recipient,
    StandDown,
    Tier,
)
from tocsin.lifecycle import TicketStatus, status_of

from support.fake_timer import FakeTimer, shipped_history
from support.stories import DEFAULT_POLICY

SHIPPED_DIRECTORY = (DEFAULT_POLICY.parent / "directory.yaml").read_text("utf-8")


@dataclass
class PublishedStory:
    """One ticket, with everything that the four services publish as facts arrive and time passes.

    Mails arrive `delay` after their notification.
    """

    timer: FakeTimer
    directory: Directory
    delay: timedelta = timedelta(seconds=4)
    escalation: TicketEscalation = field(default_factory=TicketEscalation)
    events: list[StoryEvent] = field(default_factory=list)
    deliveries: list[DeliveryEvent] = field(default_factory=list)
    now: datetime | None = None

    @classmethod
    def of(
        cls, policies: PolicyHistory | None = None, directory: str = SHIPPED_DIRECTORY, **fields: Any
    ) -> "PublishedStory":
        return cls(FakeTimer(policies or shipped_history(), **fields), load_directory(directory, "directory.yaml"))

    def receive(self, *facts: Fact) -> None:
        """Receive the facts together, each when it was received."""
        self._pass(min(fact.received_at for fact in facts))
        self.timer.receive(facts, max(fact.received_at for fact in facts))
        self._publish()
        self.now = max(fact.received_at for fact in facts)

    def advance(self, to: datetime) -> None:
        """Let time pass until `to`."""
        self._pass(to)
        self.now = to

    def story(self) -> TicketStory:
        """What the board has of the ticket now."""
        found = self._timeline()
        current = orjson.loads(orjson.dumps(current_clocks_json(found)))
        body = orjson.loads(orjson.dumps(ticket_clocks_json(found)))
        assert self.now is not None
        status = status_of(self.timer.facts)
        assigned = [fact.assignee for fact in self.timer.facts if fact.type is FactType.ASSIGNED]
        ticket = self.timer.ticket
        assignee = assigned[-1] if assigned else ticket.assignee
        return TicketStory(
            ticket=BoardTicket(
                ticket=ticket,
                severity=status.severity,
                state=_state(status, self.timer.facts),
                assignee=assignee.name if assignee else None,
                facts=len(self.timer.facts),
                historic=False,
                clocks=read_clocks(current),
                ladder=self._ladder(),
                last_mail=None,
                version=1,
                tiers=read_tiers(current),
            ),
            facts=tuple(self.timer.facts),
            events=tuple(self.events),
            deliveries=tuple(sorted(self.deliveries, key=lambda delivery: delivery.at)),
            ledger=TicketLedger.model_validate(body),
            names={person: known.name for person, known in self.directory.people.items()},
        )

    def _pass(self, to: datetime) -> None:
        self.timer.pass_time(to)
        self._publish()

    def _publish(self) -> None:
        known = sum(1 for event in self.events if event in self.timer.events)
        for event in self.timer.events[known:]:
            self.escalation, decided = decide(event, self.escalation, self._is_vacant)
            self.events += [event, *decided]
            for cause in decided:
                self._mail(cause)

    def _mail(self, cause: StoryEvent) -> None:
        if isinstance(cause, Notify):
            self._deliver(cause, cause.role, cause.kind, step=cause.step, tier=cause.tier)
        elif isinstance(cause, StandDown | Exhausted):
            kind = "stand_down" if isinstance(cause, StandDown) else "exhausted"
            mailed = [mail for mail in self.deliveries if mail.notification_id in cause.notifications]
            for mail in {mail.recipient.person: mail for mail in mailed}.values():
                self._deliver(cause, mail.recipient.role, kind)

    def _deliver(
        self,
        cause: Notify | StandDown | Exhausted,
        role: str,
        kind: str,
        step: int | None = None,
        tier: Tier | None = None,
    ) -> None:
        holder = self.directory.holder(role, cause.ticket.customer.id, cause.at)
        recipient = Recipient(role=role)
        if holder is not None:
            recipient = Recipient(
                role=role, person=holder.person, name=holder.name, email=holder.email, rule=holder.rule
            )
        delivery = DeliveryEvent.model_validate(
            {
                "event_id": uuid5(cause.event_id, f"event {role}"),
                "delivery_id": uuid5(cause.event_id, role),
                "notification_id": cause.event_id,
                "tenant": cause.ticket.tenant,
                "ticket_id": cause.ticket_id,
                "kind": kind,
                "cycle": cause.cycle,
                "run": cause.run,
                "step": step,
                "tier": tier.number if tier else None,
                "recipient": recipient,
                "state": "sent" if holder else "undeliverable",
                "attempts": 1 if holder else 0,
                "scheduled_at": cause.at,
                "at": max(cause.at, self._published_at()) + self.delay,
                "reply": None if holder else f"nobody holds the role {role}",
            }
        )
        self.deliveries.append(delivery)

    def _published_at(self) -> datetime:
        return max(fact.received_at for fact in self.timer.facts)

    def _is_vacant(self, tier: Tier, at: datetime) -> bool:
        return self.directory.holder(tier.role, self.timer.ticket.customer.id, at) is None

    def _timeline(self) -> TicketTimeline:
        assert self.now is not None
        timer = self.timer
        record = TicketRecord(
            ticket=timer.ticket,
            partition=0,
            historic_through=None,
            responded_at=None,
            facts=timer.facts,
            published=timer.keys,
            ladders={},
            notices=(),
        )
        timeline = evaluate(record.fact_log(timer.policies), timer.policies, micros(self.now))
        return TicketTimeline(record, timer.policies, timeline, self.now, self.now, unconfirmed=False)

    def _ladder(self) -> Any:
        if not self.escalation.runs:
            return None
        ticket, key = self.timer.ticket, max(self.escalation.runs)
        row = LadderRow(1, ticket.ticket_id, key, ticket.source, ticket.external_id, ticket.summary, ticket.customer)
        response = LadderResponse.of(row, self.escalation, self._is_vacant)
        return read_ladder(orjson.loads(response.model_dump_json()))


def _state(status: TicketStatus, facts: Iterable[Fact]) -> TicketPhase:
    if status.closed:
        closing = [fact.type for fact in facts if fact.type in (FactType.RESOLVED, FactType.CANCELLED)]
        return TicketPhase.CANCELLED if closing[-1] is FactType.CANCELLED else TicketPhase.RESOLVED
    return TicketPhase.PAUSED if status.paused else TicketPhase.OPEN


def failed(delivery: DeliveryEvent, reply: str, state: DeliveryState = "bounced") -> DeliveryEvent:
    """The delivery as it failed half a minute later."""
    return delivery.model_copy(update={"state": state, "reply": reply, "at": delivery.at + timedelta(seconds=30)})


def sent_to_fallback(delivery: DeliveryEvent, email: str) -> DeliveryEvent:
    """The delivery that sends the same mail to the next address."""
    new: dict[str, Any] = {
        "delivery_id": uuid5(delivery.delivery_id, email),
        "event_id": uuid5(delivery.event_id, email),
        "fallback_of": delivery.delivery_id,
        "recipient": delivery.recipient.model_copy(update={"email": email}),
        "at": delivery.at + timedelta(seconds=40),
        "state": "sent",
        "reply": None,
    }
    return delivery.model_copy(update=new)
