# ruff: noqa: E501 (a table: one mistake per line)
"""Errors of a policy: each names file, line and field, says what is wrong, and what to write instead."""

import time
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.search_budget import tries
from tocsin.policy import PolicyError, load_policy

SHIPPED = Path(__file__).parents[2] / "deploy/policy/policy.yaml"


class Mistake(NamedTuple):
    """A line of the shipped policy, what replaces it, and the error; `below`: how many lines below it is reported."""

    line: str
    instead: str
    error: str
    below: int = 0


MISTAKES = {
    "unknown field": Mistake("warning_share: 75 %", "warning_shere: 75 %", "warning_shere: unknown field; did you mean `warning_share`?"),
    "unknown field unlike any other": Mistake("    name: Critical", "    name: Critical\n    xyz: 1", "severities.1.xyz: unknown field; valid fields are name,", 1),
    "no version": Mistake('version: "1"', "", "version: is missing; add it, for example version: 2026-1"),
    "version that is not text": Mistake('version: "1"', "version: 1", "version: must be text; write it in quotes"),
    "empty version": Mistake('version: "1"', "version:", "version: is empty; add a value, for example version: 2026-1"),
    "instant without a zone": Mistake("in_force_from: 2000-01-01T00:00:00Z", "in_force_from: 2000-01-01T00:00:00", "in_force_from: has no time zone; add one"),
    "not an instant": Mistake("in_force_from: 2000-01-01T00:00:00Z", "in_force_from: soon", "in_force_from: is not a date and time; write it like 2026"),
    "instant outside the years of calendars": Mistake("in_force_from: 2000-01-01T00:00:00Z", "in_force_from: 9999-01-01T00:00:00Z", "in_force_from: is outside the years 1900 to 2090; use one"),
    "duplicate field": Mistake("warning_share: 75 %", "warning_share: 75 %\nwarning_share: 80 %", "warning_share: duplicates line {line}; keep one", 1),
    "duplicate tier": Mistake("  2: senior_it_operations_manager", "  1: senior_it_operations_manager", "ladder.1: duplicates line"),
    "gap in the ladder": Mistake("  3: it_operations_director", "  9: it_operations_director", "ladder: the tiers are 1, 2, 4, 5, 6, 9; number them 1, 2, 3", -3),
    "tier that is not a number": Mistake("  3: it_operations_director", "  third: it_operations_director", "ladder.third:"),
    "role on two tiers": Mistake("  3: it_operations_director", "  3: account_manager", "ladder.4: `account_manager` is on two tiers; use a different role", 1),
    "unknown role": Mistake("  3: it_operations_director", "  3: director", "ladder.3: unknown role `director`; valid roles are service_desk"),
    "unknown recipient": Mistake("  stand_down: true", "  warnings_to: [nobody]", "mail.warnings_to[0]: unknown recipient `nobody`; valid recipients are service_desk"),
    "recipient above the ladder": Mistake("  stand_down: true", "  warnings_to: [assignee, tier 7]", "mail.warnings_to[1]: unknown recipient `tier 7`; valid recipients are service_desk"),
    "tier 0": Mistake("  stand_down: true", "  response_missed_to: [tier 0]", "mail.response_missed_to[0]: `tier 0` is not valid; write it like assignee"),
    "recipient above a customer's ladder": Mistake("customers: {}", "customers:\n  acme:\n    ladder: { 1: account_manager }\n    mail: { warnings_to: [tier 2] }", "customers.acme.mail.warnings_to[0]: unknown recipient `tier 2`; valid", 3),
    "unknown measure": Mistake("  project: none", "  project: never", "categories.project: `never` is not a valid value"),
    "unknown category": Mistake("  project: none", "  party: none", "categories.party: `party` is not a valid value"),
    "warning before the start in business time": Mistake("start_warning: 24h", "start_warning: 1 business day", "start_warning: `1 business day` is business time; write elapsed time, for example 48h"),
    "start warning of a customer in business time": Mistake("customers: {}", "customers:\n  acme: { start_warning: 2 business hours }", "customers.acme.start_warning: `2 business hours` is business time; write", 1),
    "unknown role of the service delivery team": Mistake("service_delivery: service_desk_team_lead", "service_delivery: nobody", "service_delivery: unknown role `nobody`; valid roles are service_desk"),
    "unknown role of a customer's team": Mistake("customers: {}", "customers:\n  acme: { service_delivery: assignee }", "customers.acme.service_delivery: unknown role `assignee`; valid roles", 1),
    "automatic actor that is not text": Mistake("automatic_actors: []", "automatic_actors: [1]", "automatic_actors[0]: must be text; write it in quotes"),
    "help guide that is not an address": Mistake("machine_sources: {}", "machine_sources: {}\nhelp_guide: the wiki", "help_guide:", 1),
    "no recipient": Mistake("  stand_down: true", "  warnings_to: []", "mail.warnings_to:"),
    "not a boolean": Mistake("  stand_down: true", "  stand_down: maybe", "mail.stand_down: must be true or false"),
    "unknown zone": Mistake("    zone: America/New_York", "    zone: America/New_Yorck", "calendars.default.zone: `America/New_Yorck` is not an IANA time zone; write it like zone: America/New_York"),
    "path for a zone": Mistake("    zone: America/New_York", "    zone: ../../etc/passwd", "calendars.default.zone: `../../etc/passwd` is not an IANA time zone"),
    "unknown country": Mistake("      of: US # a country or subdivision, US or US-CA; observed days included", "      of: XX", "calendars.default.holidays.of: no holidays are known for `XX`; write it like of: US"),
    "not a date": Mistake("      added: [] # dates of your own, 2026-12-24", "      added: [2026-02-30]", "calendars.default.holidays.added[0]: is not a date; write it like 2026-12-24"),
    "added and removed": Mistake("      added: [] # dates of your own, 2026-12-24\n      removed: []", "      added: [2026-12-24]\n      removed: [2026-12-24]", "calendars.default.holidays.removed[0]: 2026-12-24 is also in `added`; keep one", 1),
    "never opens": Mistake("    open:\n      monday-friday: 08:00-17:00", "    open: {}", "calendars.default.open: never opens; add hours"),
    "unknown weekday": Mistake("      monday-friday: 08:00-17:00", "      mon-fri: 08:00-17:00", "calendars.default.open.mon-fri: `mon-fri` is not a weekday or a range of them; write monday"),
    "weekdays in reverse order": Mistake("      monday-friday: 08:00-17:00", "      friday-monday: 08:00-17:00", "calendars.default.open.friday-monday: `friday-monday` is in reverse order; write monday-friday"),
    "window in reverse order": Mistake("      monday-friday: 08:00-17:00", "      monday-friday: 17:00-08:00", "calendars.default.open.monday-friday: `17:00-08:00` closes before it opens; split hours over midnight"),
    "not a window": Mistake("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-25:00", "calendars.default.open.monday-friday: `08:00-25:00` are not opening hours; write them like 08:00-17:00"),
    "overlapping windows": Mistake("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-12:00, 11:00-17:00", "calendars.default.open.monday-friday: windows of monday overlap; join or separate"),
    "overlapping windows of two entries": Mistake("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-17:00\n      friday: 16:00-18:00", "calendars.default.open.friday: windows of friday overlap", 1),
    "open days of different length": Mistake("      monday-friday: 08:00-17:00", "      monday-thursday: 08:00-17:00\n      friday: 08:00-12:00", "calendars.default.business_day: is missing, and the open days differ in length; add it, for example business_day: 9h", -3),
    "not a business day": Mistake("    zone: America/New_York", "    zone: America/New_York\n    business_day: 1 business day", "calendars.default.business_day: `1 business day` is not the length of a day; write elapsed time up to 24h", 1),
    "unknown calendar": Mistake("calendar: default", "calendar: rome", "calendar: unknown calendar `rome`; valid calendars are default"),
    "target of zero": Mistake("    1: 1h", "    1: 0h", "targets.response.1.due: `0h` is zero; write it like 30m"),
    "not a duration": Mistake("    1: 1h", "    1: -1h", "targets.response.1.due: `-1h` is not a duration; write it like 30m"),
    "target without a unit": Mistake("    1: 1h", "    1: 60", "targets.response.1: must be a mapping"),
    "target of years": Mistake("    1: 1h", "    1: 9999 business days", "targets.response.1.due: `9999 business days` is longer than 366 days"),
    "mixed target": Mistake("    1: 1h", "    1: 1h 1 business day", "targets.response.1.due: `1h 1 business day` mixes elapsed and business time; use one"),
    "warning at its deadline": Mistake("    3: { warning: 6 business hours, due: 1 business day }", "    3: { warning: 9 business hours, due: 1 business day }", "targets.response.3.warning: 9 business hours is not before due, 1 business day; warn earlier"),
    "warning on another clock": Mistake("    1: 1h", "    1: { warning: 30 business minutes, due: 1h }", "targets.response.1.warning: is not measured on the same clock as due, 1h; use elapsed or business time"),
    "warning without a deadline": Mistake("    1: 1h", "    1: { warning: 30m }", "targets.response.1.due: is missing; add it, for example due: 1h"),
    "missing target": Mistake("    1: 24h\n", "", "targets.resolution.1: is missing; add it, since severities 1 to 4", -1),
    "missing answer": Mistake("  answer: 24h # to a ticket that came by e-mail, whatever its severity", "", "targets.answer: is missing; add it, for example answer: 24h", -10),
    "share above 100 %": Mistake("warning_share: 75 %", "warning_share: 175 %", "warning_share: `175 %` is not valid; write it like"),
    "severity 5": Mistake("    1: 1h", "    5: 1h", "targets.response.5:"),
    "two severities of one name": Mistake("    name: High", "    name: Critical", "severities.2.name: `Critical` is already used by severity 1; use each value once"),
    "unknown value": Mistake("    business_risk: major", "    business_risk: majr", "severities.2.business_risk: `majr` is not a valid value; did you mean `major`?"),
    "percentages that do not fall": Mistake("    users_affected_percent_from: 30", "    users_affected_percent_from: 80", "severities.2.users_affected_percent_from: 80 is not below 75, the value of the severity above; write"),
    "average in business time": Mistake("  chat: 5m", "  chat: 5 business minutes", "average_under.chat: `5 business minutes` is business time; write elapsed time"),
    "not an e-mail address": Mistake("    address: Support@betterworldtech.com", "    address: Support", "mailboxes.support.address: value is not a valid email address"),
    "category without a mailbox": Mistake("    purposes: [incident, user_request]", "    purposes: [incident]", "mailboxes: no mailbox has the purpose `user_request`; add it to the purposes", -3),
    "mailbox that would drop requests": Mistake("    otherwise: support", "    otherwise: escalations", "mailboxes.escalations.otherwise: must name a mailbox that is open to everyone; requests are rerouted"),
    "ladder of a customer": Mistake("customers: {}", "customers:\n  acme:\n    ladder: { 2: account_manager }", "customers.acme.ladder: the tiers are 2; number them 1, 2, 3", 2),
    "warning of a customer": Mistake("customers: {}", "customers:\n  acme:\n    targets:\n      answer: { warning: 2h, due: 90m }", "customers.acme.targets.answer.warning: 2h is not before due, 90m", 3),
    "alias": Mistake("customers: {}", "customers:\n  a: &terms { calendar: default }\n  b: *terms", "customers.b: YAML aliases are not supported; write the value out", 1),
    "tag": Mistake("customers: {}", "customers: !!python/object:os.system {}", "customers: YAML tags such as `tag:yaml.org,2002:python/object:os.system` are not supported; write a plain value"),
    "invalid YAML": Mistake("customers: {}", "customers: {", "invalid YAML:", 1),
    "tab": Mistake("  chat: 5m", "\tchat: 5m", "invalid YAML:"),
}  # fmt: skip


@pytest.mark.rule("2.2", "2.6", "2.7")
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_an_error_names_its_line_its_field_and_what_to_write(mistake: Mistake) -> None:
    text = SHIPPED.read_text("utf-8")
    assert mistake.line in text, "the shipped policy has changed"
    line = text[: text.index(mistake.line)].count("\n") + 1
    with pytest.raises(PolicyError) as refusal:
        load_policy(text.replace(mistake.line, mistake.instead, 1), "policy.yaml")
    place = "policy.yaml:" if mistake.instead == "" else f"policy.yaml:{line + mistake.below}: "
    problems = refusal.value.problems
    expected = mistake.error.format(line=line)
    assert any(problem.startswith(place) and expected in problem for problem in problems), "\n".join(problems)
    assert all(";" in problem or "?" in problem for problem in problems)


@pytest.mark.rule("2.9", "3.5")
def test_a_customers_ladder_has_every_tier_that_the_general_mails_name() -> None:
    text = SHIPPED.read_text("utf-8").replace("  stand_down: true", "  answer_missed_to: [assignee, tier 2]")
    own = "customers:\n  acme:\n    ladder: { 1: account_manager }"
    with pytest.raises(
        PolicyError, match=r"customers.acme.ladder: has no tier 2, which the general mail.answer_missed"
    ):
        load_policy(text.replace("customers: {}", own), "policy.yaml")
    load_policy(text.replace("customers: {}", own + "\n    mail: { answer_missed_to: [tier 1] }"), "policy.yaml")


def test_all_errors_are_reported_at_once() -> None:
    text = SHIPPED.read_text("utf-8").replace("zone: America/New_York", "zone: Mars").replace("75 %", "a lot")
    with pytest.raises(PolicyError) as refusal:
        load_policy(text, "policy.yaml")
    assert [problem.split(": ")[1] for problem in refusal.value.problems] == ["warning_share", "calendars.default.zone"]


@pytest.mark.parametrize(
    "text", ["", "# nothing", "- a list", "just text", "a: 1\n---\nb: 2", "\x00", "a: \ud800", "[" * 500]
)
def test_a_document_that_is_not_a_mapping_is_invalid(text: str) -> None:
    with pytest.raises(PolicyError, match=r"^policy.yaml:[0-9]+: "):
        load_policy(text, "policy.yaml")


def holidays(years: range) -> str:
    days = (date(years.start, 1, 1) + timedelta(days=day) for day in range(366 * len(years)))
    return ", ".join(day.isoformat() for day in days)


@pytest.mark.rule("2.7")
def test_a_calendar_that_is_closed_for_a_year_is_found_in_bounded_time() -> None:
    text = SHIPPED.read_text("utf-8").replace("added: []", f"added: [{holidays(range(2025, 2038))}]")
    begun = time.monotonic()
    with pytest.raises(PolicyError, match=r"calendars.default: never opens in 2025, because every open day is a holi"):
        load_policy(text, "policy.yaml")
    assert time.monotonic() - begun < 10


def test_a_target_that_the_calendar_cannot_reach_is_invalid() -> None:
    text = SHIPPED.read_text("utf-8").replace("in_force_from: 2000", "in_force_from: 2025")
    mondays = (date(2024, 12, 30) + timedelta(weeks=week) for week in range(53 * 11))
    closed = ", ".join(day.isoformat() for day in mondays if day.month != 2 or day.day > 7)
    text = text.replace("monday-friday: 08:00-17:00", "monday: 08:00-17:00").replace("added: []", f"added: [{closed}]")
    text = text.replace("    4: 7 business days", "    4: 11 business days")
    with pytest.raises(
        PolicyError, match=r"targets.resolution.4.due: 11 business days cannot be reached within 10 years"
    ):
        load_policy(text, "policy.yaml")


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 400 + "]" * 400, "x" * 1_000_001, "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]"]
)
def test_a_document_that_would_expand_without_end_is_invalid_in_bounded_time(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(PolicyError):
        load_policy(text, "policy.yaml")
    assert time.monotonic() - begun < 5


LINES = SHIPPED.read_text("utf-8").splitlines()
mangled: st.SearchStrategy[list[str]] = st.one_of(
    st.just([]),
    st.sampled_from(LINES).map(lambda line: [line]),
    st.text(max_size=20).map(lambda text: [text]),
    st.tuples(
        st.sampled_from(LINES),
        st.sampled_from(["null", "{}", "[]", "-1", "1e400", "2026-06-08", "yes", '""', "~", "!x"]),
    ).map(lambda pair: [f"{pair[0].split(':')[0]}: {pair[1]}"]),
)


@settings(max_examples=tries(60), deadline=None)
@given(st.integers(0, len(LINES) - 1), st.integers(0, 3), mangled)
def test_a_mangled_policy_loads_or_raises_policy_error(first: int, length: int, instead: list[str]) -> None:
    text = "\n".join([*LINES[:first], *instead, *LINES[first + length :]])
    # Any other exception fails the test.
    with suppress(PolicyError):
        load_policy(text, "policy.yaml")


def test_500_customers_with_their_own_calendars_load_in_bounded_time() -> None:
    calendars = "".join(
        f"  c{n}: {{ zone: Europe/Rome, open: {{ monday-friday: '09:00-17:00' }}, holidays: {{ of: IT }} }}\n"
        for n in range(500)
    )
    customers = "".join(f"  customer{n}: {{ calendar: c{n} }}\n" for n in range(500))
    text = SHIPPED.read_text("utf-8").replace("calendars:\n", f"calendars:\n{calendars}")
    begun = time.monotonic()
    load_policy(text.replace("customers: {}", f"customers:\n{customers}"), "policy.yaml").rules("customer7")
    assert time.monotonic() - begun < 20
