"""Whether a policy could work at all: what no single field can tell. Bounded, whatever is written."""

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from tocsin.business_time import FIRST_YEAR, LAST_YEAR
from tocsin.events import Category, Mailbox
from tocsin.policy.content import PolicyDocument
from tocsin.policy.terms import TargetTerms, Terms, merged
from tocsin.yaml_document import Duration, FieldPath

Problem = tuple[FieldPath, object, str]

_SEVERITIES = (1, 2, 3, 4)
_YEARS_AHEAD = 10


def problems(policy: PolicyDocument) -> Iterator[Problem]:
    """Everything that is wrong: its place, the value found there, and "what is wrong; what would be right"."""
    yield from _matrix(policy)
    yield from _complete(policy)
    yield from _mailboxes(policy)
    yield from _elapsed_only(policy)
    last = LAST_YEAR - _YEARS_AHEAD
    if not FIRST_YEAR <= policy.in_force_from.year <= last:
        yield (
            ("in_force_from",),
            policy.in_force_from,
            f"lies outside the years {FIRST_YEAR} to {last}; use one of them",
        )
        return
    yield from _calendars(policy)
    yield from _terms(policy, policy, policy, ())
    for name, own in policy.customers.items():
        yield from _terms(policy, merged(policy, own), own, ("customers", name))


def _matrix(policy: PolicyDocument) -> Iterator[Problem]:
    yield from _each_severity(policy.severities, ("severities",))
    seen: dict[tuple[str, object], int] = {}
    least = 101
    for severity, criteria in sorted(policy.severities.items()):
        for field in ("name", "business_risk", "work_stoppage", "workaround"):
            word = getattr(criteria, field)
            other = seen.setdefault((field, word), severity)
            if word is not None and other != severity:
                message = f"`{word}` is severity {other} already; give each severity its own, or leave it out"
                yield ("severities", severity, field), word, message
        percent = criteria.users_affected_percent_from
        if percent is not None and percent >= least:
            message = f"{percent} is not below the {least} of the severity above; let it fall from 1 to 4"
            yield ("severities", severity, "users_affected_percent_from"), percent, message
        least = least if percent is None else percent


def _complete(policy: PolicyDocument) -> Iterator[Problem]:
    yield from _each_severity(policy.targets.response, ("targets", "response"))
    yield from _each_severity(policy.targets.resolution, ("targets", "resolution"))
    if policy.targets.answer is None:
        yield ("targets", "answer"), None, "is missing; state it, for example answer: 24h"


def _each_severity(given: Mapping[int, object], place: FieldPath) -> Iterator[Problem]:
    for severity in _SEVERITIES:
        if severity not in given:
            yield (*place, severity), None, f"is missing; state it for severity {severity} as for the others"


def _mailboxes(policy: PolicyDocument) -> Iterator[Problem]:
    for name in get_args(Mailbox):
        if name not in policy.mailboxes:
            yield ("mailboxes", name), None, "is missing; state its address and purposes"
    taken = {purpose for mailbox in policy.mailboxes.values() for purpose in mailbox.purposes}
    for purpose in get_args(Category):
        if purpose not in taken:
            yield ("mailboxes",), None, f"nobody takes `{purpose}`; add it to the purposes of a mailbox"
    for name, mailbox in policy.mailboxes.items():
        other = policy.mailboxes.get(mailbox.otherwise) if mailbox.otherwise is not None else None
        if mailbox.it_contact_only and (other is None or other.it_contact_only):
            message = "must name a mailbox that is open to everybody; a request is rerouted, never dropped"
            yield ("mailboxes", name, "otherwise"), mailbox.otherwise, message


def _elapsed_only(policy: PolicyDocument) -> Iterator[Problem]:
    durations: list[tuple[FieldPath, Duration]] = [(("notice", name), notice) for name, notice in policy.notice.items()]
    durations += [(("average_under", channel), average) for channel, average in policy.average_under.items()]
    for name, own in policy.customers.items():
        place = ("customers", name, "average_under")
        durations += [((*place, channel), average) for channel, average in own.average_under.items()]
    for at, duration in durations:
        if duration.business:
            yield at, str(duration), f"`{duration}` is business time; state elapsed time, for example 48h"


def _calendars(policy: PolicyDocument) -> Iterator[Problem]:
    for name, calendar in policy.calendars.items():
        own_years = {day.year for day in calendar.holidays.added if FIRST_YEAR <= day.year <= LAST_YEAR}
        for year in sorted({*_years(policy), *own_years}):
            if not calendar.open_days(year):
                message = f"never opens in {year}: every open day is a holiday; it must open every year"
                yield ("calendars", name), None, message
                break


def _years(policy: PolicyDocument) -> range:
    return range(policy.in_force_from.year, policy.in_force_from.year + _YEARS_AHEAD)


def _terms(policy: PolicyDocument, terms: Terms, own: Terms, place: FieldPath) -> Iterator[Problem]:
    ladder = own.ladder or {}
    if own.ladder is not None and sorted(ladder) != list(range(1, len(ladder) + 1)):
        message = f"the tiers are {_listed(sorted(ladder))}; number them 1, 2, 3 ... without a gap"
        yield (*place, "ladder"), None, message
    for tier, role in ladder.items():
        yield from _known(role, policy.roles, (*place, "ladder", tier), "role")
        if any(other < tier for other, same in ladder.items() if same == role):
            yield (*place, "ladder", tier), role, f"`{role}` stands on two tiers; give each tier its own role"
    for field in ("warnings_to", "response_missed_to", "answer_missed_to"):
        for index, role in enumerate(getattr(own.mail, field) or ()):
            yield from _known(role, policy.roles, (*place, "mail", field, index), "role")
    if own.calendar is not None:
        yield from _known(own.calendar, policy.calendars, (*place, "calendar"), "calendar")
    if terms.calendar in policy.calendars:
        yield from _promises(policy, terms, own, place)


def _promises(policy: PolicyDocument, terms: Terms, own: Terms, place: FieldPath) -> Iterator[Problem]:
    calendar = policy.calendars[terms.calendar or policy.calendar]
    within = sum(calendar.open_days(year) for year in _years(policy)) * calendar.day
    for at, promise in _written(own, place):
        due = promise.due.length(calendar.day)
        if promise.warning is not None and promise.warning.length(calendar.day) >= due:
            message = f"{promise.warning} is not before the due, {promise.due}; warn earlier, or leave the warning out"
            yield (*at, "warning"), str(promise.warning), message
        if promise.due.business and due > within:
            yield (
                (*at, "due"),
                str(promise.due),
                f"{promise.due} cannot be reached within {_YEARS_AHEAD} years; open more often",
            )


def _written(own: Terms, place: FieldPath) -> Iterator[tuple[FieldPath, TargetTerms]]:
    for clock, promises in (("response", own.targets.response), ("resolution", own.targets.resolution)):
        for severity, promise in promises.items():
            yield (*place, "targets", clock, severity), promise
    if own.targets.answer is not None:
        yield (*place, "targets", "answer"), own.targets.answer


def _known(name: str, names: Iterable[str], place: FieldPath, kind: str) -> Iterator[Problem]:
    if name not in names:
        yield place, name, f"no {kind} is called `{name}`; use {_listed(names)}"


def _listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names) or "one that is defined"
