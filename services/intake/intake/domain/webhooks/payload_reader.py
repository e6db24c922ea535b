"""Reading the fields of a payload in the types that the tool documents. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self
from zoneinfo import ZoneInfo

from intake.domain.json_parsing import DuplicateKey
from intake.domain.webhooks import payload
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.tool_instants import NOT_AN_INSTANT, read_instant
from intake.domain.words import find_word
from intake.errors import UnmappedReason, UnreadableError

_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,20})?)?(Z|[+-]\d\d:\d\d)?|/Date\(.*\)/", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PayloadObject:
    """An object of a payload; `path` is its place there, empty for the whole. Null and absent are the same.

    Every method raises UnreadableError for a value of another type, with the path of the field.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    path: str = ""

    @classmethod
    def of(cls, value: object, path: str = "") -> Self:
        """The value as an object; empty for null."""
        if value is None:
            return cls({}, path)
        if isinstance(value, DuplicateKey):
            raise UnreadableError(path or "body", str(payload.problem_with_text(value)))
        if not isinstance(value, Mapping):
            raise UnreadableError(path or "body", "must be an object")
        return cls(value, path)

    @classmethod
    def event(cls, value: object, path: str = "") -> Self:
        """The object of an event, empty for null. Anything else, such as a list, is a delivery without a ticket."""
        if value is None or isinstance(value, Mapping | DuplicateKey):
            return cls.of(value, path)
        raise UnreadableError(path or "body", "must be an object with a ticket", UnmappedReason.NO_TICKET)

    def path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def child(self, name: str) -> Self:
        """The object in that field."""
        return self.of(self.values.get(name), self.path_of(name))

    def text(self, *names: str) -> str | None:
        """The first of these fields that is not empty; numbers become text."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if problem := payload.problem_with_text(value):
                raise UnreadableError(self.path_of(name), problem)
            if found := payload.text(value):
                return found
        return None

    def identity(self, name: str) -> str:
        """The id of the ticket: a whole number or a text. 0 means that it is missing."""
        value = self.values.get(name)
        found = payload.text(value) if isinstance(value, int | str) else None
        if value in (None, 0, "0"):
            raise UnreadableError(self.path_of(name), "the id of the ticket is missing", UnmappedReason.NO_TICKET)
        if found is None:
            raise UnreadableError(self.path_of(name), "must be the id of the ticket")
        return found

    def instant(self, name: str, zone: ZoneInfo) -> datetime | None:
        """The instant in UTC, None if the tool writes that there is none (`read_instant`).

        Without an offset it is in `zone`, the earlier of two if the clocks were turned back. Digits beyond microseconds
        are dropped. A date without a time is not an instant.
        """
        value = self.values.get(name)
        if value is None:
            return None
        try:
            at = read_instant(value, zone)
        except ValueError:
            at, is_instant = None, False
        else:
            is_instant = at is None or _INSTANT.fullmatch(str(value).strip()) is not None
        if not is_instant:
            raise UnreadableError(
                self.path_of(name), f"{NOT_AN_INSTANT}; configure the tool to send one there, or null"
            )
        return at

    def services(self, integration: Integration, *names: str) -> tuple[str, ...] | None:
        """The categories in these fields that `services` of the integration lists; others are not services."""
        categories = (self.text(name) for name in names)
        return tuple(each for each in categories if each and find_word(integration.services, each)) or None
