"""Every row of RULES.md's table of worked examples that one story can show, by name."""

from stories import at, clock, fact, ladder, tell


def test_severity_1_responded_the_night_the_clocks_change() -> None:
    told = tell(fact("opened", "03-08 00:30", severity=1), fact("responded", "03-08 01:00"), until="03-08 02:00")
    assert clock(told, "resolution")["due_at"] == at("03-09 01:00")


def test_severity_3_opened_on_a_friday_afternoon() -> None:
    told = tell(fact("opened", "03-06 21:00", severity=3), until="03-06 22:00")
    response = clock(told, "response")
    assert (response["warn_at"], response["due_at"]) == (at("03-09 17:00"), at("03-09 20:00"))


def test_severity_3_responded_in_thanksgiving_week() -> None:
    told = tell(fact("opened", "11-23 19:00", severity=3), fact("responded", "11-23 19:00"), until="11-23 20:00")
    assert clock(told, "resolution")["due_at"] == at("12-01 19:00")


def test_severity_4_opened_on_a_holiday_is_due_at_the_closing() -> None:
    told = tell(fact("opened", "07-03 14:00", severity=4), until="07-03 15:00")
    response = clock(told, "response")
    assert (response["warn_at"], response["due_at"]) == (at("07-06 20:00"), at("07-06 21:00"))


def test_severity_3_paused_over_a_weekend() -> None:
    told = tell(
        fact("opened", "06-10 14:00", severity=3),
        fact("responded", "06-10 14:00"),
        fact("paused", "06-12 20:00"),
        fact("resumed", "06-15 13:00"),
        until="06-15 14:00",
    )
    assert clock(told, "resolution")["due_at"] == at("06-17 16:00")


def test_severity_2_with_one_pause_of_two_hours() -> None:
    told = tell(
        fact("opened", "06-08 14:00", severity=2),
        fact("responded", "06-08 14:00"),
        fact("paused", "06-08 15:00"),
        fact("resumed", "06-08 17:00"),
        until="06-08 18:00",
    )
    assert clock(told, "resolution")["due_at"] == at("06-10 04:00")


def test_severity_3_made_severity_1_past_its_due_is_breached_at_the_change() -> None:
    told = tell(
        fact("opened", "06-08 13:30", severity=3),
        fact("responded", "06-08 13:30"),
        fact("severity_changed", "06-10 15:00", severity=1),
        until="06-10 15:30",
    )
    assert clock(told, "resolution")["breached_at"] == at("06-10 15:00")
    assert ladder(told) == [(1, at("06-10 15:00"), "resolution_breached")]


def test_severity_1_silent_then_answered_late() -> None:
    silent = tell(fact("opened", "06-08 12:00", severity=1), until="06-08 14:00")
    assert clock(silent, "response")["breached_at"] == at("06-08 13:00")
    assert clock(silent, "resolution")["due_at"] == at("06-09 13:00")
    answered = tell(fact("opened", "06-08 12:00", severity=1), fact("responded", "06-08 15:00"), until="06-08 16:00")
    assert clock(answered, "resolution")["due_at"] == at("06-09 15:00")


def test_severity_1_silent_until_the_next_day_climbs_holds_and_goes_on() -> None:
    told = tell(fact("opened", "06-08 12:00", severity=1), fact("responded", "06-09 13:30"), until="06-10 14:30")
    assert ladder(told) == [
        (1, at("06-09 13:00"), "no_response"),
        (2, at("06-10 13:30"), "resolution_breached"),
        (3, at("06-10 14:30"), "resolution_breached"),
    ]


def test_severity_3_made_severity_1_and_resolved_at_one_instant_is_met() -> None:
    told = tell(
        fact("opened", "06-08 13:30", severity=3),
        fact("responded", "06-08 13:30"),
        fact("severity_changed", "06-10 15:00", severity=1),
        fact("resolved", "06-10 15:00"),
        until="06-12 15:00",
    )
    assert clock(told, "resolution")["outcome"] == "met"
    assert ladder(told) == []


def test_severity_1_silent_cancelled_and_reopened() -> None:
    told = tell(
        fact("opened", "06-08 12:00", severity=1),
        fact("cancelled", "06-08 12:30"),
        fact("reopened", "06-08 20:00"),
        until="06-08 20:10",
    )
    assert clock(told, "response", cycle=2)["due_at"] == at("06-08 20:30")
    assert clock(told, "resolution", cycle=2)["due_at"] == at("06-09 20:30")


def test_severity_1_acknowledged_after_tier_2() -> None:
    told = tell(
        fact("opened", "06-08 12:00", severity=1),
        fact("responded", "06-08 12:00"),
        fact("acknowledged", "06-09 13:10"),
        until="06-09 14:10",
    )
    assert [(step, when) for step, when, _ in ladder(told)] == [
        (1, at("06-09 12:00")),
        (2, at("06-09 13:00")),
        (3, at("06-09 14:10")),
    ]


def test_severity_1_with_a_late_pause_is_due_later() -> None:
    facts = [fact("opened", "06-08 11:00", severity=1), fact("responded", "06-07 13:00")]
    without = tell(*facts, until="06-08 12:00")
    paused = tell(*facts, fact("paused", "06-08 12:30"), fact("resumed", "06-08 12:45"), until="06-08 13:05")
    assert clock(without, "resolution")["due_at"] == at("06-09 11:00")
    assert clock(paused, "resolution")["due_at"] == at("06-09 11:15")
