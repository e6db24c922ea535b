"""What a delivery becomes after an attempt, and when the next one starts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from notifier.domain.delivery import Delivery, Now
from notifier.domain.new_delivery import delivery_for
from notifier.domain.retry_policy import RetryPolicy, after_attempt
from notifier.domain.smtp_reply import SmtpOutcome, SmtpPhase, SmtpReply
from support.notifier_events import NOON, escalation

HOUR = timedelta(hours=1)
CLAIMED = delivery_for(escalation(), Now(NOON, NOON))
RETRIED = (SmtpOutcome.DEFERRED, SmtpOutcome.AMBIGUOUS, SmtpOutcome.SERVER_FAILED)


def after(outcome: SmtpOutcome, age: timedelta = HOUR, attempts: int = 1, **how: Any) -> Delivery:
    now = Now(NOON + age, NOON + age)
    how = {"is_needed": True, "jitter": 0.5} | how
    return after_attempt(replace(CLAIMED, attempts=attempts), outcome, "reply", RetryPolicy(), now, **how)


@pytest.mark.parametrize(
    ("phase", "code", "outcome"),
    [
        (SmtpPhase.CONNECT, None, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.CONNECT, 535, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.CONNECT, 421, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.SENDER, 550, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.SENDER, None, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.RECIPIENT, 250, SmtpOutcome.ACCEPTED),
        (SmtpPhase.RECIPIENT, 450, SmtpOutcome.DEFERRED),
        (SmtpPhase.RECIPIENT, 550, SmtpOutcome.REFUSED),
        (SmtpPhase.RECIPIENT, 530, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.RECIPIENT, None, SmtpOutcome.DEFERRED),
        (SmtpPhase.DATA, 250, SmtpOutcome.ACCEPTED),
        (SmtpPhase.DATA, 451, SmtpOutcome.DEFERRED),
        (SmtpPhase.DATA, 554, SmtpOutcome.REFUSED),
        (SmtpPhase.DATA, 421, SmtpOutcome.SERVER_FAILED),
        (SmtpPhase.DATA, None, SmtpOutcome.AMBIGUOUS),
    ],
)
def test_a_reply_is_classified_by_phase_and_code(phase: SmtpPhase, code: int | None, outcome: SmtpOutcome) -> None:
    assert SmtpReply(phase, code, "").outcome is outcome


def test_an_accepted_mail_is_sent() -> None:
    sent = after(SmtpOutcome.ACCEPTED)
    assert (sent.state, sent.sent_at, sent.ready_at, sent.reply) == ("sent", NOON + HOUR, None, "reply")


def test_retries_are_given_up_after_a_day_but_never_for_a_failing_server() -> None:
    day = timedelta(hours=25)
    assert after(SmtpOutcome.DEFERRED, day).state == "refused"
    assert after(SmtpOutcome.AMBIGUOUS, day).state == "undeliverable"
    waiting = after(SmtpOutcome.SERVER_FAILED, day, attempts=50)
    assert (waiting.state, waiting.ready_at) == ("deferred", NOON + day + timedelta(seconds=22.5))


@pytest.mark.parametrize("outcome", RETRIED)
def test_a_withdrawn_mail_is_not_retried(outcome: SmtpOutcome) -> None:
    assert after(outcome, is_needed=False).state == "cancelled"
    assert after(SmtpOutcome.ACCEPTED, is_needed=False).state == "sent"


@pytest.mark.parametrize(
    ("outcome", "pauses"),
    [
        (SmtpOutcome.DEFERRED, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (SmtpOutcome.SERVER_FAILED, [1, 2, 4, 8, 16, 30, 30]),
        (SmtpOutcome.AMBIGUOUS, [1, 4, 16, 64, 256, 1024, 3600, 3600]),
    ],
)
def test_each_pause_is_longer_and_half_of_it_random(outcome: SmtpOutcome, pauses: list[int]) -> None:
    for attempts, seconds in enumerate(pauses, 1):
        for jitter, part in ((0, 0.5), (0.5, 0.75)):
            deferred = after(outcome, attempts=attempts, jitter=jitter)
            assert deferred.ready_at == NOON + HOUR + timedelta(seconds=seconds * part)
            assert deferred.ambiguous is (outcome is SmtpOutcome.AMBIGUOUS)
