"""A policy compiled for one customer: durations in microseconds, clocks instead of the names of calendars."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, get_args

from tocsin.business_time import ELAPSED, Business, Measure
from tocsin.events import Category, Tier
from tocsin.policy.document import PolicyDocument, ResolutionMeasure, TargetTerms, Terms, merge_terms

_DEFAULT_MEASURES: Final[Mapping[Category, ResolutionMeasure]] = {
    "onboarding": "by_start",
    "offboarding": "by_start",
    "project": "none",
}
_DEFAULT_START_WARNING: Final = 24 * 3_600_000_000
DEFAULT_SINGLE_PER_MINUTE: Final = 5


@dataclass(frozen=True, slots=True)
class Target:
    """A target on the clock `measure`: `due` and `warn` in microseconds. `warn` is None if there is no warning.

    `words` is the duration as mails and events show it: "5 business days".
    """

    measure: Measure
    due: int
    warn: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What one version of the policy promises one customer. Mappings by severity have all of 1 to 4.

    `interval` is the time from one tier to the next (docs/rules.md#5-5). `channels` is the mean time to the first
    response, in microseconds, that a channel must stay under (docs/rules.md#6-2). `measures` has all categories, and
    `start_warning` is in microseconds (docs/rules.md#3-17). Recipients are roles, or `assignee`. `automatic_actors`
    are patterns of whole names (docs/rules.md#3-6).
    """

    response: Mapping[int, Target]
    resolution: Mapping[int, Target]
    answer: Target
    interval: Mapping[int, Target]
    ladder: tuple[Tier, ...]
    warning_roles: tuple[str, ...]
    response_missed_roles: tuple[str, ...]
    answer_missed_roles: tuple[str, ...]
    service_delivery_role: str
    stand_down: bool
    mail_exhausted: bool
    single_per_minute: int
    measures: Mapping[Category, ResolutionMeasure]
    start_warning: int
    automatic_actors: tuple[str, ...]
    calendar: Business
    channels: Mapping[str, int]


def compile_rules(policy: PolicyDocument, customer: str | None) -> Rules:
    """Return the rules of a customer with special terms, or the general rules if `customer` is None."""
    terms = merge_terms(policy, policy.customers[customer]) if customer is not None else policy
    if terms.calendar is None or terms.ladder is None or terms.targets.answer is None:
        raise ValueError("the general terms of a policy are complete")
    response = {severity: _compile(policy, terms, target) for severity, target in terms.targets.response.items()}
    resolution = {severity: _compile(policy, terms, target) for severity, target in terms.targets.resolution.items()}
    return Rules(
        response=response,
        resolution=resolution,
        answer=_compile(policy, terms, terms.targets.answer),
        interval={severity: replace(target, warn=None) for severity, target in response.items()},
        ladder=tuple(
            Tier(number=number, role=role, title=policy.roles[role]) for number, role in sorted(terms.ladder.items())
        ),
        warning_roles=_roles(terms.mail.warnings_to, terms.ladder),
        response_missed_roles=_roles(terms.mail.response_missed_to, terms.ladder),
        answer_missed_roles=_roles(terms.mail.answer_missed_to, terms.ladder),
        service_delivery_role=terms.service_delivery or terms.ladder[1],
        stand_down=terms.mail.stand_down is not False,
        mail_exhausted=terms.mail.exhausted is not False,
        single_per_minute=terms.mail.single_per_minute or DEFAULT_SINGLE_PER_MINUTE,
        measures={**dict.fromkeys(get_args(Category), "target"), **_DEFAULT_MEASURES, **terms.categories},
        start_warning=terms.start_warning.micros if terms.start_warning else _DEFAULT_START_WARNING,
        automatic_actors=policy.automatic_actors,
        calendar=policy.clocks[terms.calendar],
        channels={channel: average.micros for channel, average in terms.average_under.items()},
    )


def _roles(recipients: tuple[str, ...] | None, ladder: Mapping[int, str]) -> tuple[str, ...]:
    """The roles of recipients, each once: `tier 1` is the role of tier 1, and `assignee` stays."""
    named = (ladder[int(name.removeprefix("tier "))] if name.startswith("tier ") else name for name in recipients or ())
    return tuple(dict.fromkeys(named)) or (ladder[1],)


def _compile(policy: PolicyDocument, terms: Terms, target: TargetTerms) -> Target:
    calendar = terms.calendar or policy.calendar
    day_length = policy.calendars[calendar].day_length
    due = target.due.length(day_length)
    if target.warning is not None:
        warn = target.warning.length(day_length)
    else:
        share = int((terms.warning_share or policy.warning_share).rstrip(" %"))
        warn = due * share // 100
    return Target(
        measure=policy.clocks[calendar] if target.due.business else ELAPSED,
        due=due,
        warn=warn if warn < due else None,  # docs/rules.md#3-4
        words=target.due.words,
    )
