"""The rows of `make bench`: which module measures each, what it was before, and what it has to reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.figures import Figure, readable

SERVICES: Final = ("intake", "sla-timer", "escalator", "notifier")
NO_OP: Final = "no-op"
BARE_LOOP: Final = "bare loop"


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit on a figure, or on its ratio to the reference `of`."""

    limit: float
    of: str | None = None
    at_least: bool = False

    def is_met(self, figure: Figure) -> bool | None:
        """None if the reference was not measured."""
        if self.of is not None and self.of not in figure.beside:
            return None
        value = figure.value if self.of is None else figure.ratio(self.of)
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {readable(self.limit)} {unit if self.of is None else f'times {self.of}'}"


@dataclass(frozen=True, slots=True)
class Row:
    """`goals` and `before` (as it was first measured) have the names of figures."""

    name: str
    title: str
    module: str
    goals: Mapping[str, Sequence[Goal]] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    charts: Sequence[str] = ()


ROWS: Final = (
    Row(
        "http",
        "Tickets by HTTP, one worker, 64 connections",
        "intake",
        {
            "tickets by HTTP": (Goal(0.65, NO_OP, True), Goal(5, "reference", True)),
            "tickets by HTTP, p99": (Goal(40),),
        },
        {"tickets by HTTP": "545 1/s, 0.25 of the no-op", "tickets by HTTP, p99": "148 ms"},
        ("http",),
    ),
    Row(
        "batches",
        "Batches until every deadline is known",
        "batches",
        {"batches until judged": (Goal(4_000, at_least=True),)},
        {"batches until judged": "1,100 1/s"},
    ),
    Row("judging", "Judging alone", "judging"),
    Row(
        "burst",
        "50,000 tickets due at one instant",
        "burst",
        {"due at one instant": (Goal(5),)},
        {"due at one instant": "52 s", "due at one instant, CPU a ticket": "780 us CPU"},
        ("burst",),
    ),
    Row(
        "arming",
        "Arming deadlines",
        "arming",
        {
            name: (
                Goal(50, "APScheduler", True),
                *(Goal(1, other, True) for other in ("procrastinate", "PgQueuer", "Celery with Redis")),
            )
            for name in ("arming, stored", "arming, instants")
        },
        charts=("arming",),
    ),
    Row(
        "growth",
        "Growth to 1,000,000 open tickets, and lateness with them",
        "growth",
        {"lateness, p50": (Goal(60),), "lateness, p99": (Goal(150),), "growth": (Goal(1.3),)},
        charts=("lateness", "growth"),
    ),
    Row(
        "mail-latency",
        "From a deadline to SMTP 250",
        "mail_latency",
        {"deadline to SMTP 250 at 50 a second, p99": (Goal(500),)},
        {
            "deadline to SMTP 250 at 1 a second, p50": "128 ms",
            "deadline to SMTP 250 at 1 a second, p99": "217 ms",
            "deadline to SMTP 250 at 50 a second, p50": "4,200 ms",
        },
    ),
    Row(
        "mail",
        "Mails in a burst",
        "notifier",
        {"mail": (Goal(0.8, BARE_LOOP, True),), "mail, CPU a mail": (Goal(2),)},
        {"mail": "80 1/s, 0.38 of the bare loop", "mail, CPU a mail": "5.9 ms CPU"},
    ),
    Row("idle", "All parts idle", "idle", {"idle": (Goal(12),)}, {"idle": "35 % of a core"}),
    Row("relay", "The relay alone", "relay"),
    Row(
        "start",
        "Start of a service",
        "start",
        {f"start of {service}": (Goal(1),) for service in SERVICES},
        {f"start of {service}": "2 to 3 s" for service in SERVICES},
    ),
    Row(
        "fail-over",
        "A consumer killed with -9",
        "fail_over",
        {"fail-over by a restart": (Goal(3),), "fail-over to a second replica": (Goal(3),)},
        {"fail-over by a restart": "15 s", "fail-over to a second replica": "15 s"},
    ),
    Row("replicas", "One, two and three replicas of each service", "replicas", charts=("replicas",)),
    Row("footprint", "What one ticket uses, from its post to a mail", "footprint"),
    Row(
        "timelines",
        "Timelines computed by the pure functions",
        "domain",
        {
            "timelines, JSON in to JSON out": (Goal(0.1, "pydantic alone", True),),
            "a ticket with 500 facts": (Goal(600, "pydantic alone, 10 facts"),),
        },
    ),
)
