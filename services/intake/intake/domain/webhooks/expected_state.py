"""What the sightings of a ticket claim of it, instant by instant, and what makes a claim true. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple, Self

from tocsin.events import FactType

from intake.domain.webhooks.config.integrations import Status
from intake.domain.webhooks.ticket_state import Effect, State, effects
from intake.domain.webhooks.update import TicketUpdate, in_order

Stands = Literal["open", "waiting", "resolved", "workaround", "cancelled"]
_STANDS: Final[dict[Status, Stands | None]] = {
    "new": "open",
    "in_progress": "open",
    "responded": "open",
    "waiting_customer": "waiting",
    "resolved": "resolved",
    "workaround": "workaround",
    "cancelled": "cancelled",
    "ignored": None,
}
_ANSWERED: Final = ("responded", "waiting_customer")


@dataclass(frozen=True, slots=True)
class ExpectedState:
    """That a ticket stood so at an instant: what is None is not claimed. `responded`: a human has answered by then.

    `actor` and `word` are who is said to have made it so, and the tool's word for it. `sighting` is the place, in their
    order, of the one that claims it. `opening`: the ticket was opened with that severity, before all else.
    """

    at: datetime
    responded: bool = False
    stands: Stands | None = None
    severity: int | None = None
    actor: str | None = None
    word: str | None = None
    sighting: int = -1
    opening: bool = False

    def says(self, effect: Effect) -> bool:
        """Whether it is for this claim that the effect happens."""
        match effect.type:
            case FactType.SEVERITY_CHANGED:
                return self.severity == effect.severity
            case FactType.RESPONDED:
                return self.responded
            case FactType.PAUSED:
                return self.stands == "waiting"
            case FactType.RESOLVED:
                return self.stands == ("workaround" if effect.workaround else "resolved")
            case FactType.CANCELLED:
                return self.stands == "cancelled"
        return self.stands in ("open", "waiting")

    @classmethod
    def that(cls, state: State, like: Self) -> Self:
        """The claim that a ticket stands at `state` at the instant of `like`, closed the way that `like` says."""
        stands: Stands = "waiting" if state.paused else "open"
        if state.closed:
            stands = "resolved" if state.responded else "cancelled"  # a resolve is a response
            if like.stands == "cancelled" or (like.stands == "workaround" and state.severity != 1):
                stands = like.stands
        return cls(like.at, state.responded, stands, state.severity)


def expected_states(seen: Iterable[TicketUpdate], opened_at: datetime, opened_with: int | None) -> list[ExpectedState]:
    """The claims in the order of their instants, none before the opening; see `difference`.

    At one instant answers come first, then the claims in the order of the sightings that make them.
    """
    claims = [ExpectedState(opened_at, severity=opened_with, opening=True)] if opened_with is not None else []
    for place, one in enumerate(in_order(seen)):
        claims += [replace(claim, sighting=place) for claim in _claims(one, opened_at)]
    return sorted(claims, key=lambda claim: (claim.at, not claim.opening, not _only_answered(claim)))


class Made(NamedTuple):
    """What happens so that a claim is true; nobody's where it only undoes."""

    effect: Effect
    claim: ExpectedState | None = None


def needed(state: State, claims: Sequence[ExpectedState]) -> tuple[State, list[Made]]:
    """How the ticket stands once these claims of one instant are true, one after the other, and what happens for it.

    The severity that a claim gives changes last, but for a workaround, which severity 1 does not allow (RULES 3): one
    that is still claimed then does not happen.
    """
    made: list[Made] = []
    for claim in claims:
        state, possible = effects(state, _steps(state, claim))
        made += [Made(effect, claim) for effect in possible]
    return state, made


def _claims(one: TicketUpdate, opened_at: datetime) -> Iterator[ExpectedState]:
    stands = _STANDS[one.status] if one.status is not None else None
    # Whoever changed the ticket later did not do what happened before.
    if one.responded_at is not None:
        actor = one.actor if one.responded_at == one.at else None
        yield ExpectedState(max(one.responded_at, opened_at), responded=True, actor=actor)
    if one.resolved_at is not None and stands in ("resolved", "workaround"):
        actor = one.actor if one.resolved_at == one.at else None
        yield ExpectedState(max(one.resolved_at, opened_at), stands=stands, actor=actor, word=one.word)
    answered = one.status in _ANSWERED
    yield ExpectedState(max(one.at, opened_at), answered, stands, one.severity, one.actor, one.word)


def _only_answered(claim: ExpectedState) -> bool:
    return claim.responded and claim.stands is None


def _steps(state: State, claim: ExpectedState) -> Iterator[Effect]:
    """What may have to happen, in order; what is so already is impossible and does nothing."""
    change = [Effect(FactType.SEVERITY_CHANGED, claim.severity)] if claim.severity is not None else []
    stays_open = claim.stands in ("open", "waiting")
    if stays_open:
        yield Effect(FactType.REOPENED)
    if claim.responded:
        yield Effect(FactType.RESPONDED)
    if stays_open:
        yield Effect(FactType.PAUSED if claim.stands == "waiting" else FactType.RESUMED)
    elif claim.stands == "cancelled":
        yield Effect(FactType.CANCELLED)
    elif claim.stands is not None:
        workaround = claim.stands == "workaround"
        if workaround and not state.closed and state.severity == 1:
            yield from change
        yield Effect(FactType.RESOLVED, workaround=workaround)
    yield from change
