"""From a policy as it is written to the rules of one customer."""

from dataclasses import replace

from tocsin.business_time import ELAPSED
from tocsin.events import Tier
from tocsin.policy.content import PolicyDocument
from tocsin.policy.rules import Rules, Target
from tocsin.policy.terms import TargetTerms, Terms, merged


def compile_rules(policy: PolicyDocument, customer: str | None) -> Rules:
    """The rules of that customer, who has terms of its own; None: of everybody else."""
    terms = merged(policy, policy.customers[customer]) if customer is not None else policy
    if terms.calendar is None or terms.ladder is None or terms.targets.answer is None:
        raise ValueError("the general terms of a policy are complete")
    first_tier = (terms.ladder[1],)
    response = {severity: _target(policy, terms, promise) for severity, promise in terms.targets.response.items()}
    return Rules(
        response=response,
        resolution={
            severity: _target(policy, terms, promise) for severity, promise in terms.targets.resolution.items()
        },
        answer=_target(policy, terms, terms.targets.answer),
        interval={severity: replace(target, warn=None) for severity, target in response.items()},
        ladder=tuple(
            Tier(number=number, role=role, title=policy.roles[role]) for number, role in sorted(terms.ladder.items())
        ),
        warning_roles=terms.mail.warnings_to or first_tier,
        response_missed_roles=terms.mail.response_missed_to or first_tier,
        answer_missed_roles=terms.mail.answer_missed_to or first_tier,
        stand_down=terms.mail.stand_down is not False,
        calendar=policy.clocks[terms.calendar],
        channels={channel: average.micros for channel, average in terms.average_under.items()},
    )


def _target(policy: PolicyDocument, terms: Terms, promise: TargetTerms) -> Target:
    calendar = terms.calendar or policy.calendar
    business_day = policy.calendars[calendar].day
    due = promise.due.length(business_day)
    if promise.warning is not None:
        warn = promise.warning.length(business_day)
    else:
        share = int((terms.warning_share or policy.warning_share).rstrip(" %"))
        warn = due * share // 100
    # RULES 3: a warning that would fall at or after the due is not fired.
    return Target(
        measure=policy.clocks[calendar] if promise.due.business else ELAPSED,
        due=due,
        warn=warn if warn < due else None,
        words=promise.due.words,
    )
