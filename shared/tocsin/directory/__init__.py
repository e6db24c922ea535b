"""Who holds which role, from when to when, for which customer (RULES 5: roles, not names). Pure."""

from tocsin.directory.entries import GroupAddress, Holding, Override, Person
from tocsin.directory.ical_import import Calendar, CalendarError
from tocsin.directory.loading import DirectoryError, load_directory
from tocsin.directory.model import PAGE_ROLES, Directory, Holder
from tocsin.directory.rotation import Source
from tocsin.directory.shifts import Shift, gap, shifts

__all__ = [
    "PAGE_ROLES",
    "Calendar",
    "CalendarError",
    "Directory",
    "DirectoryError",
    "GroupAddress",
    "Holder",
    "Holding",
    "Override",
    "Person",
    "Shift",
    "Source",
    "gap",
    "load_directory",
    "shifts",
]
