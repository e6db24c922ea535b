"""The shipped policy, the terms of single customers, durations, and policies that are stored and loaded again."""

from pathlib import Path

import pytest
from tocsin.business_time import DAY, ELAPSED, HOUR, MINUTE
from tocsin.policy import Policy, load_policy, policy_from_json
from tocsin.sources.policy_file import read_policy

SHIPPED = Path(__file__).parents[2] / "deploy/policy/policy.yaml"
LADDER = [
    "Service Desk Team Lead",
    "Senior IT Operations Manager",
    "IT Operations Director",
    "Account Manager",
    "Chief Operating Officer",
    "Chief Executive Officer",
]


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return read_policy(SHIPPED)


def with_terms(terms: str, calendars: str = "") -> Policy:
    text = SHIPPED.read_text("utf-8").replace("customers: {}", f"customers:\n  acme:\n{terms}")
    return load_policy(text.replace("calendars:\n", f"calendars:\n{calendars}", 1), "policy.yaml")


@pytest.mark.rule("2.8", "3.1", "3.2", "5.1", "5.5")
def test_the_shipped_policy_promises_what_the_customer_page_does(shipped: Policy) -> None:
    rules = shipped.rules(None)
    calendar = shipped.clocks["default"]
    response = {severity: (t.measure, t.warn, t.due, t.words) for severity, t in rules.response.items()}
    assert response == {
        1: (ELAPSED, 45 * MINUTE, HOUR, "1 hour"),
        2: (ELAPSED, 90 * MINUTE, 2 * HOUR, "2 hours"),
        3: (calendar, 6 * HOUR, 9 * HOUR, "1 business day"),
        4: (calendar, 8 * HOUR, 9 * HOUR, "1 business day"),
    }
    resolution = {severity: (t.measure, t.warn, t.due, t.words) for severity, t in rules.resolution.items()}
    assert resolution == {
        1: (ELAPSED, 18 * HOUR, DAY, "24 hours"),
        2: (ELAPSED, 27 * HOUR, 36 * HOUR, "36 hours"),
        3: (calendar, 45 * HOUR * 3 // 4, 45 * HOUR, "5 business days"),
        4: (calendar, 63 * HOUR * 3 // 4, 63 * HOUR, "7 business days"),
    }
    assert (rules.answer.measure, rules.answer.warn, rules.answer.due) == (ELAPSED, 18 * HOUR, DAY)
    assert {severity: (t.measure, t.warn, t.due) for severity, t in rules.interval.items()} == {
        severity: (t.measure, None, t.due) for severity, t in rules.response.items()
    }
    assert [(tier.number, tier.title) for tier in rules.ladder] == list(enumerate(LADDER, 1))
    assert rules.warning_roles == rules.response_missed_roles == rules.answer_missed_roles == (rules.ladder[0].role,)
    assert rules.stand_down
    assert rules.channels == {"voicemail": HOUR, "chat": 5 * MINUTE}


@pytest.mark.rule("6.4")
def test_mailboxes_notice_and_machine_sources_of_the_shipped_policy(shipped: Policy) -> None:
    assert shipped.mailboxes["support"].address.lower() == "support@betterworldtech.com"
    escalations = shipped.mailboxes["escalations"]
    assert (escalations.it_contact_only, escalations.otherwise) == (True, "support")
    assert set(escalations.purposes) == {"onboarding", "offboarding", "mishandled_request", "project", "security"}
    assert {category: notice.micros for category, notice in shipped.notice.items()} == {"onboarding": 48 * HOUR}
    assert shipped.machine_sources == {}


def test_rules_are_compiled_once_per_customer(shipped: Policy) -> None:
    assert shipped.rules("somebody") is shipped.rules(None)
    policy = with_terms("    warning_share: 50 %")
    assert policy.rules("acme") is policy.rules("acme") is not policy.rules(None)


def test_a_stored_policy_is_equal_when_it_is_loaded_again(shipped: Policy) -> None:
    for policy in (shipped, with_terms("    targets: { response: { 1: 1h 30m } }\n    mail: { stand_down: false }")):
        policy.rules("acme")
        stored = policy_from_json(policy.model_dump_json())
        assert stored == policy
        assert stored.rules("acme").response[1].words == policy.rules("acme").response[1].words
        assert stored.model_dump_json() == policy.model_dump_json()


def test_another_version_is_not_equal(shipped: Policy) -> None:
    other = load_policy(SHIPPED.read_text("utf-8").replace('version: "1"', 'version: "2"'), "policy.yaml")
    assert other != shipped


def test_a_stored_policy_is_validated_like_a_file(shipped: Policy) -> None:
    with pytest.raises(ValueError, match="unknown calendar"):
        policy_from_json(shipped.model_dump_json().replace('"calendar":"default"', '"calendar":"rome"'))


ROME = "  rome:\n    zone: Europe/Rome\n    open: { monday-friday: '09:00-13:00' }\n    holidays: { of: IT }\n"


def test_a_customer_may_have_its_own_calendar() -> None:
    rules = with_terms("    calendar: rome", ROME).rules("acme")
    assert rules.calendar.name == "rome"
    assert rules.resolution[3].measure is rules.calendar
    assert rules.resolution[3].due == 5 * 4 * HOUR
    assert rules.resolution[1].due == DAY


@pytest.mark.rule("3.4")
def test_a_warning_at_or_after_the_deadline_is_left_out() -> None:
    assert with_terms("    calendar: rome", ROME).rules("acme").response[3].warn is None


@pytest.mark.rule("2.9")
def test_a_customers_terms_replace_the_general_ones_and_keep_the_rest() -> None:
    policy = with_terms(
        """\
    targets:
      response: { 1: 30m, 2: { warning: 10m, due: 1h } }
      resolution: { 4: 10 business days }
      answer: 12h
    warning_share: 50 %
    ladder: { 1: account_manager, 2: chief_executive_officer }
    mail: { response_missed_to: [it_operations_director], stand_down: false }
    average_under: { chat: 2m }
"""
    )
    rules, general = policy.rules("acme"), policy.rules("globex")
    assert [rules.response[severity].due for severity in (1, 2, 3)] == [30 * MINUTE, HOUR, 9 * HOUR]
    assert [rules.response[severity].warn for severity in (1, 2, 3)] == [15 * MINUTE, 10 * MINUTE, 6 * HOUR]
    assert rules.interval[1].due == 30 * MINUTE
    assert rules.resolution[4].words == "10 business days"
    assert rules.answer.due == 12 * HOUR
    assert [tier.role for tier in rules.ladder] == ["account_manager", "chief_executive_officer"]
    assert rules.warning_roles == ("account_manager",)
    assert rules.response_missed_roles == ("it_operations_director",)
    assert not rules.stand_down
    assert rules.channels == {"voicemail": HOUR, "chat": 2 * MINUTE}
    assert general.response[1].due == HOUR
    assert len(general.ladder) == 6


@pytest.mark.parametrize(
    ("text", "length", "words"),
    [
        ("30m", 30 * MINUTE, "30 minutes"),
        ("90 min", 90 * MINUTE, "90 minutes"),
        ("1h", HOUR, "1 hour"),
        ("1h 30m", 90 * MINUTE, "1 hour 30 minutes"),
        ("2 days", 2 * DAY, "2 days"),
    ],
)
def test_elapsed_durations(text: str, length: int, words: str) -> None:
    target = with_terms(f"    targets: {{ answer: {text} }}").rules("acme").answer
    assert (target.measure, target.due, target.words) == (ELAPSED, length, words)


@pytest.mark.parametrize(
    ("text", "length"), [("6 business hours", 6 * HOUR), ("1 business day 2 business hours", 11 * HOUR)]
)
def test_business_durations_are_measured_on_the_calendar(text: str, length: int) -> None:
    rules = with_terms(f"    targets: {{ response: {{ 1: {text} }} }}").rules("acme")
    assert (rules.response[1].measure, rules.response[1].due) == (rules.calendar, length)


@pytest.mark.rule("2.6")
def test_open_days_of_different_length_are_measured_by_the_stated_business_day() -> None:
    week = "{ monday-thursday: '08:00-12:00, 13:00-17:00', friday: '08:00-12:00', saturday: '20:00-24:00' }"
    calendar = f"  own:\n    zone: Asia/Kolkata\n    open: {week}\n    business_day: 8h\n"
    assert with_terms("    calendar: own", calendar).rules("acme").resolution[3].due == 40 * HOUR


@pytest.mark.rule("1.9")
def test_a_machine_source_may_have_a_default_severity() -> None:
    text = SHIPPED.read_text("utf-8").replace("machine_sources: {}", "machine_sources: { prometheus: 2 }")
    assert load_policy(text, "policy.yaml").machine_sources == {"prometheus": 2}


@pytest.mark.rule("3.16", "3.17", "6.7")
def test_measures_and_recipients_of_the_shipped_policy(shipped: Policy) -> None:
    rules = shipped.rules(None)
    assert rules.measures == {
        "incident": "target",
        "user_request": "target",
        "mishandled_request": "target",
        "security": "target",
        "onboarding": "by_start",
        "offboarding": "by_start",
        "project": "none",
    }
    assert rules.start_warning == DAY
    assert rules.service_delivery_role == "service_desk_team_lead"
    assert rules.automatic_actors == ()
    assert rules.mail_exhausted


@pytest.mark.rule("3.16", "6.7")
def test_a_policy_that_names_no_measures_has_the_same(shipped: Policy) -> None:
    text = SHIPPED.read_text("utf-8")
    start, end = text.index("categories:\n"), text.index("# The average time")
    without = text[:start] + text[end:]
    without = without.replace("service_delivery: service_desk_team_lead\n", "").replace("  exhausted: true", "  #")
    rules = load_policy(without, "policy.yaml").rules(None)
    assert rules.measures == shipped.rules(None).measures
    assert rules.start_warning == DAY
    assert (rules.service_delivery_role, rules.mail_exhausted) == ("service_desk_team_lead", True)


@pytest.mark.rule("2.9", "3.16", "3.17")
def test_a_customer_may_have_its_own_measures_and_recipients() -> None:
    policy = with_terms(
        """\
    categories: { incident: none, onboarding: target }
    start_warning: 3 days
    service_delivery: account_manager
    ladder: { 1: account_manager, 2: chief_executive_officer }
    mail: { warnings_to: [assignee, tier 2, chief_executive_officer], answer_missed_to: [tier 1], exhausted: false }
"""
    )
    rules, general = policy.rules("acme"), policy.rules(None)
    assert rules.measures == {**general.measures, "incident": "none", "onboarding": "target"}
    assert (rules.start_warning, general.start_warning) == (3 * DAY, DAY)
    assert (rules.service_delivery_role, rules.mail_exhausted) == ("account_manager", False)
    assert rules.warning_roles == ("assignee", "chief_executive_officer")
    assert rules.response_missed_roles == rules.answer_missed_roles == ("account_manager",)


@pytest.mark.rule("3.5")
def test_a_general_tier_is_that_of_the_customers_ladder() -> None:
    text = SHIPPED.read_text("utf-8").replace("  stand_down: true", "  warnings_to: [tier 2]")
    own = "customers:\n  acme:\n    ladder: { 1: account_manager, 2: chief_executive_officer }"
    policy = load_policy(text.replace("customers: {}", own), "policy.yaml")
    assert policy.rules("acme").warning_roles == ("chief_executive_officer",)
    assert policy.rules(None).warning_roles == ("senior_it_operations_manager",)
