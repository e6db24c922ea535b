"""The instants that tools write, and what they write where there is none."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.webhooks.adapters import generic
from intake.domain.webhooks.config.expressions import GenericMapping
from intake.domain.webhooks.snapshot import TicketSnapshot
from intake.domain.webhooks.tool_instants import read_instant
from support.webhook_recordings import shipped

NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)
US = "%m/%d/%Y %I:%M %p"

NEVER: tuple[object, ...] = (
    *("", " ", 0, -0.0, "0", -1, -62135596800, "-62135596800", -2208988800, (1 << 31) - 1, "9223372036854775807"),
    *("0000-00-00", "0000-00-00 00:00:00", "0000-00-00T00:00:00+02:00", "00/00/0000", "0000-12-31T00:00:00Z"),
    *("0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1/1/0001 12:00:00 AM"),
    *("1601-01-01T00:00:00Z", "1753-01-01T00:00:00", "1753-01-01T12:00:00-12:00", "1858-11-17T00:00:00"),
    *("1899-12-30T00:00:00", "1899-12-31", "1899-12-31T23:00:00-01:00", "1900-01-01T00:00:00.0000000", "01/01/1900"),
    *("1904-01-01T00:00:00Z", "1969-12-31T19:00:00-05:00", "1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00"),
    *("1970-01-01 00:00:00 UTC", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu Jan 01 00:00:00 +0000 1970", "Jan 1, 1970"),
    *("1980-01-01T00:00:00", "/Date(-62135596800000)/", "/Date(-62135596800000+0000)/", "/Date(0)/"),
    *("2038-01-19T03:14:07Z", "2079-06-06T23:59:00", "2099-12-31T00:00:00Z", "2999-12-31", "9999-12-31"),
    *("9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59-14:00", "/Date(253402300799999)/", "31/12/9999 23:59"),
    *("-271821-04-20T00:00:00.000Z", "+275760-09-13T00:00:00.000Z", "null", "None", "N/A", "never", "-", False, []),
)
NEITHER: tuple[object, ...] = (
    *("last tuesday", "26/11/2020 11:00", "2026-06-08T12:00:60Z", "2026-02-30T12:00:00Z", "\ud800", "2026", "1e3"),
    *("seen in 1970 and 2026", "0" * 200, 7, 1780920007, 1e400, True, {}, [0]),
)


@pytest.mark.rule("1.13")
@pytest.mark.parametrize("value", NEVER)
def test_a_date_that_means_never_is_none(value: object) -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "America/New_York"):
        assert read_instant(value, ZoneInfo(zone)) is None


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (0, "unix"),
        ("0", "unix_ms"),
        (-62135596800, "unix"),
        (-62135596800000, "unix_ms"),
        (3600, "unix"),
        (-3600000, "unix_ms"),
        (253402300799, "unix"),
        (253402300799999, "unix_ms"),
        (4102444800, "unix"),
        ((1 << 31) - 1, "unix"),
        ((1 << 63) - 1, "unix_ms"),
        ("1970-01-01T00:00:00Z", "unix"),
        ("01/01/0001 12:00 AM", US),
        ("01/01/1900 12:00 AM", US),
        ("12/31/9999 11:59 PM", US),
        ("00/00/0000 00:00", US),
        ("1900-01-01", US),
        ("19000101000000", "%Y%m%d%H%M%S"),
        ("00000000000000", "%Y%m%d%H%M%S"),
    ],
)
def test_a_date_that_means_never_is_none_in_any_format(value: object, form: str) -> None:
    assert read_instant(value, ZoneInfo("Europe/Vienna"), form) is None


@pytest.mark.parametrize("value", NEITHER)
def test_other_values_are_errors(value: object) -> None:
    for form in ("iso", US):
        with pytest.raises(ValueError, match="is not an instant"):
            read_instant(value, ZoneInfo("UTC"), form)


@pytest.mark.parametrize(
    ("value", "form"),
    [(1780920000, "unix_ms"), (1780920000000, "unix"), (90_000, "unix"), (True, "unix"), ({}, "unix")],
)
def test_a_number_in_the_wrong_unit_is_an_error(value: object, form: str) -> None:
    with pytest.raises(ValueError, match="is not an instant"):
        read_instant(value, ZoneInfo("UTC"), form)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("2026-06-08 14:00", "iso"),
        ("2026-06-08 12:00:00 UTC", "iso"),
        ("2026-06-08 12:00:00 +0000", "iso"),
        ("/Date(1780920000000+0200)/", "iso"),
        (1780920000, "unix"),
        ("1780920000.0", "unix"),
        (1780920000000, "unix_ms"),
        ("06/08/2026 02:00 PM", US),
        ("20260608140000", "%Y%m%d%H%M%S"),
    ],
)
def test_instants_are_read_in_the_zone_of_the_tool(value: object, form: str) -> None:
    assert read_instant(value, ZoneInfo("Europe/Vienna"), form) == NOON


@given(st.one_of(st.text(max_size=80), st.integers(), st.floats(), st.datetimes().map(str)))
def test_any_value_is_an_instant_or_never_or_an_error(value: object) -> None:
    for form in ("iso", "unix", "unix_ms", US):
        try:
            at = read_instant(value, ZoneInfo("Asia/Kolkata"), form)
        except ValueError:
            continue
        assert at is None or (at.tzinfo is UTC and 1990 <= at.year <= 2078)


def read_generic(value: object, **settings: Any) -> TicketSnapshot:
    mapping = GenericMapping(external_id="id", status="'Open'", resolved_at="solved", starts_at="solved", **settings)
    integration = shipped("jira").model_copy(update={"generic": mapping})
    (snapshot,) = generic.read(('{"id": 1, "solved": %s}' % value).encode(), integration).snapshots  # noqa: UP031
    return snapshot


@pytest.mark.parametrize(
    "value", ['"2000-01-01"', '"2000-01-01T09:30:00Z"', '"2000-01-01 00:00"', '"Not Yet"', "77", '" not yet "']
)
def test_none_on_lists_what_else_means_no_date(value: str) -> None:
    snapshot = read_generic(value, none_on=("2000-01-01", "not yet", "77"))
    assert (snapshot.resolved_at, snapshot.starts_at) == (None, None)


def test_the_first_format_that_matches_is_used() -> None:
    formats = ("unix", "unix_ms", "%d.%m.%Y %H:%M")
    for value in ("1780920000", "1780920000000", '"08.06.2026 12:00"'):
        assert read_generic(value, instants=formats).resolved_at == NOON
    assert read_generic("0", instants=formats).resolved_at is None
