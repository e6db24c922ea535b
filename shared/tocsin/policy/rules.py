"""A policy compiled for one customer: durations in microseconds, clocks instead of the names of calendars."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tocsin.business_time import ELAPSED, Business, Measure
from tocsin.events import Tier
from tocsin.policy.document import PolicyDocument, TargetTerms, Terms, merge_terms


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
    response, in microseconds, that a channel must stay under (docs/rules.md#6-2).
    """

    response: Mapping[int, Target]
    resolution: Mapping[int, Target]
    answer: Target
    interval: Mapping[int, Target]
    ladder: tuple[Tier, ...]
    warning_roles: tuple[str, ...]
    response_missed_roles: tuple[str, ...]
    answer_missed_roles: tuple[str, ...]
    stand_down: bool
    calendar: Business
    channels: Mapping[str, int]


def compile_rules(policy: PolicyDocument, customer: str | None) -> Rules:
    """Return the rules of a customer with special terms, or the general rules if `customer` is None."""
    terms = merge_terms(policy, policy.customers[customer]) if customer is not None else policy
    if terms.calendar is None or terms.ladder is None or terms.targets.answer is None:
        raise ValueError("the general terms of a policy are complete")
    tier_1_role = (terms.ladder[1],)
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
        warning_roles=terms.mail.warnings_to or tier_1_role,
        response_missed_roles=terms.mail.response_missed_to or tier_1_role,
        answer_missed_roles=terms.mail.answer_missed_to or tier_1_role,
        stand_down=terms.mail.stand_down is not False,
        calendar=policy.clocks[terms.calendar],
        channels={channel: average.micros for channel, average in terms.average_under.items()},
    )


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
