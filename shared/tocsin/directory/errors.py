"""Errors of the directory.

- `DirectoryError`: directory.yaml is invalid.
- `ICalendarError`: an iCalendar that a rotation uses is invalid.
"""

from tocsin.yaml_document import DocumentError


class DirectoryError(DocumentError):
    """A directory is invalid. `problems` has one line for each error: `FILE:LINE: FIELD: message`."""


class ICalendarError(ValueError):
    """An iCalendar is invalid. The message says what is wrong, and what to change."""
