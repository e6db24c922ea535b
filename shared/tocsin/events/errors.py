"""Errors of events.

- `InvalidEventError`: a record is not a valid event.
"""


class InvalidEventError(Exception):
    """A record is not a valid event: unknown type, missing header, or data that do not fit the type."""
