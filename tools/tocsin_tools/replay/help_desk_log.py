"""A help desk's log, a CSV file with an activity a row, read as tickets. Pure.

A row that cannot be understood is told with its line and is in no ticket; the other rows of its ticket count.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tocsin_local.replay.case import KNOWN, SEVERITIES, LoggedTicket, Remark, Row, ticket_of

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
class Log:
    """What a file tells. `rows` counts all, `bad` ones are in no ticket, `notes` say how some were understood."""

    tickets: Sequence[LoggedTicket]
    rows: int
    bad: Sequence[Remark]
    notes: Sequence[Remark]


class NoLogError(Exception):
    """The file is no such log; str() says why."""


def read_log(lines: Iterable[str]) -> Log:
    """Reads the lines of a file, tickets in the order of their first rows. Raises NoLogError without its columns."""
    bad: list[Remark] = []
    notes: list[Remark] = []
    cases: dict[str, list[Row]] = {}
    for line, values in _records(lines, bad):
        try:
            row = _row(line, values)
        except ValueError as error:
            bad.append(Remark(line, str(error)))
        else:
            cases.setdefault(row.case, []).append(row)
    good = sum(len(rows) for rows in cases.values())
    tickets = [ticket_of(rows, notes) for rows in cases.values()]
    return Log(tickets, good + len(bad), bad, notes)


def _records(lines: Iterable[str], bad: list[Remark]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows by column, each with the line on which it ends."""
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in COLUMNS if name not in header]:
        raise NoLogError(f"its first line does not name the columns {', '.join(missing)}")
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad.append(Remark(reader.line_num, f"is no CSV: {error}"))
            continue
        if len(values) == len(header):
            yield reader.line_num, dict(zip(header, values, strict=True))
        elif values:
            bad.append(Remark(reader.line_num, f"has {len(values)} columns, the header has {len(header)}"))


def _row(line: int, values: Mapping[str, str]) -> Row:
    """Raises ValueError, saying everything that is wrong with the row."""
    stripped = {name: values[name].strip() for name in COLUMNS}
    wrong = [f"{name} is empty" for name, value in stripped.items() if not value]
    wrong += [f"{name} is not UTF-8" for name, value in stripped.items() if _NOT_UTF8 in value]
    activity, seriousness, timestamp = (stripped[name] for name in ("Activity", "seriousness_2", "Complete Timestamp"))
    if activity and activity not in KNOWN:
        wrong.append(f"nobody knows the activity {activity!r}")
    if seriousness and seriousness not in SEVERITIES:
        wrong.append(f"seriousness_2 is {seriousness!r}, not one of {', '.join(SEVERITIES)}")
    local = _local(timestamp)
    if timestamp and local is None:
        wrong.append(f"{timestamp!r} is no date and time such as 2012-10-09 14:50:17")
    if wrong or local is None:
        raise ValueError("; ".join(wrong))
    return Row(
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


def _local(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIMESTAMP)  # noqa: DTZ007 - the zone and its clock changes come in `ticket_of`
    except ValueError:
        return None
