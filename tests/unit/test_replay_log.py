"""The meaning of each activity of a help-desk log, by example."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from tocsin_tools.errors import LogFormatError
from tocsin_tools.replay.help_desk_log import COLUMNS, HelpDeskLog, read_log, read_log_file

INSERTED = ("Insert ticket", "2012-01-10 09:00:00")
ASSIGNED = ("Assign seriousness", "2012-01-10 09:10:00")
TAKEN = ("Take in charge ticket", "2012-01-10 09:20:00")
RESOLVED = ("Resolve ticket", "2012-01-10 12:00:00")


def row(activity: str, at: str, **other: str) -> dict[str, str]:
    standard = {
        "Case ID": "Case 1",
        "Activity": activity,
        "Resource": "Value 7",
        "Complete Timestamp": at,
        "customer": "Value 22",
        "product": "Value 3",
        "seriousness_2": "Value 2",
        "workgroup": "Value 1",
    }
    return standard | other


def read(*rows: dict[str, str]) -> HelpDeskLog:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return read_log(file.getvalue().splitlines(keepends=True))


def events(*rows: dict[str, str]) -> list[dict[str, Any]]:
    log = read(*rows)
    assert log.bad == []
    (ticket,) = log.tickets
    return list(ticket.body["events"])


def times(*rows: dict[str, str]) -> list[tuple[str, str]]:
    """(type, UTC time of day) of the events."""
    return [(event["type"], event["occurred_at"][11:19]) for event in events(*rows)]


def test_the_first_row_becomes_the_ticket() -> None:
    (ticket,) = read(row(*INSERTED)).tickets
    assert ticket.body == {
        "source": "helpdesk-log",
        "external_id": "Case 1",
        "opened_at": "2012-01-10T08:00:00.000000Z",
        "severity": 2,
        "summary": "Value 3",
        "description": "Workgroup: Value 1",
        "affected_services": ["Value 3"],
        "contact": {"name": "Value 22", "email": "Value22@replay.example"},
        "customer": {"id": "Value 22", "name": "Value 22"},
        "history": True,
        "events": [],
    }
    assert ticket.lines == [2]
    assert ticket.facts == [{"type": "opened", "occurred_at": "2012-01-10T08:00:00.000000Z", "severity": 2}]


@pytest.mark.parametrize("opening", [INSERTED, ASSIGNED])
def test_opening_activities_add_no_event(opening: tuple[str, str]) -> None:
    assert times(row(*opening)) == []


def test_a_second_opening_adds_nothing() -> None:
    assert times(row(*INSERTED), row(*ASSIGNED)) == []


def test_take_in_charge_is_the_human_response() -> None:
    (response,) = events(row(*INSERTED), row(*TAKEN))
    assert response == {"type": "responded", "occurred_at": "2012-01-10T08:20:00.000000Z", "actor": "Value 7"}


@pytest.mark.parametrize("activity", ["Resolve ticket", "RESOLVED", "Closed"])
def test_resolving_activities(activity: str) -> None:
    (end,) = events(row(*INSERTED), row(activity, "2012-01-10 10:00:00"))
    assert (end["type"], end["reason"]) == ("resolved", activity)


@pytest.mark.parametrize("activity", ["DUPLICATE", "INVALID"])
def test_cancelling_activities(activity: str) -> None:
    (end,) = events(row(*INSERTED), row(activity, "2012-01-10 10:00:00"))
    assert (end["type"], end["reason"]) == ("cancelled", activity)


@pytest.mark.parametrize("activity", ["Closed", "Resolve ticket", "RESOLVED", "DUPLICATE", "INVALID"])
def test_closing_a_closed_ticket_changes_nothing(activity: str) -> None:
    assert times(row(*INSERTED), row(*RESOLVED), row(activity, "2012-01-25 12:00:00")) == [("resolved", "11:00:00")]


CONTINUES = ["Require upgrade", "Create SW anomaly", "Resolve SW anomaly", "Schedule intervention", "VERIFIED"]


@pytest.mark.parametrize("activity", CONTINUES)
def test_activities_that_only_end_a_wait(activity: str) -> None:
    assert times(row(*INSERTED), row(activity, "2012-01-10 10:00:00")) == []
    waited = times(row(*INSERTED), row("Wait", "2012-01-10 09:30:00"), row(activity, "2012-01-10 10:00:00"))
    assert waited == [("paused", "08:30:00"), ("resumed", "09:00:00")]


def test_a_response_ends_a_wait() -> None:
    waited = times(row(*INSERTED), row("Wait", "2012-01-10 09:15:00"), row(*TAKEN))
    assert waited == [("paused", "08:15:00"), ("resumed", "08:20:00"), ("responded", "08:20:00")]


def test_a_second_wait_continues_the_first() -> None:
    waits = [row("Wait", f"2012-01-10 09:{minute}:00") for minute in (30, 40)]
    waited = times(row(*INSERTED), *waits, row("VERIFIED", "2012-01-10 10:00:00"))
    assert waited == [("paused", "08:30:00"), ("resumed", "09:00:00")]


def test_closing_a_waiting_ticket_needs_no_resume() -> None:
    assert times(row(*INSERTED), row("Wait", "2012-01-10 09:30:00"), row(*RESOLVED)) == [
        ("paused", "08:30:00"),
        ("resolved", "11:00:00"),
    ]


@pytest.mark.parametrize(
    ("activity", "kinds"),
    [
        ("Take in charge ticket", ["reopened", "responded"]),
        ("Wait", ["reopened", "paused"]),
        ("Assign seriousness", ["reopened"]),
        ("Require upgrade", ["reopened"]),
    ],
)
def test_any_other_activity_reopens_a_closed_ticket_and_then_counts(activity: str, kinds: list[str]) -> None:
    again = times(row(*INSERTED), row(*RESOLVED), row(activity, "2012-01-11 12:00:00"))
    assert [kind for kind, _ in again] == ["resolved", *kinds]


def test_a_reopened_ticket_does_not_wait_and_can_close_again() -> None:
    again = times(
        row(*INSERTED),
        row("Wait", "2012-01-10 09:30:00"),
        row(*RESOLVED),
        row("Wait", "2012-01-11 09:00:00"),
        row("Closed", "2012-01-11 10:00:00"),
    )
    assert [kind for kind, _ in again] == ["paused", "resolved", "reopened", "paused", "resolved"]


def test_another_seriousness_changes_the_severity_before_the_activity() -> None:
    changed = events(row(*INSERTED), row(*TAKEN, seriousness_2="Value 1"), row(*RESOLVED, seriousness_2="Value 1"))
    assert [(event["type"], event.get("severity")) for event in changed] == [
        ("severity_changed", 1),
        ("responded", None),
        ("resolved", None),
    ]


def test_the_severity_can_change_while_closed() -> None:
    closed = times(row(*INSERTED), row(*RESOLVED), row("Closed", "2012-01-25 12:00:00", seriousness_2="Value 4"))
    assert [kind for kind, _ in closed] == ["resolved", "severity_changed"]


def test_a_reopen_comes_before_the_new_severity() -> None:
    again = times(row(*INSERTED), row(*RESOLVED), row("Wait", "2012-01-11 09:00:00", seriousness_2="Value 4"))
    assert [kind for kind, _ in again] == ["resolved", "reopened", "severity_changed", "paused"]


def test_a_duplicate_row_adds_nothing() -> None:
    twice = [row(*each) for each in (INSERTED, INSERTED, ("Wait", "2012-01-10 09:30:00"), RESOLVED) for _ in (1, 2)]
    assert times(*twice) == [("paused", "08:30:00"), ("resolved", "11:00:00")]


def test_rows_of_a_ticket_can_be_apart_and_in_any_order() -> None:
    other = row(*INSERTED) | {"Case ID": "Case 2"}
    log = read(row(*RESOLVED), other, row(*INSERTED), row(*TAKEN))
    one, two = log.tickets
    assert [event["type"] for event in one.body["events"]] == ["responded", "resolved"]
    assert one.lines == [4, 5, 2]
    assert (two.body["external_id"], two.lines) == ("Case 2", [3])
    assert log.rows == 4


def test_the_first_good_row_opens_the_ticket_with_a_note() -> None:
    log = read(row("Insert ticket", "yesterday"), row(*TAKEN))
    (ticket,) = log.tickets
    assert ticket.body["opened_at"] == "2012-01-10T08:20:00.000000Z"
    assert [event["type"] for event in ticket.body["events"]] == ["responded"]
    assert [note.line for note in log.notes] == [3]
    assert [remark.line for remark in log.bad] == [2]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("Activity", "Sing a song", "unknown activity 'Sing a song'"),
        ("Activity", "", "Activity is empty"),
        ("Case ID", " ", "Case ID is empty"),
        ("Resource", "", "Resource is empty"),
        ("customer", "", "customer is empty"),
        ("product", "", "product is empty"),
        ("workgroup", "", "workgroup is empty"),
        ("seriousness_2", "Value 5", "seriousness_2 is 'Value 5', not one of Value 1, Value 2, Value 3, Value 4"),
        ("seriousness_2", "1", "seriousness_2 is '1'"),
        ("Complete Timestamp", "2012-02-30 10:00:00", "'2012-02-30 10:00:00' is not a date and time"),
        ("Complete Timestamp", "10/01/2012", "'10/01/2012' is not a date and time"),
        ("product", "caf\N{REPLACEMENT CHARACTER}", "product is not UTF-8"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_stops_no_other(column: str, value: str, says: str) -> None:
    log = read(row(*INSERTED), row(*TAKEN) | {column: value}, row(*RESOLVED))
    (bad,) = log.bad
    assert bad.line == 3
    assert says in bad.text
    (ticket,) = log.tickets
    assert [event["type"] for event in ticket.body["events"]] == ["resolved"]
    assert log.rows == 3


def test_every_error_of_a_row_is_reported() -> None:
    (bad,) = read(row(*INSERTED) | {"customer": "", "seriousness_2": "Value 9"}).bad
    assert bad.text.startswith("customer is empty; seriousness_2 is 'Value 9'")


def test_rows_with_another_number_of_columns_or_without_csv_are_bad() -> None:
    header = ",".join(COLUMNS) + "\n"
    good = "Case 1,Insert ticket,Value 7,2012-01-10 09:00:00,Value 22,Value 3,Value 2,Value 1\n"
    log = read_log([header, "Case 1,Wait\n", good, "\n", '"' + "x" * 200_000 + '"\n', good.replace("Case 1", "Case 2")])
    assert [(bad.line, bad.text.split(":")[0]) for bad in log.bad] == [
        (2, "has 2 columns, the header has 8"),
        (5, "is not CSV"),
    ]
    assert [ticket.body["external_id"] for ticket in log.tickets] == ["Case 1", "Case 2"]
    assert log.rows == 4


@pytest.mark.parametrize("lines", [[], ["a,b,c\n", "1,2,3\n"]])
def test_a_file_without_the_columns_is_not_a_log(lines: list[str]) -> None:
    with pytest.raises(LogFormatError, match="Case ID"):
        read_log(lines)


def test_summer_and_winter_time() -> None:
    summer = times(row("Insert ticket", "2012-07-01 09:00:00"), row("Closed", "2012-07-01 10:00:00"))
    assert summer == [("resolved", "08:00:00")]


def test_a_repeated_local_time_is_the_first_unless_the_row_before_is_later() -> None:
    log = read(
        row("Insert ticket", "2012-10-28 02:10:00"),
        row("Wait", "2012-10-28 02:50:00"),
        row("VERIFIED", "2012-10-28 02:20:00"),
        row("Closed", "2012-10-28 03:30:00"),
    )
    (ticket,) = log.tickets
    assert [fact["occurred_at"][11:19] for fact in ticket.facts] == ["00:10:00", "00:50:00", "01:20:00", "02:30:00"]
    assert [(note.line, note.text.split()[-1]) for note in log.notes] == [(2, "first"), (3, "first"), (4, "second")]
    assert log.bad == []


def test_a_skipped_local_time_is_moved_forward() -> None:
    log = read(row("Insert ticket", "2012-03-25 02:30:00"))
    assert log.tickets[0].body["opened_at"] == "2012-03-25T01:30:00.000000Z"
    (note,) = log.notes
    assert note.text == "2012-03-25 02:30:00 does not exist in Europe/Rome: read as 2012-03-25 03:30:00+02:00"


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), (b"a,b\n1,2\n", "is not a help-desk log")])
def test_a_file_that_is_not_a_log_is_one_sentence(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "log.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LogFormatError, match=says):
        read_log_file(file)


def test_only_the_rows_that_are_not_utf8_are_bad(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    good = b"Case 1,Insert ticket,Value 7,2012-01-10 09:00:00,Value 22,Value 3,Value 2,Value 1\n"
    header = (",".join(COLUMNS) + "\n").encode("utf-8-sig")
    file.write_bytes(header + good.replace(b"Value 7", b"Andr\xe8") + good)
    log = read_log_file(file)
    assert [(bad.line, bad.text) for bad in log.bad] == [(2, "Resource is not UTF-8")]
    assert [ticket.lines for ticket in log.tickets] == [[3]]
