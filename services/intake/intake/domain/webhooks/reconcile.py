"""An update is a difference: the facts that are missing between what a tool has shown and what is known. Pure.

Every sighting claims how its ticket stood at an instant. The claims are gone through in the order of their instants,
beside the facts that intake has; where these have another effect than the claims, the facts that mend it are made, of
that very instant. They have higher numbers than all others, so they apply last there, and what they contradict is
impossible then and ignored (RULES, introduction). So neither the order of deliveries nor their number matters.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from tocsin.events import Fact, FactType
from tocsin.instants import render_instant
from tocsin.lifecycle import in_order

from intake.domain.ticket_request import EventRequest
from intake.domain.webhooks.expected_state import ExpectedState, Made, expected_states, needed
from intake.domain.webhooks.ticket_state import Effect, State, effects, lasting
from intake.domain.webhooks.update import TicketUpdate

PREFIX: Final = "hook:"
"""How the ids of the facts begin that are made here."""

_MOMENT: Final = timedelta(microseconds=1)
_REOPENED: Final = Effect(FactType.REOPENED)


class _Missing(NamedTuple):
    """What must happen at an instant after its facts, and just before them."""

    then: Sequence[Made] = ()
    before: Sequence[Made] = ()


def reconcile(
    seen: Iterable[TicketUpdate], facts: Sequence[Fact], *, actor: str, opened_with: int | None = None
) -> list[EventRequest]:
    """The facts to add to a ticket that was seen like that and has these facts, its opening (number 1) among them.

    `actor` is who did what nobody is named for. `opened_with` is the severity that the earliest sighting gives the
    opening; None where the ticket was not opened by a sighting.
    """
    opening, *later = in_order(facts)
    opened_at = opening.occurred_at
    facts_at: dict[datetime, list[Fact]] = defaultdict(list)
    for fact in later:
        facts_at[max(fact.occurred_at, opened_at)].append(fact)
    claims = expected_states(seen, opened_at, opened_with)
    claims_at = {at: list(group) for at, group in groupby(claims, key=lambda claim: claim.at)}
    ids = {fact.event_id for fact in facts}
    state = State(opening.severity or 0)
    made: list[EventRequest] = []
    for at in sorted({*facts_at, *claims_at}):
        here, claimed = facts_at.get(at, []), claims_at.get(at, [])
        missing = _missing(state, here, claimed) if claimed else _Missing()
        state, _ = effects(state, [*_effects(missing.before), *map(Effect.of, here), *_effects(missing.then)])
        made += _requests(missing, at, claimed, actor, ids)
    return made


def _missing(state: State, here: Sequence[Fact], claims: Sequence[ExpectedState]) -> _Missing:
    """What the facts of an instant, before which the ticket stood at `state`, lack so that they do what is claimed."""
    facts = list(map(Effect.of, here))
    posted = [Effect.of(fact) for fact in here if not fact.event_id.startswith(PREFIX)]
    wanted, ideal = effects(state, posted)
    wanted, more = needed(wanted, claims)
    ideal = lasting(state.severity, [*ideal, *_effects(more)])
    stands, happened = effects(state, facts)
    if stands == wanted and lasting(state.severity, happened) == ideal:
        return _Missing()
    # A severity is the last thing that a sighting changes: where it has changed already, it may have to be taken back,
    taken_back = Made(Effect(FactType.SEVERITY_CHANGED, state.severity))
    for back in ([], [taken_back]):
        for first in range(len(claims)):
            again = [*back, *needed(effects(stands, _effects(back))[0], claims[first:])[1]]
            if lasting(state.severity, [*happened, *_effects(again)]) == ideal:
                return _Missing(again)
    # or, where something was to another severity that did not stand there, all else happens just before it.
    showing = [claim for claim in claims if not claim.opening]
    early, before = needed(state, [replace(claim, severity=None) for claim in showing])
    alone = len({claim.sighting for claim in showing}) == 1
    after, later = effects(early, facts)
    again = needed(after, claims)[1]
    if alone and lasting(state.severity, [*_effects(before), *later, *_effects(again)]) == ideal:
        return _Missing(again, before)
    # Too late to be told in full, such as a close in between that was another: how it stands then is what counts.
    return _Missing(_ending(stands, wanted, claims))


def _ending(stands: State, wanted: State, claims: Sequence[ExpectedState]) -> list[Made]:
    """What must happen for a ticket to stand as these claims want it, each said by the last that says it."""
    # What was cancelled unanswered is not answered by another end of it.
    again = [_REOPENED] if stands.closed and wanted.responded and not stands.responded else []
    made = [*again, *_effects(needed(effects(stands, again)[0], [ExpectedState.that(wanted, claims[-1])])[1])]
    return [Made(effect, next((one for one in reversed(claims) if one.says(effect)), None)) for effect in made]


def _effects(made: Iterable[Made]) -> list[Effect]:
    return [one.effect for one in made]


def _requests(
    missing: _Missing, at: datetime, claims: Sequence[ExpectedState], actor: str, ids: set[str]
) -> Iterator[EventRequest]:
    happening = [(made, at - _MOMENT) for made in missing.before] + [(made, at) for made in missing.then]
    for (effect, claim), then in happening:
        stem = f"{PREFIX}{effect.type}:{render_instant(then)}"
        event_id, again = stem, 1
        while event_id in ids:
            again += 1
            event_id = f"{stem}:{again}"
        ids.add(event_id)
        resolved, severity = effect.type is FactType.RESOLVED, effect.severity or None
        if claim is not None and not claim.actor:  # another of the same instant may name who it was
            claim = next((one for one in claims if one.actor and one.says(effect)), claim)
        yield EventRequest.model_validate(
            {
                "type": effect.type.value,
                "occurred_at": then,
                "actor": (claim.actor if claim else None) or actor,
                "event_id": event_id,
                "severity": severity,
                "reason": claim.word if claim and severity is None else None,
                "resolution_kind": ("workaround" if effect.workaround else "resolved") if resolved else None,
            }
        )
