"""When an attempt is repeated, and what a delivery becomes after one. Pure."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, assert_never

from tocsin.backoff import Backoff

from notifier.domain.delivery import Delivery, DeliveryState, Now
from notifier.domain.smtp_reply import SmtpOutcome

_AMBIGUOUS_CEILING: Final = timedelta(hours=1)
_SERVER_CEILING: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Pauses start at `base` and grow up to `ceiling`; an address that defers for `give_up` has failed. Real time."""

    base: timedelta = timedelta(seconds=1)
    ceiling: timedelta = timedelta(minutes=5)
    give_up: timedelta = timedelta(hours=24)


def after_attempt(
    delivery: Delivery,
    outcome: SmtpOutcome,
    reply: str,
    policy: RetryPolicy,
    now: Now,
    *,
    is_needed: bool,
    jitter: float,
) -> Delivery:
    """The delivery after an attempt. `is_needed`: it was not withdrawn meanwhile. `jitter` is random, in [0, 1).

    - A failing server never ends a mail, and once it has recovered, its mails follow soon.
    - An address that still defers when retries are given up counts as one that refuses.
    - An ambiguous mail is repeated at quickly growing intervals, since each repetition may be one too many. When
      retries are given up it goes nowhere else, because it may have been read.
    """
    ended = replace(delivery, ready_at=None, changed_at=now.business, reply=reply)
    if outcome is SmtpOutcome.AMBIGUOUS:
        ended = replace(ended, ambiguous=True, sent_real_at=now.real)
    given_up: DeliveryState | None = None
    match outcome:
        case SmtpOutcome.ACCEPTED:
            return replace(ended, state=DeliveryState.SENT, sent_at=now.business, sent_real_at=now.real)
        case SmtpOutcome.REFUSED:
            return replace(ended, state=DeliveryState.REFUSED)
        case SmtpOutcome.DEFERRED:
            given_up, backoff = DeliveryState.REFUSED, Backoff(policy.base, policy.ceiling)
        case SmtpOutcome.AMBIGUOUS:
            given_up, backoff = DeliveryState.UNDELIVERABLE, Backoff(policy.base, _AMBIGUOUS_CEILING, factor=4)
        case SmtpOutcome.SERVER_FAILED:
            backoff = Backoff(policy.base, min(policy.ceiling, _SERVER_CEILING))
        case _:
            assert_never(outcome)
    if not is_needed:
        return replace(ended, state=DeliveryState.CANCELLED)
    if given_up is not None and now.real - delivery.created_at >= policy.give_up:
        return replace(ended, state=given_up)
    return replace(ended, state=DeliveryState.DEFERRED, ready_at=now.real + backoff.pause(delivery.attempts, jitter))
