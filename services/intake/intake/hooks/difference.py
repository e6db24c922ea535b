"""An update is a difference: the facts that are missing between what a tool has shown and what is known. Pure.

Every sighting claims how its ticket stood at an instant. The claims are gone through in the order of their instants,
beside the facts that intake has; where these have another effect than the claims, the facts that mend it are made, of
that very instant. They have higher numbers than all others, so they apply last there, and what they contradict is
impossible then and ignored (RULES, introduction). So neither the order of deliveries nor their number matters.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from tocsin.events import Fact, FactType, render_instant

from intake.hooks.claims import Claim, claims_of, needed
from intake.hooks.effect import Effect, State, effects, lasting
from intake.hooks.shown import Shown
from intake.requests import EventRequest
from intake.standing import in_order

PREFIX: Final = "hook:"
"""How the ids of the facts begin that are made here."""

_MOMENT: Final = timedelta(microseconds=1)


def difference(
    seen: Iterable[Shown], facts: Sequence[Fact], *, actor: str, opened_with: int | None = None
) -> list[EventRequest]:
    """The facts to add to a ticket that was seen like that and has these facts, its opening (number 1) among them.

    `actor` is who did what nobody is named for. `opened_with` is the severity that the earliest sighting gives the
    opening; None where the ticket was not opened by a sighting.
    """
    opening, *later = in_order(facts)
    opened_at = opening.occurred_at
    state = State(opening.severity or 0)
    ids = {fact.event_id for fact in facts}
    made: list[EventRequest] = []
    read = 0
    for at, group in groupby(claims_of(seen, opened_at, opened_with), key=lambda claim: claim.at):
        claims = list(group)
        while read < len(later) and max(later[read].occurred_at, opened_at) < at:
            state, _ = effects(state, [Effect.of(later[read])])
            read += 1
        here = []
        while read < len(later) and max(later[read].occurred_at, opened_at) == at:
            here.append(later[read])
            read += 1
        before, then = _missing(state, here, claims)
        state, _ = effects(state, [*before, *map(Effect.of, here), *then])
        made += _requests(before, at - _MOMENT, claims[-1], actor, ids)
        made += _requests(then, at, claims[-1], actor, ids)
    return made


def _missing(state: State, here: Sequence[Fact], claims: Sequence[Claim]) -> tuple[list[Effect], list[Effect]]:
    """What the facts of an instant, before which the ticket stood at `state`, lack so that they do what is claimed.

    What must happen just before them, and after them.
    """
    facts = list(map(Effect.of, here))
    posted = [Effect.of(fact) for fact in here if not fact.event_id.startswith(PREFIX)]
    wanted, ideal = effects(state, posted)
    wanted, more = needed(wanted, claims)
    ideal = lasting(state.severity, [*ideal, *more])
    stands, happened = effects(state, facts)
    if stands == wanted and lasting(state.severity, happened) == ideal:
        return [], []
    # A severity is the last thing that a sighting changes: where it has changed already, it may have to be taken back,
    taken_back = Effect(FactType.SEVERITY_CHANGED, state.severity)
    for back in ([], [taken_back]):
        for first in range(len(claims)):
            again = [*back, *needed(effects(stands, back)[0], claims[first:])[1]]
            if lasting(state.severity, [*happened, *again]) == ideal:
                return [], again
    # or, where something was to another severity that did not stand there, all else happens just before it.
    showing = [claim for claim in claims if not claim.opening]
    early, before = needed(state, [replace(claim, severity=None) for claim in showing])
    alone = len({claim.sighting for claim in showing}) == 1
    if alone and lasting(state.severity, [*before, *effects(early, facts)[1]]) == ideal:
        return before, []
    # Too late to be told in full, such as a close in between that was another: how it stands then is what counts.
    return [], needed(stands, [Claim.that(wanted, claims[-1])])[1]


def _requests(
    missing: Iterable[Effect], at: datetime, claim: Claim, actor: str, ids: set[str]
) -> Iterator[EventRequest]:
    for effect in missing:
        stem = f"{PREFIX}{effect.type}:{render_instant(at)}"
        event_id, again = stem, 1
        while event_id in ids:
            again += 1
            event_id = f"{stem}:{again}"
        ids.add(event_id)
        resolved, severity = effect.type is FactType.RESOLVED, effect.severity or None
        yield EventRequest.model_validate(
            {
                "type": effect.type.value,
                "occurred_at": at,
                "actor": claim.actor or actor,
                "event_id": event_id,
                "severity": severity,
                "reason": claim.word if severity is None else None,
                "resolution_kind": ("workaround" if effect.workaround else "resolved") if resolved else None,
            }
        )
