"""The values of the board's first page: groups, counts and filters. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from board.domain.board_ticket import BoardTicket, TicketGroup, TicketPhase

GROUP_WORDS: Final[Mapping[TicketGroup, tuple[str, str]]] = {
    TicketGroup.BREACHED: ("Breached", "a deadline has passed"),
    TicketGroup.SILENT: ("Silent", "nobody has responded, and the provisional resolution deadline has passed"),
    TicketGroup.AT_RISK: ("At risk", "at most 4 h left"),
    TicketGroup.LATER: ("Later", ""),
}
"""The heading of each group and its explanation, the most urgent first."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tickets there are; `severities` from 1 to 4."""

    open: int
    paused: int
    severities: tuple[int, int, int, int]
    groups: Mapping[TicketGroup, int]

    def as_dict(self) -> dict[str, int]:
        """The counts by the names that the page uses."""
        severities = {f"severity_{number}": count for number, count in enumerate(self.severities, 1)}
        groups = {group.value: self.groups.get(group, 0) for group in TicketGroup}
        return {"open": self.open, "paused": self.paused, **severities, **groups}


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a select."""

    value: str
    words: str


@dataclass(frozen=True, slots=True)
class Select:
    """A filter with a list of values; `value` is the selected one."""

    name: str
    words: str
    value: str
    options: tuple[Option, ...]


def count_tickets(tickets: Iterable[tuple[BoardTicket, TicketGroup]]) -> Counts:
    """The counts of these tickets."""
    severities: Counter[int] = Counter()
    groups: Counter[TicketGroup] = Counter()
    paused = 0
    for found, group in tickets:
        severities[found.severity] += 1
        groups[group] += 1
        paused += found.state is TicketPhase.PAUSED
    one, two, three, four = (severities[number] for number in (1, 2, 3, 4))
    return Counts(groups.total(), paused, (one, two, three, four), groups)


def filter_selects(tickets: Sequence[BoardTicket], chosen: Mapping[str, str]) -> tuple[Select, ...]:
    """The filters, with the customers and assignees of these tickets. A chosen value is always an option."""
    customers = {found.ticket.customer.id: found.ticket.customer.name for found in tickets}
    assignees = {found.assignee: found.assignee for found in tickets if found.assignee}
    return (
        _select("customer", "Customer", customers, chosen),
        _select("severity", "Severity", {str(number): str(number) for number in (1, 2, 3, 4)}, chosen),
        _select("state", "State", {"open": "open", "paused": "paused"}, chosen),
        _select("assignee", "Assignee", assignees, chosen),
    )


def _select(name: str, words: str, values: Mapping[str, str], chosen: Mapping[str, str]) -> Select:
    value = chosen.get(name, "")
    known = {value: value, **values} if value else values
    options = sorted((Option(each, text) for each, text in known.items()), key=lambda option: option.words.casefold())
    return Select(name, words, value, tuple(options))
