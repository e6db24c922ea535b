"""Tickets of the board, as it reads them from responses of sla-timer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from board.domain.board_ticket import BoardTicket, TicketPhase
from board.domain.owner_responses import read_clocks, read_tiers
from sla_timer.api.ticket_clocks import current_clocks_json
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.handlers.queries import TicketTimeline
from tocsin.business_time import micros
from tocsin.events import Fact

from support.timer_world import ticket


def evaluated(
    facts: Sequence[Fact], until: datetime, policies: PolicyHistory, *, name: str = "SR-1", **fields: Any
) -> TicketTimeline:
    """What sla-timer knows of a ticket with these facts at `until`."""
    about = ticket(name, facts, **fields)
    record = replace(TicketRecord.opened(about, 0), facts=facts)
    return TicketTimeline(
        record=record,
        policies=policies,
        timeline=evaluate(record.fact_log(policies), policies, micros(until)),
        evaluated_to=until,
        accepted_through=until,
        unconfirmed=False,
    )


def board_ticket(found: TicketTimeline, **fields: Any) -> BoardTicket:
    """The same ticket on the board, open and without a ladder."""
    item = current_clocks_json(found)
    made = BoardTicket(
        ticket=found.record.ticket,
        severity=found.timeline.severity,
        state=TicketPhase.OPEN,
        assignee=None,
        facts=len(found.record.facts),
        historic=False,
        clocks=read_clocks(item),
        ladder=None,
        last_mail=None,
        version=1,
        tiers=read_tiers(item),
    )
    return replace(made, **fields)
