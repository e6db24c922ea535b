"""An outgoing webhook, the effect of an attempt on it, and the health of its endpoint. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from uuid import UUID

from tocsin.backoff import Backoff

GIVE_UP: Final = timedelta(days=1)
"""An attempt that fails this long after the webhook was queued or requested again is the last one. Real time."""
RETRIES: Final = Backoff(first=timedelta(seconds=5), longest=timedelta(hours=1), factor=3)
PAUSES: Final = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=5))
"""The pauses of an endpoint after failures in a row, of any of its webhooks."""
FAILING_AFTER: Final = 3
"""An endpoint is failing after this many failures in a row."""


class OutgoingState(StrEnum):
    """The state of an outgoing webhook."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingWebhook:
    """One event for one endpoint. Instants but `at` are real time.

    `ready_at`: the next attempt, or the end of the lease of one in progress; null when the state is final.
    `failures`: in a row, since it was queued or requested again. `token` counts the attempts and fences them.
    """

    delivery_id: UUID
    tenant: str
    endpoint: str
    ticket_id: UUID
    event_id: UUID
    event: str
    at: datetime
    body: str
    state: OutgoingState
    attempts: int
    failures: int
    queued_at: datetime
    give_up_at: datetime
    ready_at: datetime | None
    finished_at: datetime | None
    status: int | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """The outcome of an attempt: the status and the beginning of the body, or the problem if there is no response."""

    status: int | None = None
    problem: str | None = None
    response: str = ""
    retry_after: timedelta | None = None

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint wants no further webhooks (Standard Webhooks: status 410)."""
        return self.status == HTTPStatus.GONE

    @property
    def concerns_endpoint(self) -> bool:
        """Whether another webhook would probably fail as well, so that the endpoint gets a pause."""
        return (
            self.status is None
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or self.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """The health of an endpoint. `is_gone`: its URL responded 410. `url` is a digest of the URL that all of this is
    about; real time.
    """

    failures: int = 0
    failing_since: datetime | None = None
    paused_until: datetime | None = None
    is_gone: bool = False
    url: str | None = None

    def at_url(self, url_digest: str) -> "EndpointHealth":
        """How the endpoint stands at a URL: what another one did says nothing about it."""
        return self if self.url == url_digest else EndpointHealth()

    @property
    def is_failing(self) -> bool:
        return self.failures >= FAILING_AFTER or self.is_gone


def after_attempt(webhook: OutgoingWebhook, outcome: AttemptOutcome, now: datetime, jitter: float) -> OutgoingWebhook:
    """The webhook after an attempt. `jitter` is random, in [0, 1).

    A Retry-After is honoured, but the last attempt is never later than `give_up_at`.
    """
    ended = replace(webhook, status=outcome.status, problem=outcome.problem, ready_at=None, finished_at=now)
    if outcome.is_delivered:
        return replace(ended, state=OutgoingState.DELIVERED, failures=0)
    failures = webhook.failures + 1
    if outcome.is_gone or now >= webhook.give_up_at:
        return replace(ended, state=OutgoingState.FAILED, failures=failures)
    pause = max(RETRIES.pause(failures, jitter), outcome.retry_after or timedelta(0))
    ready_at = min(now + pause, webhook.give_up_at)
    return replace(ended, failures=failures, ready_at=ready_at, finished_at=None)


def endpoint_after_attempt(
    health: EndpointHealth, outcome: AttemptOutcome, url_digest: str, now: datetime, jitter: float
) -> EndpointHealth:
    """The health of the endpoint after an attempt at the URL with that digest."""
    if outcome.is_delivered:
        return EndpointHealth()
    health = health.at_url(url_digest)
    failures = health.failures + 1
    paused_until = None
    if outcome.concerns_endpoint:
        pause = max(PAUSES.pause(failures, jitter), min(outcome.retry_after or timedelta(0), GIVE_UP))
        paused_until = now + pause
    return EndpointHealth(
        failures=failures,
        failing_since=health.failing_since or now,
        paused_until=paused_until,
        is_gone=outcome.is_gone or health.is_gone,
        url=url_digest,
    )
