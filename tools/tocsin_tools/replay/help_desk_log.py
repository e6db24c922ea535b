"""Reads a help desk's log, a CSV file with one activity per row, as tickets.

A bad row is reported with its line and belongs to no ticket; the other rows of its ticket count.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tocsin_tools.errors import LogFormatError
from tocsin_tools.replay.logged_ticket import ACTIVITIES, SEVERITIES, LoggedTicket, LogRow, Remark, read_ticket

COLUMNS: Final = (
    "Case ID",
    "Activity",
    "Resource",
    "Complete Timestamp",
    "customer",
    "product",
    "seriousness_2",
    "workgroup",
)
_TIMESTAMP: Final = "%Y-%m-%d %H:%M:%S"
_NOT_UTF8: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class HelpDeskLog:
    """The content of a file. `rows` counts all rows, `bad` ones belong to no ticket, `notes` say how some were read."""

    tickets: Sequence[LoggedTicket]
    rows: int
    bad: Sequence[Remark]
    notes: Sequence[Remark]


def read_log_file(file: Path) -> HelpDeskLog:
    """The log in a file. Raises LogFormatError if it cannot be read or lacks the columns of a log."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            return read_log(lines)
    except OSError as error:
        raise LogFormatError(f"{file} cannot be read: {error.strerror}.") from error
    except LogFormatError as error:
        raise LogFormatError(f"{file} is not a help-desk log: {error}.") from error


def read_log(lines: Iterable[str]) -> HelpDeskLog:
    """The log in these lines, tickets in the order of their first rows. Raises LogFormatError without its columns."""
    bad: list[Remark] = []
    cases: dict[str, list[LogRow]] = {}
    for line, values in _records(lines, bad):
        try:
            row = _row(line, values)
        except ValueError as error:
            bad.append(Remark(line, str(error)))
        else:
            cases.setdefault(row.case, []).append(row)
    read = [read_ticket(rows) for rows in cases.values()]
    good = sum(len(rows) for rows in cases.values())
    notes = [remark for _, remarks in read for remark in remarks]
    return HelpDeskLog([ticket for ticket, _ in read], good + len(bad), bad, notes)


def _records(lines: Iterable[str], bad: list[Remark]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows by column, each with the number of its last line."""
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in COLUMNS if name not in header]:
        raise LogFormatError(f"the first line does not name the columns {', '.join(missing)}")
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad.append(Remark(reader.line_num, f"is not CSV: {error}"))
            continue
        if len(values) == len(header):
            yield reader.line_num, dict(zip(header, values, strict=True))
        elif values:
            bad.append(Remark(reader.line_num, f"has {len(values)} columns, the header has {len(header)}"))


def _row(line: int, values: Mapping[str, str]) -> LogRow:
    """Raises ValueError, which names everything that is wrong with the row."""
    stripped = {name: values[name].strip() for name in COLUMNS}
    errors = [f"{name} is empty" for name, value in stripped.items() if not value]
    errors += [f"{name} is not UTF-8" for name, value in stripped.items() if _NOT_UTF8 in value]
    activity, seriousness, timestamp = (stripped[name] for name in ("Activity", "seriousness_2", "Complete Timestamp"))
    if activity and activity not in ACTIVITIES:
        errors.append(f"unknown activity {activity!r}")
    if seriousness and seriousness not in SEVERITIES:
        errors.append(f"seriousness_2 is {seriousness!r}, not one of {', '.join(SEVERITIES)}")
    local = _local_time(timestamp)
    if timestamp and local is None:
        errors.append(f"{timestamp!r} is not a date and time such as 2012-10-09 14:50:17")
    if errors or local is None:
        raise ValueError("; ".join(errors))
    return LogRow(
        line=line,
        case=stripped["Case ID"],
        activity=activity,
        actor=stripped["Resource"],
        local=local,
        customer=stripped["customer"],
        product=stripped["product"],
        severity=SEVERITIES[seriousness],
        workgroup=stripped["workgroup"],
    )


def _local_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIMESTAMP)  # noqa: DTZ007 - `read_ticket` applies the zone
    except ValueError:
        return None
