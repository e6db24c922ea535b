"""What the adapters in code take out of a payload: as the tool documents it, or UnreadableError naming the field. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from intake.domain.json_parsing import DuplicateKey
from intake.domain.webhooks import payload
from intake.domain.webhooks.config.integrations import Integration, meaning
from intake.domain.webhooks.snapshot import UnreadableError

_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,20})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PayloadObject:
    """An object of a payload. `path` is where it lies, empty for the whole; null and absent are the same."""

    values: Mapping[str, object] = field(default_factory=dict)
    path: str = ""

    @classmethod
    def of(cls, value: object, path: str = "") -> "PayloadObject":
        """The value as an object, empty for null. Raises UnreadableError."""
        if value is None:
            return cls({}, path)
        if isinstance(value, DuplicateKey):
            raise UnreadableError(path or "body", f"{payload.problem_with_word(value)}; have the tool send it once")
        if not isinstance(value, Mapping):
            raise UnreadableError(path or "body", "is not one object; have the tool send it as it documents")
        return cls(value, path)

    def at(self, name: str) -> str:
        """Where a field of this object lies."""
        return f"{self.path}.{name}" if self.path else name

    def part(self, name: str) -> "PayloadObject":
        """An object in this one. Raises UnreadableError."""
        return PayloadObject.of(self.values.get(name), self.at(name))

    def text(self, *names: str) -> str | None:
        """The first of these fields that says something, numbers written out. Raises UnreadableError."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if problem := payload.problem_with_word(value):
                raise UnreadableError(self.at(name), f"{problem}; have the tool send it as it documents")
            if found := payload.text(value):
                return found
        return None

    def identity(self, name: str) -> str:
        """A field that names the ticket: a whole number, or text. Raises UnreadableError."""
        value = self.values.get(name)
        found = payload.text(value) if isinstance(value, int | str) else None
        if found is None:
            raise UnreadableError(self.at(name), "is no id; have the tool send the ticket's number")
        return found

    def instant(self, name: str, zone: ZoneInfo, none_on: Collection[str] = ()) -> datetime | None:
        """An instant in UTC; without an offset it is in `zone`, the earlier of two where the clock was turned back.

        Digits beyond microseconds are cut off. `none_on` are days by which the tool says that there is none. Raises
        UnreadableError for what is no instant from 1990 to 2100.
        """
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and (not value.strip() or value.strip()[:10] in none_on)):
            return None
        written = isinstance(value, str) and _INSTANT.fullmatch(value.strip())
        at = payload.instant(value, zone) if written else None
        if at is None:
            message = f"{payload.NO_INSTANT}; have the tool send one like 2026-06-08T12:00:00Z"
            raise UnreadableError(self.at(name), message)
        return at

    def services(self, settings: Integration, *names: str) -> tuple[str, ...] | None:
        """Those of these fields that the mapping knows as services: tools have categories, and not each is a service.

        Raises UnreadableError.
        """
        words = [word for name in names if (word := self.text(name)) and meaning(settings.services, word)]
        return tuple(words) or None
