"""The content of a ticket's page, in words and shapes. Pure; a template only lays it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Final

from tocsin.events import Category, Fact, Flag
from tocsin.lifecycle import in_order

from board.domain.board_ticket import BoardClock, ClockState
from board.domain.event_words import fact_words
from board.domain.ledger_words import LedgerContext, LedgerSentence, ledger_lines
from board.domain.mail_reasons import MailReason, mail_reasons
from board.domain.ticket_headline import TicketHeadline, ticket_headline
from board.domain.ticket_history import HistoryEntry, ticket_history
from board.domain.ticket_story import TicketStory
from board.domain.time_words import Moment, PageTime, Words, hours_words
from board.domain.timeline_drawing import NAMES_WIDTH, TimelineDrawing, draw_timeline

_SEVERITIES: Final = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
_CATEGORIES: Final[dict[Category, str]] = {"mishandled_request": "request not handled properly"}
_FLAGS: Final[dict[Flag, str]] = {
    "rerouted": "rerouted to the support mailbox",
    "short_notice": "short notice: requested less than the agreed time before the start",
    "start_missing": "start missing: ask the customer when the work is to start",
    "security": "security vulnerability",
    "severity_disputed": "severity disputed",
    "contact_unusable": "mail cannot be sent to the contact's address",
    "text_cleaned": "control characters were removed from an id, a name or an address",
    "default_severity": "severity is the default of the integration",
    "default_services": "affected services are the default of the integration",
    "default_contact": "contact is the default of the integration",
    "default_customer": "customer is the default of the integration",
    "default_summary": "summary is the default of the integration",
    "default_opened_at": "opening time unknown: the time of receipt is used",
}
_LATE_RECEIPT: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class HistoryDay:
    """The entries of one local day, each with its time."""

    day: str
    entries: tuple[tuple[Moment, HistoryEntry], ...]


@dataclass(frozen=True, slots=True)
class ClockView:
    """A clock: its name, its state as a word and a CSS class, and its ledger. `lines` is empty without a ledger."""

    name: str
    state: str
    css: str
    summary: Words
    lines: tuple[LedgerSentence, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FactView:
    """A fact: what, by whom, when; and when it was received, unless that was at once."""

    occurred: Moment
    received: Moment | None
    words: str
    actor: str | None


@dataclass(frozen=True, slots=True)
class TicketView:
    """The content of the page, from top to bottom."""

    story: TicketStory
    severity: str
    category: str
    flags: tuple[str, ...]
    opened: Moment
    tool_page: str | None
    headline: TicketHeadline
    drawing: TimelineDrawing
    names_width: float
    drawing_words: str
    days: tuple[HistoryDay, ...]
    clocks: tuple[ClockView, ...]
    has_ledger: bool
    mails: tuple[MailReason, ...]
    facts: tuple[FactView, ...]
    zone: str
    now: Moment


def ticket_view(story: TicketStory, time: PageTime, tool_page: str | None) -> TicketView:
    """The content of the page of a ticket. `tool_page` is the URL of the ticket in its tool."""
    ticket, entries = story.ticket.ticket, ticket_history(story, time)
    return TicketView(
        story=story,
        severity=_SEVERITIES[story.ticket.severity],
        category=_CATEGORIES.get(ticket.category, ticket.category.replace("_", " ")),
        flags=tuple(_FLAGS[flag] for flag in dict.fromkeys(ticket.flags)),
        opened=time.full(ticket.opened_at),
        tool_page=tool_page,
        headline=ticket_headline(story, time),
        drawing=draw_timeline(story, time),
        names_width=NAMES_WIDTH,
        drawing_words=_drawing_words(story, entries, time),
        days=tuple(_days(entries, time)),
        clocks=tuple(_clock_view(clock, story, time) for clock in story.ticket.clocks),
        has_ledger=story.ledger is not None,
        mails=tuple(mail_reasons(story, time)),
        facts=tuple(_fact_view(fact, story, time) for fact in in_order(story.facts)),
        zone=time.zone_words,
        now=time.full(time.now),
    )


def _drawing_words(story: TicketStory, entries: Sequence[HistoryEntry], time: PageTime) -> str:
    """The description of the drawing."""
    begin = time.full(story.ticket.ticket.opened_at)
    until = f"now, {time.full(time.now)}" if story.ticket.is_open else f"{time.full(entries[-1].at)}"
    return (
        f"What each clock counted, the escalation, and the mails from {begin} to {until}. "
        f"The list below has the same {len(entries)} entries as text."
    )


def _days(entries: Sequence[HistoryEntry], time: PageTime) -> list[HistoryDay]:
    by_day = groupby(entries, key=lambda entry: time.local(entry.at).date())
    return [
        HistoryDay(time.date_words(day), tuple((time.minute(entry.at), entry) for entry in of_day))
        for day, of_day in by_day
    ]


def _clock_view(clock: BoardClock, story: TicketStory, time: PageTime) -> ClockView:
    account = story.ledger.of(clock.cycle, clock.name) if story.ledger else None
    is_reopened = any(other.cycle > 1 for other in story.ticket.clocks)
    context = LedgerContext(story.facts, story.ticket.ticket.starts_at, clock.provisional)
    state, css = _state(clock, time)
    notes = [
        note
        for note, applies in (
            ("Late information voided an event of this clock.", clock.voided),
            ("It was decided before the ticket was imported, and mailed nobody.", clock.historic),
        )
        if applies
    ]
    return ClockView(
        name=clock.name.capitalize() + (f", cycle {clock.cycle}" if is_reopened else ""),
        state=state,
        css=css,
        summary=_summary(clock, time),
        lines=() if account is None else tuple(ledger_lines(account, context, time)),
        notes=tuple(notes),
    )


def _state(clock: BoardClock, time: PageTime) -> tuple[str, str]:
    """The state in a word, and the CSS class of its badge."""
    if clock.is_overdue(time.now):
        if clock.provisional and clock.name == "resolution":
            return "no response", "silent"
        return "overdue", "breached"
    match clock.state:
        case ClockState.BREACHED:
            return "missed", "breached"
        case ClockState.MET:
            return "met", "met"
        case ClockState.CANCELLED:
            return "cancelled", "neutral"
        case ClockState.PAUSED:
            return "paused", "paused"
        case ClockState.RUNNING:
            return "running", "later"


def _summary(clock: BoardClock, time: PageTime) -> Words:
    """The target, and the deadline or the end."""
    target = f"Target {clock.target_words}. "
    if clock.ended_at is not None:
        due: Words = () if clock.due_at is None else (" It was due ", time.full(clock.due_at), ".")
        return (target, "Ended ", time.full(clock.ended_at), ".", *due)
    left = clock.left(time.now)
    if clock.due_at is None:
        return (target, f"The deadline is unknown during the pause; {hours_words(left or timedelta(0))} are left.")
    return (target, "Due ", time.full(clock.due_at), f" ({time.since(clock.due_at)}).")


def _fact_view(fact: Fact, story: TicketStory, time: PageTime) -> FactView:
    is_late = fact.received_at - fact.occurred_at >= _LATE_RECEIPT
    received = time.full(fact.received_at) if is_late else None
    return FactView(time.full(fact.occurred_at), received, fact_words(fact), story.name(fact.actor))
