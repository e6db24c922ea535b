"""The tool's fields that `fields` of an integration names: standard fields, and custom fields by their labels. Pure."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from intake.domain.webhooks import payload
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import TicketSnapshot
from intake.domain.webhooks.tool_instants import read_instant
from intake.domain.words import fold_word
from intake.errors import UnreadableError

_CONTACT: Final = ("name", "email", "phone")
_ASSIGNEE: Final = ("id", "name", "email")
_CRITERIA: Final = ("business_risk", "work_stoppage", "users_affected_percent", "workaround")
_WORDS: Final = ("type", "via", "it_contact")


CustomFields = Mapping[str, Sequence[object]]
"""The values of each custom field that are not empty, the preferred one first, by label without case."""


def custom_fields(items: object, labels: Sequence[str], values: Sequence[str]) -> CustomFields:
    """The custom fields in a list of objects; `labels` and `values` are the names of an object's labels and values."""
    found: dict[str, Sequence[object]] = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            stated = tuple(item[name] for name in values if item.get(name) not in (None, ""))
            found |= {fold_word(label): stated for name in labels if isinstance(label := item.get(name), str)}
    return found


def with_mapped_fields(
    snapshot: TicketSnapshot, integration: Integration, ticket: PayloadObject, custom: CustomFields
) -> TicketSnapshot:
    """The snapshot with the fields that the integration reads from other fields of the ticket.

    Raises UnreadableError for a field that is an object or a list.
    """
    names = integration.fields
    if not names:
        return snapshot
    values = {field: _values(name, ticket, custom) for field, name in names.items()}
    first = {field: next(iter(stated), None) for field, stated in values.items()}
    words: dict[str, str | None] = {
        field: _word(first[field], name) for field, name in names.items() if field not in ("services", "starts_at")
    }
    changed: dict[str, Any] = {field: words[field] for field in _WORDS if field in words}
    if "starts_at" in values:
        changed["starts_at"] = _start(values["starts_at"], ZoneInfo(integration.zone))
    if "services" in values:
        changed["services"] = _list(first["services"], names["services"])
    contact = {part: words[f"contact_{part}"] for part in _CONTACT if f"contact_{part}" in words}
    impact = {criterion: words[criterion] for criterion in _CRITERIA if criterion in words}
    assignee = {part: words[f"assignee_{part}"] for part in _ASSIGNEE if f"assignee_{part}" in words}
    nobody = snapshot.assignee.nobody and not {"id", "name"} & assignee.keys()
    has_no_start = changed.get("starts_at") is None
    empty = tuple(
        f"{field}: {name}"
        for field, name in names.items()
        if not values[field] or (field == "starts_at" and has_no_start)
    )
    return replace(
        snapshot,
        **changed,
        contact=replace(snapshot.contact, **contact),
        impact=replace(snapshot.impact, **impact),
        assignee=replace(snapshot.assignee, **assignee, nobody=nobody),
        found_nothing=(*snapshot.found_nothing, *empty),
    )


def _start(values: Sequence[object], zone: ZoneInfo) -> datetime | None:
    """The first of the values that is an instant."""
    for value in values:
        with suppress(ValueError):
            if at := read_instant(value, zone):
                return at
    return None


def _values(name: str, ticket: PayloadObject, custom: CustomFields) -> Sequence[object]:
    """The values of the custom field with that label, or else the one of the standard field with that path."""
    if fold_word(name) in custom:
        return custom[fold_word(name)]
    value = ticket.values.get(name)  # the name of a user-defined field may contain a dot
    if value is None:
        value = ticket.values
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    return () if value in (None, "") else (value,)


def _word(value: object, name: str) -> str | None:
    if problem := payload.problem_with_word(value):
        raise UnreadableError(name, f"{problem}; name a field with a text, a number or a yes-no value in `fields`")
    return payload.word(value)


def _list(value: object, name: str) -> tuple[str, ...] | None:
    values = value if isinstance(value, list) else [value]
    return tuple(word for each in values if (word := _word(each, name))) or None
