"""Reads the responses of sla-timer and the escalator as values of the board. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from tocsin.events import Acknowledgement, Tier

from board.domain.board_ticket import (
    BoardClock,
    BoardLadder,
    BoardStep,
    ClockState,
    Stretch,
    UpcomingTier,
)

JsonObject = Mapping[str, Any]

_STATES: Final = {state.value: state for state in ClockState}
_PROGRESS: Final = {"accepted_through", "told_to", "clocks"}
_CLOCK_PROGRESS: Final = {"gross_seconds", "net_seconds", "remaining", "remaining_seconds", "remaining_truncated"}


def read_clocks(item: JsonObject) -> tuple[BoardClock, ...]:
    """The clocks in an item of sla-timer's `POST /v1/clocks`."""
    evaluated_to = datetime.fromisoformat(item["told_to"])
    return tuple(_clock(clock, evaluated_to) for clock in item["clocks"])


def read_tiers(item: JsonObject) -> tuple[Tier, ...]:
    """The policy's ladder in an item of sla-timer's `POST /v1/clocks`."""
    return _tiers(tuple((tier["number"], tier["role"], tier["title"]) for tier in item["tiers"]))


@lru_cache(maxsize=100)  # few policies have so many ladders, and a board has thousands of tickets
def _tiers(tiers: tuple[tuple[int, str, str], ...]) -> tuple[Tier, ...]:
    return tuple(Tier(number=number, role=role, title=title) for number, role, title in tiers)


def is_same_evaluation(before: JsonObject, after: JsonObject) -> bool:
    """Whether two items of sla-timer's `POST /v1/clocks` differ only in the instant to which they were evaluated."""
    return _without_progress(before) == _without_progress(after)


def _without_progress(item: JsonObject) -> JsonObject:
    clocks = [{name: clock[name] for name in clock.keys() - _CLOCK_PROGRESS} for clock in item["clocks"]]
    return {name: item[name] for name in item.keys() - _PROGRESS} | {"clocks": clocks}


def _clock(clock: JsonObject, evaluated_to: datetime) -> BoardClock:
    remaining = tuple(
        Stretch(datetime.fromisoformat(each["from"]), datetime.fromisoformat(each["to"])) for each in clock["remaining"]
    )
    further = timedelta(0)
    if clock["remaining_truncated"]:
        listed = sum((each.end - each.begin for each in remaining), timedelta(0))
        further = timedelta(seconds=clock["remaining_seconds"]) - listed
    return BoardClock(
        cycle=clock["cycle"],
        name=clock["clock"],
        state=_STATES[clock["outcome"]],
        provisional=clock["provisional"],
        historic=clock["historic"],
        voided=clock["voided"],
        started_at=datetime.fromisoformat(clock["started_at"]),
        warn_at=_instant(clock["warn_at"]),
        due_at=_instant(clock["due_at"]),
        ended_at=_instant(clock["ended_at"]),
        breached_at=_instant(clock["breached_at"]),
        target_words=clock["target"],
        target=timedelta(seconds=clock["target_seconds"]),
        counted=timedelta(seconds=clock["net_seconds"]),
        evaluated_to=evaluated_to,
        remaining=remaining,
        further=further,
        missed_roles=tuple(clock["missed_roles"]),
    )


def read_ladder(ladder: JsonObject) -> BoardLadder:
    """The ladder in an item of the escalator's `POST /v1/ladders`."""
    upcoming = ladder["next"]
    return BoardLadder(
        cycle=ladder["cycle"],
        run=ladder["run"],
        state=ladder["state"],
        steps=tuple(map(_step, ladder["told"])),
        next=None
        if upcoming is None
        else UpcomingTier(at=datetime.fromisoformat(upcoming["at"]), tier=upcoming["tier"], role=upcoming["role"]),
        acknowledgements=tuple(map(Acknowledgement.model_validate, ladder["acknowledgements"])),
        exhausted_at=_instant(ladder["exhausted_at"]),
        ended_at=_instant(ladder["ended_at"]),
    )


def _step(step: JsonObject) -> BoardStep:
    return BoardStep(
        step=step["step"],
        tier=step["tier"],
        role=step["role"],
        at=datetime.fromisoformat(step["at"]),
        reason=step["reason"],
        voided=step["voided"],
        notification_id=None if step["notification_id"] is None else UUID(step["notification_id"]),
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
