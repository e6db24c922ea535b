"""How far a client of the live updates is: the version and the business time up to which it has everything. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class LivePosition:
    """Everything up to `version`, and all that time alone had changed by `at`."""

    version: int
    at: datetime

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position of a text such as `1234.1780927200`. Raises ValueError."""
        version, dot, seconds = text.partition(".")
        if not (dot and version.isascii() and version.isdigit() and seconds.isascii() and seconds.isdigit()):
            raise ValueError("must be a position of /live, such as 1234.1780927200")
        try:
            return cls(int(version[:18]), datetime.fromtimestamp(int(seconds[:18]), UTC))
        except (ValueError, OverflowError, OSError):
            raise ValueError("must be a position of /live, such as 1234.1780927200") from None

    def __str__(self) -> str:
        return f"{self.version}.{int(self.at.timestamp())}"
