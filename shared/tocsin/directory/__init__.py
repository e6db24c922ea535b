"""The directory: who holds which role when, for which customer (docs/rules.md#5-17). No I/O."""

from tocsin.directory.entries import GroupAddress, Override, Person, ReportReaders, RoleEntry
from tocsin.directory.errors import DirectoryError, ICalendarError
from tocsin.directory.ical import MAX_CALENDAR_LENGTH, CalendarEvent, ICalendar, UnreadableEvent
from tocsin.directory.lint import LINT_PERIOD, LintFinding, lint_directory, lint_mailboxes
from tocsin.directory.model import STANDARD_ROLES, Directory, Holder, load_directory, role_title
from tocsin.directory.rotation import CalendarLocation
from tocsin.directory.shifts import Shift, compute_shifts, export_calendar, find_gap

__all__ = [
    "LINT_PERIOD",
    "MAX_CALENDAR_LENGTH",
    "STANDARD_ROLES",
    "CalendarEvent",
    "CalendarLocation",
    "Directory",
    "DirectoryError",
    "GroupAddress",
    "Holder",
    "ICalendar",
    "ICalendarError",
    "LintFinding",
    "Override",
    "Person",
    "ReportReaders",
    "RoleEntry",
    "Shift",
    "UnreadableEvent",
    "compute_shifts",
    "export_calendar",
    "find_gap",
    "lint_directory",
    "lint_mailboxes",
    "load_directory",
    "role_title",
]
