"""The words of the customer's page (docs/slo-page.md), in its order, for reports. Pure."""

from collections.abc import Mapping
from typing import Final

from tocsin.events import ClockName

SEVERITIES: Final[Mapping[int, str]] = {
    1: "Severity 1 Critical",
    2: "Severity 2 High",
    3: "Severity 3 Medium",
    4: "Severity 4 Low",
}
CLOCKS: Final[Mapping[ClockName, str]] = {
    "response": "Initial Response Time",
    "resolution": "Resolution Target Time",
    "answer": "Target Service Level Answer Times",
}
_PROMISES: Final[Mapping[tuple[ClockName, int], tuple[str, str]]] = {
    ("response", 1): ("1 hour", "1 hour or less"),
    ("response", 2): ("2 hours", "2 hours or less"),
    ("response", 3): ("1 business day", "6 hours – 1 business day"),
    ("response", 4): ("1 business day", "8 hours – 1 business day"),
    ("resolution", 1): ("24 hours", "24 hours or less from first response"),
    ("resolution", 2): ("36 hours", "36 hours or less from first response"),
    ("resolution", 3): ("5 business days", "5 business days or less from first response"),
    ("resolution", 4): ("7 business days", "7 business days or less from first response"),
}
"""By clock and severity: the target in the policy's words, and the page's words."""
_EMAIL: Final = ("24 hours", "Email: Within 24 hours")
_AVERAGES: Final[Mapping[str, tuple[int, str]]] = {
    "voicemail": (3600, "Voicemail: Under 1 Hour on Average"),
    "chat": (300, "Chat: Under 5 Minutes on Average"),
}
"""By channel: the target in seconds, and the page's words."""
AVERAGED_CHANNELS: Final = tuple(_AVERAGES)


def promise(clock: ClockName, severity: int, target: str) -> str:
    """The page's words for a target; words of the same form for a target that the page does not state."""
    if clock == "answer":
        return _EMAIL[1] if target == _EMAIL[0] else f"Email: Within {target}"
    known, words = _PROMISES[clock, severity]
    if target == known:
        return words
    return f"{target} or less from first response" if clock == "resolution" else f"{target} or less"


def average_promise(channel: str, target_seconds: float) -> str:
    """The page's words for the average of a channel; for another target, words of the same form."""
    known, words = _AVERAGES.get(channel, (None, ""))
    if target_seconds == known:
        return words
    return f"{channel.capitalize()}: Under {_length(target_seconds)} on Average"


def _length(seconds: float) -> str:
    for size, unit in ((3600, "Hour"), (60, "Minute")):
        if seconds >= size and seconds % size == 0:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} Seconds"
