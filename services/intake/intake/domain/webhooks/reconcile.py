"""An update is a difference: the facts that are missing between what a tool has shown and what is known. Pure.

Every sighting claims how its ticket stood at an instant. The claims are gone through in the order of their instants,
beside the facts that intake has; where these have another effect than the claims, the facts that mend it are made, of
that very instant. They have higher numbers than all others, so they apply last there, and what they contradict is
impossible then and ignored (RULES, introduction). So neither the order of deliveries nor their number matters.

A mapping that was mended may claim less than the one by which facts were made. They are outvoted in the same way; but
no fact takes back a response. One that is claimed no more is made impossible: the ticket is cancelled just before it,
and reopened at its instant.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from tocsin.events import Fact, FactType
from tocsin.instants import render_instant

from intake.domain.ticket_request import EventRequest
from intake.domain.ticket_state import in_order
from intake.domain.webhooks.expected_state import Claim, Made, changed_instants, claims_of, needed
from intake.domain.webhooks.ticket_state import Effect, State, applied, effects, lasting
from intake.domain.webhooks.update import Shown

PREFIX: Final = "hook:"
"""How the ids of the facts begin that are made here."""

_VOIDING: Final = f"{PREFIX}voiding:"
"""How the ids of the cancellations begin that make what was made of the next microsecond impossible."""

_VOIDED: Final = "no response was meant"
_MOMENT: Final = timedelta(microseconds=1)
_CANCELLED: Final = Effect(FactType.CANCELLED)
_REOPENED: Final = Effect(FactType.REOPENED)


class _Missing(NamedTuple):
    """What must happen at an instant after its facts, and just before them; `voiding`: so that these do nothing."""

    then: Sequence[Made] = ()
    before: Sequence[Made] = ()
    voiding: bool = False


def difference(
    seen: Iterable[Shown],
    facts: Sequence[Fact],
    *,
    actor: str,
    opened_with: int | None = None,
    replaced: Iterable[Shown] = (),
) -> list[EventRequest]:
    """The facts to add to a ticket that was seen like that and has these facts, its opening (number 1) among them.

    `actor` is who did what nobody is named for. `opened_with` is the severity that the earliest sighting gives the
    opening; None where the ticket was not opened by a sighting. `replaced` is how the ticket was seen by the mapping
    before, where it has changed since: what was made of these alone is taken back.
    """
    opening, *told = in_order(facts)
    opened_at = opening.occurred_at
    claims = claims_of(seen, opened_at, opened_with)
    claimed = {claim.at for claim in claims}
    voided = {fact.occurred_at + _MOMENT for fact in told if fact.event_id.startswith(_VOIDING)}
    later = [fact for fact in told if not fact.event_id.startswith(_VOIDING)]
    changed = changed_instants(claims_of(replaced, opened_at, None), claims)
    changed |= {at - _MOMENT for at in changed}
    made_at = {max(fact.occurred_at, opened_at) for fact in later if fact.event_id.startswith(PREFIX)}
    claims += [Claim(at) for at in (voided | changed & made_at) - claimed]
    state = State(opening.severity or 0)
    ids = {fact.event_id for fact in facts}
    made: list[EventRequest] = []
    read = 0
    latest = opened_at
    for at, group in groupby(sorted(claims, key=_at), key=_at):
        here_claimed = list(group)
        while read < len(later) and max(later[read].occurred_at, opened_at) < at:
            state, _ = effects(state, [Effect.of(later[read])])
            read += 1
        here = []
        while read < len(later) and max(later[read].occurred_at, opened_at) == at:
            here.append(later[read])
            read += 1
        entered = applied(state, _CANCELLED) if at in voided else state
        # Where a sighting is of the microsecond before, a cancellation there would be its contradiction.
        voidable = at in changed and at - _MOMENT > latest
        missing = _missing(state, here, here_claimed, entered, voidable=voidable)
        state, _ = effects(entered, [*_effects(missing.before), *map(Effect.of, here), *_effects(missing.then)])
        made += _requests(missing, at, here_claimed, actor, ids)
        latest = at if at in claimed else latest
    return made


def _missing(
    state: State, here: Sequence[Fact], claims: Sequence[Claim], entered: State, *, voidable: bool
) -> _Missing:
    """What the facts of an instant, before which the ticket stood at `state`, lack so that they do what is claimed.

    `entered` is how they find it: another where some of them are made impossible. Whether they may be is `voidable`.
    """
    facts = list(map(Effect.of, here))
    posted = [Effect.of(fact) for fact in here if not fact.event_id.startswith(PREFIX)]
    wanted, ideal = effects(state, posted)
    wanted, more = needed(wanted, claims)
    ideal = lasting(state.severity, [*ideal, *_effects(more)])
    stands, happened = effects(entered, facts)
    if entered != state:
        return _Missing(_ending(stands, wanted, claims))
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
    if voidable and stands.responded and not wanted.responded:
        void, _ = effects(applied(state, _CANCELLED), facts)
        if not void.responded:
            return _Missing(_ending(void, wanted, claims), [Made(_CANCELLED)], voiding=True)
    # Too late to be told in full, such as a close in between that was another: how it stands then is what counts.
    return _Missing(_ending(stands, wanted, claims))


def _ending(stands: State, wanted: State, claims: Sequence[Claim]) -> list[Made]:
    """What must happen for a ticket to stand as these claims want it, each said by the last that says it."""
    # What was cancelled unanswered is not answered by another end of it.
    again = [_REOPENED] if stands.closed and wanted.responded and not stands.responded else []
    made = [*again, *_effects(needed(effects(stands, again)[0], [Claim.that(wanted, claims[-1])])[1])]
    return [Made(effect, next((one for one in reversed(claims) if one.says(effect)), None)) for effect in made]


def _effects(made: Iterable[Made]) -> list[Effect]:
    return [one.effect for one in made]


def _requests(
    missing: _Missing, at: datetime, claims: Sequence[Claim], actor: str, ids: set[str]
) -> Iterator[EventRequest]:
    happening = [(made, at - _MOMENT) for made in missing.before] + [(made, at) for made in missing.then]
    for (effect, claim), then in happening:
        voiding = missing.voiding and then < at
        stem = f"{_VOIDING if voiding else f'{PREFIX}{effect.type}:'}{render_instant(then)}"
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
                "actor": (claim.actor if claim and not missing.voiding else None) or actor,
                "event_id": event_id,
                "severity": severity,
                "reason": _VOIDED if voiding else claim.word if claim and severity is None else None,
                "resolution_kind": ("workaround" if effect.workaround else "resolved") if resolved else None,
            }
        )


def _at(claim: Claim) -> datetime:
    return claim.at
