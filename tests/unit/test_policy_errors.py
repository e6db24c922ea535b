# ruff: noqa: E501 (a table: one slip a line)
"""Every way to get a policy wrong, by example: the error names file, line, field, and what would be right."""

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


class Slip(NamedTuple):
    """A line of the shipped policy, what is written there instead, and the error; `below`: lines after the reported."""

    line: str
    instead: str
    error: str
    below: int = 0


SLIPS = {
    "unknown field": Slip("warning_share: 75 %", "warning_shere: 75 %", "warning_shere: is no field here; did you mean `warning_share`?"),
    "unknown field far from any": Slip("    name: Critical", "    name: Critical\n    xyz: 1", "severities.1.xyz: is no field here; known are name,", 1),
    "version missing": Slip('version: "1"', "", "version: is missing; state it, for example version: 2026-1"),
    "version no text": Slip('version: "1"', "version: 1", "version: must be text; write it in quotes"),
    "version empty": Slip('version: "1"', "version:", "version: is empty; state it"),
    "naive instant": Slip("in_force_from: 2000-01-01T00:00:00Z", "in_force_from: 2000-01-01T00:00:00", "in_force_from: has no time zone; write one"),
    "no instant": Slip("in_force_from: 2000-01-01T00:00:00Z", "in_force_from: soon", "in_force_from: is no instant; write it like 2026"),
    "instant out of time": Slip("in_force_from: 2000-01-01T00:00:00Z", "in_force_from: 9999-01-01T00:00:00Z", "in_force_from: lies outside the years 1900 to 2090; use one"),
    "duplicate field": Slip("warning_share: 75 %", "warning_share: 75 %\nwarning_share: 80 %", "warning_share: stands on line {line} already; keep one", 1),
    "duplicate tier": Slip("  2: senior_it_operations_manager", "  1: senior_it_operations_manager", "ladder.1: stands on line"),
    "gap in the ladder": Slip("  3: it_operations_director", "  9: it_operations_director", "ladder: the tiers are 1, 2, 4, 5, 6, 9; number them 1, 2, 3", -3),
    "tier that is no number": Slip("  3: it_operations_director", "  third: it_operations_director", "ladder.third:"),
    "role on two tiers": Slip("  3: it_operations_director", "  3: account_manager", "ladder.4: `account_manager` stands on two tiers; give", 1),
    "unknown role": Slip("  3: it_operations_director", "  3: director", "ladder.3: no role is called `director`; use service_desk"),
    "unknown role of a mail": Slip("  stand_down: true", "  warnings_to: [nobody]", "mail.warnings_to[0]: no role is called `nobody`; use service_desk"),
    "nobody to mail": Slip("  stand_down: true", "  warnings_to: []", "mail.warnings_to:"),
    "no boolean": Slip("  stand_down: true", "  stand_down: maybe", "mail.stand_down: must be true or false"),
    "unknown zone": Slip("    zone: America/New_York", "    zone: America/New_Yorck", "calendars.default.zone: `America/New_Yorck` is no time zone; write it like zone: America/New_York"),
    "path for a zone": Slip("    zone: America/New_York", "    zone: ../../etc/passwd", "calendars.default.zone: `../../etc/passwd` is no time zone"),
    "unknown country": Slip("      of: US # a country or subdivision, US or US-CA; observed days included", "      of: XX", "calendars.default.holidays.of: no holidays are known for `XX`; write it like of: US"),
    "unknown subdivision": Slip("      of: US # a country or subdivision, US or US-CA; observed days included", "      of: US-XX", "calendars.default.holidays.of: no holidays are known for `US-XX`"),
    "no date": Slip("      added: [] # dates of your own, 2026-12-24", "      added: [2026-02-30]", "calendars.default.holidays.added[0]: is no date; write it like 2026-12-24"),
    "added and removed": Slip("      added: [] # dates of your own, 2026-12-24\n      removed: []", "      added: [2026-12-24]\n      removed: [2026-12-24]", "calendars.default.holidays.removed[0]: 2026-12-24 is added as well; keep one", 1),
    "never opens": Slip("    open:\n      monday-friday: 08:00-17:00", "    open: {}", "calendars.default.open: never opens; give it hours"),
    "unknown day": Slip("      monday-friday: 08:00-17:00", "      mon-fri: 08:00-17:00", "calendars.default.open.mon-fri: `mon-fri` is no day; write days like monday"),
    "days backwards": Slip("      monday-friday: 08:00-17:00", "      friday-monday: 08:00-17:00", "calendars.default.open.friday-monday: `friday-monday` runs backwards; write monday-friday"),
    "window backwards": Slip("      monday-friday: 08:00-17:00", "      monday-friday: 17:00-08:00", "calendars.default.open.monday-friday: `17:00-08:00` closes before it opens; split a night"),
    "window of nothing": Slip("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-08:00", "calendars.default.open.monday-friday: `08:00-08:00` closes before it opens"),
    "no window": Slip("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-25:00", "calendars.default.open.monday-friday: `08:00-25:00` are no opening hours; write them like 08:00-17:00"),
    "windows overlap": Slip("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-12:00, 11:00-17:00", "calendars.default.open.monday-friday: windows of monday overlap; join or part"),
    "windows of two entries overlap": Slip("      monday-friday: 08:00-17:00", "      monday-friday: 08:00-17:00\n      friday: 16:00-18:00", "calendars.default.open.friday: windows of friday overlap", 1),
    "days differ": Slip("      monday-friday: 08:00-17:00", "      monday-thursday: 08:00-17:00\n      friday: 08:00-12:00", "calendars.default.business_day: is missing while open days differ in length; state it, for example 9h", -3),
    "no business day": Slip("    zone: America/New_York", "    zone: America/New_York\n    business_day: 1 business day", "calendars.default.business_day: `1 business day` is no day; state up to 24h", 1),
    "unknown calendar": Slip("calendar: default", "calendar: rome", "calendar: no calendar is called `rome`; use default"),
    "target of nothing": Slip("    1: 1h", "    1: 0h", "targets.response.1.due: `0h` is no time at all; write it like 30m"),
    "negative target": Slip("    1: 1h", "    1: -1h", "targets.response.1.due: `-1h` is no length of time; write it like 30m"),
    "target without a unit": Slip("    1: 1h", "    1: 60", "targets.response.1: must be a mapping"),
    "target too long": Slip("    1: 1h", "    1: 9999 business days", "targets.response.1.due: `9999 business days` is longer than a year"),
    "mixed target": Slip("    1: 1h", "    1: 1h 1 business day", "targets.response.1.due: `1h 1 business day` mixes elapsed and business time; use one"),
    "milliseconds": Slip("    1: 1h", "    1: 30ms", "targets.response.1.due: `30ms` is no length of time"),
    "warning at its due": Slip("    3: { warning: 6 business hours, due: 1 business day }", "    3: { warning: 9 business hours, due: 1 business day }", "targets.response.3.warning: 9 business hours is not before the due, 1 business day; warn earlier"),
    "warning after its due": Slip("    1: 1h", "    1: { warning: 2h, due: 1h }", "targets.response.1.warning: 2h is not before the due, 1h; warn earlier"),
    "warning on another clock": Slip("    1: 1h", "    1: { warning: 30 business minutes, due: 1h }", "targets.response.1.warning: is measured on another clock than its due, 1h; use the same"),
    "warning without a due": Slip("    1: 1h", "    1: { warning: 30m }", "targets.response.1.due: is missing; state it, for example due: 1h"),
    "target missing": Slip("    1: 24h\n", "", "targets.resolution.1: is missing; state it for severity 1 as for the others", -1),
    "answer missing": Slip("  answer: 24h # to a ticket that came by e-mail, whatever its severity", "", "targets.answer: is missing; state it, for example answer: 24h", -10),
    "share of everything": Slip("warning_share: 75 %", "warning_share: 175 %", "warning_share: `175 %` should match pattern"),
    "severity 5": Slip("    1: 1h", "    5: 1h", "targets.response.5:"),
    "severity named twice": Slip("    name: High", "    name: Critical", "severities.2.name: `Critical` is severity 1 already; give each"),
    "word unknown": Slip("    business_risk: major", "    business_risk: majr", "severities.2.business_risk: `majr` is not known; did you mean `major`?"),
    "percents do not fall": Slip("    users_affected_percent_from: 30", "    users_affected_percent_from: 80", "severities.2.users_affected_percent_from: 80 is not below the 75 of the severity above; let it fall"),
    "average in business time": Slip("  chat: 5m", "  chat: 5 business minutes", "average_under.chat: `5 business minutes` is business time; state elapsed time"),
    "channel unknown": Slip("  chat: 5m", "  chatt: 5m", "average_under.chatt: `chatt` is not known; did you mean `chat`?"),
    "no address": Slip("    address: Support@betterworldtech.com", "    address: Support", "mailboxes.support.address: value is not a valid email address"),
    "nobody takes it": Slip("    purposes: [incident, user_request]", "    purposes: [incident]", "mailboxes: nobody takes `user_request`; add it to the purposes", -3),
    "dropped requests": Slip("    otherwise: support", "    otherwise: escalations", "mailboxes.escalations.otherwise: must name a mailbox that is open to everybody; a request is rerouted"),
    "unknown calendar of a customer": Slip("customers: {}", "customers:\n  acme:\n    calendar: rome", "customers.acme.calendar: no calendar is called `rome`; use default", 2),
    "ladder of a customer": Slip("customers: {}", "customers:\n  acme:\n    ladder: { 2: account_manager }", "customers.acme.ladder: the tiers are 2; number them 1, 2, 3", 2),
    "warning of a customer": Slip("customers: {}", "customers:\n  acme:\n    targets:\n      answer: { warning: 2h, due: 90m }", "customers.acme.targets.answer.warning: 2h is not before the due, 90m", 3),
    "anchors": Slip("customers: {}", "customers:\n  a: &terms { calendar: default }\n  b: *terms", "customers.b: repeats an anchor; write it out", 1),
    "tags": Slip("customers: {}", "customers: !!python/object:os.system {}", "customers: `tag:yaml.org,2002:python/object:os.system` is a tag; write the plain value"),
    "no YAML": Slip("customers: {}", "customers: {", "is no YAML:", 1),
    "tab": Slip("  chat: 5m", "\tchat: 5m", "is no YAML:"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
def test_a_slip_is_told_with_its_line(slip: Slip) -> None:
    text = SHIPPED.read_text("utf-8")
    assert slip.line in text, "the shipped policy has changed"
    line = text[: text.index(slip.line)].count("\n") + 1
    with pytest.raises(PolicyError) as refusal:
        load_policy(text.replace(slip.line, slip.instead, 1), "policy.yaml")
    place = "policy.yaml:" if slip.instead == "" else f"policy.yaml:{line + slip.below}: "
    told = str(refusal.value).splitlines()
    assert any(one.startswith(place) and slip.error.format(line=line) in one for one in told), "\n".join(told)
    assert all(";" in one or "?" in one for one in told)


def test_all_slips_are_told_at_once() -> None:
    text = SHIPPED.read_text("utf-8").replace("zone: America/New_York", "zone: Mars").replace("75 %", "a lot")
    with pytest.raises(PolicyError) as refusal:
        load_policy(text, "policy.yaml")
    assert [problem.split(": ")[1] for problem in refusal.value.problems] == ["warning_share", "calendars.default.zone"]


@pytest.mark.parametrize(
    "text", ["", "# nothing", "- a list", "just text", "a: 1\n---\nb: 2", "\x00", "a: \ud800", "[" * 500]
)
def test_what_is_no_policy_at_all_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"^policy.yaml:[0-9]+: "):
        load_policy(text, "policy.yaml")


def closed_for(years: range) -> str:
    days = (date(years.start, 1, 1) + timedelta(days=day) for day in range(366 * len(years)))
    return ", ".join(day.isoformat() for day in days)


def test_a_calendar_that_is_closed_every_day_of_a_year_is_refused_in_bounded_time() -> None:
    text = SHIPPED.read_text("utf-8").replace("added: []", f"added: [{closed_for(range(2025, 2038))}]")
    begun = time.monotonic()
    with pytest.raises(PolicyError, match=r"calendars.default: never opens in 2025: every open day is a holiday"):
        load_policy(text, "policy.yaml")
    assert time.monotonic() - begun < 10


def test_a_target_that_rare_openings_cannot_reach_is_refused() -> None:
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
def test_what_would_take_for_ever_is_refused_in_bounded_time(text: str) -> None:
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
def test_a_mangled_policy_loads_or_is_refused(first: int, length: int, instead: list[str]) -> None:
    text = "\n".join([*LINES[:first], *instead, *LINES[first + length :]])
    # Whatever else it raises fails the test.
    with suppress(PolicyError):
        load_policy(text, "policy.yaml")


def test_many_customers_with_calendars_of_their_own_load_in_bounded_time() -> None:
    calendars = "".join(
        f"  c{n}: {{ zone: Europe/Rome, open: {{ monday-friday: '09:00-17:00' }}, holidays: {{ of: IT }} }}\n"
        for n in range(500)
    )
    customers = "".join(f"  customer{n}: {{ calendar: c{n} }}\n" for n in range(500))
    text = SHIPPED.read_text("utf-8").replace("calendars:\n", f"calendars:\n{calendars}")
    begun = time.monotonic()
    load_policy(text.replace("customers: {}", f"customers:\n{customers}"), "policy.yaml").rules("customer7")
    assert time.monotonic() - begun < 20
