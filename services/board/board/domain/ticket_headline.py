"""The first lines of a ticket's page: what happened, who knows, and what comes next. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tocsin.events import DeliveryEvent, FactType
from tocsin.lifecycle import in_order

from board.domain.board_ticket import BoardClock, BoardStep, ClockState, TicketGroup, TicketPhase, UpcomingTier
from board.domain.ticket_story import TicketStory
from board.domain.time_words import PageTime, Words, duration_words, hours_words

_MAILED: Final = {
    "sent": "was mailed ",
    "bounced": "could not be reached: the mail bounced ",
    "refused": "could not be reached: the mail was refused ",
    "undeliverable": "could not be reached: no mail could be sent ",
    "deferred": "has no mail yet: the last attempt failed ",
    "cancelled": "was not mailed: the mail was cancelled ",
}


class Urgency(StrEnum):
    """How the headline is coloured: a CSS class."""

    OVERDUE = "overdue"
    SOON = "soon"
    CALM = "calm"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class TicketHeadline:
    """Sentences: `now` is the case, `known` says who knows of it, `following` what comes next."""

    urgency: Urgency
    now: tuple[Words, ...]
    known: tuple[Words, ...]
    following: tuple[Words, ...]


def ticket_headline(story: TicketStory, time: PageTime) -> TicketHeadline:
    """The first sentences of the page."""
    ticket = story.ticket
    if not ticket.is_open:
        return TicketHeadline(Urgency.ENDED, tuple(_ended(story, time)), (), ())
    group = ticket.group(time.now)
    is_overdue = group in (TicketGroup.BREACHED, TicketGroup.SILENT)
    urgency = Urgency.OVERDUE if is_overdue else Urgency.SOON if group is TicketGroup.AT_RISK else Urgency.CALM
    return TicketHeadline(
        urgency, tuple(_clocks(story, time)), tuple(_known(story, time)), tuple(_following(story, time))
    )


def _ended(story: TicketStory, time: PageTime) -> Iterator[Words]:
    closing = [fact for fact in in_order(story.facts) if fact.type in (FactType.RESOLVED, FactType.CANCELLED)]
    if not closing:
        return
    last = closing[-1]
    verb = "Cancelled" if last.type is FactType.CANCELLED else "Resolved"
    if last.resolution_kind == "workaround":
        verb = "Closed with a workaround"
    actor = story.name(last.actor)
    yield (f"{verb}{f' by {actor}' if actor else ''} ", time.when(last.occurred_at), ".")
    cycle = max((clock.cycle for clock in story.ticket.clocks), default=1)
    for clock in story.ticket.clocks:
        if clock.cycle != cycle or clock.due_at is None or clock.ended_at is None:
            continue
        if clock.state is ClockState.BREACHED:
            yield (f"{clock.name.capitalize()} missed its deadline ", time.when(clock.due_at), ".")
        elif clock.state is ClockState.MET:
            early = duration_words(clock.due_at - clock.ended_at)
            yield (f"{clock.name.capitalize()} met its deadline, {early} early.",)
        if clock.voided:
            yield (f"Late information voided earlier events of its {clock.name} clock.",)


def _clocks(story: TicketStory, time: PageTime) -> Iterator[Words]:
    clocks = story.ticket.open_clocks
    overdue = [clock for clock in clocks if clock.is_overdue(time.now)]
    if not story.ticket.clocks:
        yield ("The deadlines of this ticket have not arrived yet.",)
    for clock in sorted(overdue, key=lambda one: one.name != "resolution"):
        yield _overdue(clock, time)
    running = [clock for clock in clocks if clock not in overdue]
    for clock in sorted(running, key=lambda one: one.due_at or one.started_at):
        yield from _running(clock, time)
    if story.ticket.clocks and not clocks:
        yield ("The ticket is open, and none of its clocks runs.",)


def _overdue(clock: BoardClock, time: PageTime) -> Words:
    # A change may move the deadline before the change: then the clock is overdue since the change (docs/rules.md#4-6).
    since = clock.breached_at or clock.due_at or time.now
    ago = duration_words(time.now - since)
    if clock.provisional and clock.name == "resolution":
        return ("Nobody has responded. The provisional resolution deadline passed ", time.when(since), f" ({ago} ago).")
    return (f"{clock.name.capitalize()} is overdue since ", time.instant(since), f" ({ago}).")


def _running(clock: BoardClock, time: PageTime) -> Iterator[Words]:
    left = clock.left(time.now)
    shown = hours_words(left) if left is not None else ""
    if clock.state is ClockState.PAUSED or clock.due_at is None:
        yield (f"Waiting for the customer: {clock.name} is paused with {shown} left.",)
        return
    ahead = clock.due_at - time.now
    counting = f", of which {shown} count" if left is not None and left < ahead else ""
    provisional = ", unless somebody responds before" if clock.provisional else ""
    yield (
        f"{clock.name.capitalize()} is due ",
        time.when(clock.due_at),
        f" (in {duration_words(ahead)}{counting}){provisional}.",
    )


def _known(story: TicketStory, time: PageTime) -> Iterator[Words]:
    """Who was notified last, and who has acknowledged."""
    ladder = story.ticket.ladder
    if ladder is None or ladder.ended_at is not None:
        return
    taken = [step for step in ladder.steps if not step.voided]
    if taken:
        yield _step(taken[-1], story, time)
    if ladder.acknowledgements:
        last = ladder.acknowledgements[-1]
        by = story.name(last.by)
        yield (f"Acknowledged{f' by {by}' if by else ''} ", time.when(last.at), ".")


def _step(step: BoardStep, story: TicketStory, time: PageTime) -> Words:
    mails = [mail for mail in story.deliveries if mail.notification_id == step.notification_id]
    role = f"Tier {step.tier}, {story.title(step.role)}"
    if not mails:
        return (f"{role}, was notified ", time.when(step.at), "; the mail has not been sent yet.")
    mail = _best(mails)
    name = f" ({mail.recipient.name})" if mail.recipient.name else ""
    return (f"{role}{name}, {_MAILED[mail.state]}", time.when(mail.at), ".")


def _best(mails: list[DeliveryEvent]) -> DeliveryEvent:
    """The last mail that was sent; otherwise the last one of the chain of fallbacks."""
    sent = [mail for mail in mails if mail.state == "sent"]
    replaced = {mail.fallback_of for mail in mails}
    return (sent or [mail for mail in mails if mail.delivery_id not in replaced] or mails)[-1]


def _following(story: TicketStory, time: PageTime) -> Iterator[Words]:
    ladder = story.ticket.ladder
    if ladder is None or ladder.ended_at is not None:
        yield from _next_of_clocks(story, time)
    elif ladder.exhausted_at is not None:
        yield ("No tier is left to notify: nobody else will be mailed. Decide together who resolves it.",)
    elif ladder.next is None:
        why = "while the ticket waits for its customer" if story.ticket.state is TicketPhase.PAUSED else "yet"
        yield (f"The next step of the escalation is not known {why}.",)
    else:
        yield _next_step(ladder.next, story, time, is_held=ladder.state == "held")


def _next_step(upcoming: UpcomingTier, story: TicketStory, time: PageTime, *, is_held: bool) -> Words:
    if upcoming.tier is None:
        return ("Next: the escalation is exhausted ", time.when(upcoming.at), ". No higher tier is left.")
    role = f" ({story.title(upcoming.role)})" if upcoming.role else ""
    if upcoming.at < time.now:
        late = ". That it was notified has not arrived here yet."
        return (f"Next: tier {upcoming.tier}{role} was due ", time.when(upcoming.at), late)
    held = " Escalation is held until then." if is_held else ""
    return (f"Next: tier {upcoming.tier}{role} ", time.when(upcoming.at), f" ({time.since(upcoming.at)}).{held}")


def _next_of_clocks(story: TicketStory, time: PageTime) -> Iterator[Words]:
    running = [clock for clock in story.ticket.open_clocks if clock.breached_at is None]
    warnings = [(clock.warn_at, clock) for clock in running if clock.warn_at is not None and clock.warn_at > time.now]
    deadlines = [(clock.due_at, clock) for clock in running if clock.due_at is not None and clock.due_at > time.now]
    if warnings:
        at, clock = min(warnings, key=lambda one: one[0])
        if not deadlines or at < min(due for due, _ in deadlines):
            yield (f"Next: the warning of the {clock.name} ", time.when(at), f" ({time.since(at)}).")
            return
    if deadlines:
        at, clock = min(deadlines, key=lambda one: one[0])
        then = "escalation starts" if clock.name == "resolution" else f"a missed {clock.name} is reported"
        yield (f"Next: {then} ", time.when(at), f" ({time.since(at)}), unless it is met before.")
