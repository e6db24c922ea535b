"""Errors of the directory.

- `DirectoryError`: directory.yaml is invalid.
- `ICalendarError`: an iCalendar that a rotation uses cannot be used at all.
- `UnreadableEventError`: one of its events cannot be read, and is left out.
"""

from tocsin.yaml_document import DocumentError


class DirectoryError(DocumentError):
    """A directory is invalid. `problems` has one line for each error: `FILE:LINE: FIELD: message`."""


class ICalendarError(ValueError):
    """An iCalendar is invalid. The message says what is wrong, and what to change."""


class UnreadableEventError(ValueError):
    """An event of an iCalendar cannot be read. The message reads "what is wrong; what to change"."""
