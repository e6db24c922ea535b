"""Checks a policy across its fields: references, completeness, and whether its calendars and targets can work.

The work is bounded, whatever the document says. Messages read "what is wrong; what to write instead".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, get_args

from tocsin.business_time import FIRST_YEAR, LAST_YEAR
from tocsin.events import Category, Mailbox
from tocsin.policy.document import ASSIGNEE, PolicyDocument, TargetTerms, Terms, merge_terms
from tocsin.yaml_document import Duration, FieldPath, FieldProblem

_SEVERITIES: Final = (1, 2, 3, 4)
_YEARS_AHEAD: Final = 10
"""A calendar must open in each of the years from `in_force_from` on (docs/rules.md#2-7)."""


def find_problems(policy: PolicyDocument) -> Iterator[FieldProblem]:
    """Yield everything that is wrong with a policy whose fields are valid on their own."""
    yield from _check_matrix(policy)
    yield from _check_targets_are_complete(policy)
    yield from _check_mailboxes(policy)
    yield from _check_elapsed_durations(policy)
    last_year = LAST_YEAR - _YEARS_AHEAD
    if not FIRST_YEAR <= policy.in_force_from.year <= last_year:
        message = f"is outside the years {FIRST_YEAR} to {last_year}; use one of these years"
        yield ("in_force_from",), policy.in_force_from, message
        return
    yield from _check_calendars(policy)
    yield from _check_terms(policy, terms=policy, own=policy, path=())
    for customer, own in policy.customers.items():
        yield from _check_terms(policy, terms=merge_terms(policy, own), own=own, path=("customers", customer))


def _check_matrix(policy: PolicyDocument) -> Iterator[FieldProblem]:
    yield from _check_each_severity(policy.severities, ("severities",))
    severity_of: dict[tuple[str, object], int] = {}
    percent_above = 101
    for severity, criteria in sorted(policy.severities.items()):
        for field in ("name", "business_risk", "work_stoppage", "workaround"):
            value = getattr(criteria, field)
            other = severity_of.setdefault((field, value), severity)
            if value is not None and other != severity:
                message = f"`{value}` is already used by severity {other}; use each value once, or leave the field out"
                yield ("severities", severity, field), value, message
        percent = criteria.users_affected_percent_from
        if percent is not None and percent >= percent_above:
            message = f"{percent} is not below {percent_above}, the value of the severity above; write a smaller number"
            yield ("severities", severity, "users_affected_percent_from"), percent, message
        percent_above = percent_above if percent is None else percent


def _check_targets_are_complete(policy: PolicyDocument) -> Iterator[FieldProblem]:
    yield from _check_each_severity(policy.targets.response, ("targets", "response"))
    yield from _check_each_severity(policy.targets.resolution, ("targets", "resolution"))
    if policy.targets.answer is None:
        yield ("targets", "answer"), None, "is missing; add it, for example answer: 24h"


def _check_each_severity(by_severity: Mapping[int, object], path: FieldPath) -> Iterator[FieldProblem]:
    for severity in _SEVERITIES:
        if severity not in by_severity:
            yield (*path, severity), None, "is missing; add it, since severities 1 to 4 are all required"


def _check_mailboxes(policy: PolicyDocument) -> Iterator[FieldProblem]:
    for name in get_args(Mailbox):
        if name not in policy.mailboxes:
            yield ("mailboxes", name), None, "is missing; add it with its address and purposes"
    covered = {purpose for mailbox in policy.mailboxes.values() for purpose in mailbox.purposes}
    for purpose in get_args(Category):
        if purpose not in covered:
            yield ("mailboxes",), None, f"no mailbox has the purpose `{purpose}`; add it to the purposes of one"
    for name, mailbox in policy.mailboxes.items():
        other = policy.mailboxes.get(mailbox.otherwise) if mailbox.otherwise is not None else None
        if mailbox.it_contact_only and (other is None or other.it_contact_only):
            message = "must name a mailbox that is open to everyone; requests are rerouted there, never dropped"
            yield ("mailboxes", name, "otherwise"), mailbox.otherwise, message


def _check_elapsed_durations(policy: PolicyDocument) -> Iterator[FieldProblem]:
    durations: list[tuple[FieldPath, Duration]] = [(("notice", name), notice) for name, notice in policy.notice.items()]
    durations += [(("average_under", channel), average) for channel, average in policy.average_under.items()]
    if policy.start_warning is not None:
        durations.append((("start_warning",), policy.start_warning))
    for customer, own in policy.customers.items():
        path = ("customers", customer)
        durations += [((*path, "average_under", channel), average) for channel, average in own.average_under.items()]
        if own.start_warning is not None:
            durations.append(((*path, "start_warning"), own.start_warning))
    for field, duration in durations:
        if duration.business:
            yield field, str(duration), f"`{duration}` is business time; write elapsed time, for example 48h"


def _check_calendars(policy: PolicyDocument) -> Iterator[FieldProblem]:
    for name, calendar in policy.calendars.items():
        years_with_own_holidays = {day.year for day in calendar.holidays.added if FIRST_YEAR <= day.year <= LAST_YEAR}
        for year in sorted({*_years_ahead(policy), *years_with_own_holidays}):
            if not calendar.open_days(year):
                message = f"never opens in {year}, because every open day is a holiday; remove some of the holidays"
                yield ("calendars", name), None, message
                break


def _years_ahead(policy: PolicyDocument) -> range:
    return range(policy.in_force_from.year, policy.in_force_from.year + _YEARS_AHEAD)


def _check_terms(policy: PolicyDocument, *, terms: Terms, own: Terms, path: FieldPath) -> Iterator[FieldProblem]:
    """Check a customer's `own` terms, and the `terms` that result from them and the general ones."""
    ladder = own.ladder or {}
    if own.ladder is not None and sorted(ladder) != list(range(1, len(ladder) + 1)):
        message = f"the tiers are {_joined(sorted(ladder))}; number them 1, 2, 3 ... without a gap"
        yield (*path, "ladder"), None, message
    for tier, role in ladder.items():
        yield from _check_name(role, policy.roles, (*path, "ladder", tier), "role")
        if any(other < tier for other, same in ladder.items() if same == role):
            yield (*path, "ladder", tier), role, f"`{role}` is on two tiers; use a different role for each tier"
    yield from _check_recipients(policy, terms, own, path)
    if own.service_delivery is not None:
        yield from _check_name(own.service_delivery, policy.roles, (*path, "service_delivery"), "role")
    if own.calendar is not None:
        yield from _check_name(own.calendar, policy.calendars, (*path, "calendar"), "calendar")
    if terms.calendar in policy.calendars:
        yield from _check_targets(policy, terms, own, path)


def _check_recipients(policy: PolicyDocument, terms: Terms, own: Terms, path: FieldPath) -> Iterator[FieldProblem]:
    """Check the recipients of mails: roles, tiers of the ladder that the `terms` have, and the assignee."""
    tiers = [f"tier {number}" for number in sorted(terms.ladder or {})]
    for field in ("warnings_to", "response_missed_to", "answer_missed_to"):
        stated = getattr(own.mail, field)
        for index, name in enumerate(stated or ()):
            yield from _check_name(name, [*policy.roles, *tiers, ASSIGNEE], (*path, "mail", field, index), "recipient")
        for name in getattr(terms.mail, field) or ():
            if stated is None and own.ladder is not None and name.startswith("tier ") and name not in tiers:
                message = f"has no {name}, which the general mail.{field} names; add it, or set mail.{field} here"
                yield (*path, "ladder"), None, message


def _check_targets(policy: PolicyDocument, terms: Terms, own: Terms, path: FieldPath) -> Iterator[FieldProblem]:
    calendar = policy.calendars[terms.calendar or policy.calendar]
    reachable = sum(calendar.open_days(year) for year in _years_ahead(policy)) * calendar.day_length
    for field, target in _targets(own, path):
        due = target.due.length(calendar.day_length)
        if target.warning is not None and target.warning.length(calendar.day_length) >= due:
            message = f"{target.warning} is not before due, {target.due}; warn earlier, or leave the warning out"
            yield (*field, "warning"), str(target.warning), message
        if target.due.business and due > reachable:
            message = f"{target.due} cannot be reached within {_YEARS_AHEAD} years; open the calendar more often"
            yield (*field, "due"), str(target.due), message


def _targets(own: Terms, path: FieldPath) -> Iterator[tuple[FieldPath, TargetTerms]]:
    for clock, targets in (("response", own.targets.response), ("resolution", own.targets.resolution)):
        for severity, target in targets.items():
            yield (*path, "targets", clock, severity), target
    if own.targets.answer is not None:
        yield (*path, "targets", "answer"), own.targets.answer


def _check_name(name: str, defined: Iterable[str], path: FieldPath, kind: str) -> Iterator[FieldProblem]:
    if name not in defined:
        yield path, name, f"unknown {kind} `{name}`; valid {kind}s are {_joined(defined) or 'those that you define'}"


def _joined(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names)
