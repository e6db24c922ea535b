"""Checks a directory across its entries: references, overlaps and cycles of cover.

Messages read "what is wrong; what to write instead".
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from tocsin.directory.entries import GroupAddress, IntervalIndex, Override, Person, ReportReaders, RoleEntry
from tocsin.directory.rotation import Rotation
from tocsin.instants import render_instant
from tocsin.yaml_document import FieldPath, FieldProblem


def find_problems(
    *,
    people: Mapping[str, Person],
    roles: Mapping[str, Sequence[RoleEntry]],
    rotations: Mapping[str, Rotation],
    overrides: Sequence[Override],
    group_addresses: Sequence[GroupAddress],
    reports: Sequence[ReportReaders],
    known_roles: Collection[str],
) -> Iterator[FieldProblem]:
    """Yield everything that is wrong with a directory whose entries are valid on their own."""
    for role, entries in roles.items():
        yield from _check_role(known_roles, ("roles", role), role)
        yield from _check_entries(people, rotations, role, entries)
    for name, rotation in rotations.items():
        for index, member in enumerate(rotation.members):
            yield from _check_person(people, ("rotations", name, "members", index), member)
    for index, override in enumerate(overrides):
        path: FieldPath = ("overrides", index)
        yield from _check_person(people, (*path, "person"), override.person)
        if override.instead_of is not None:
            yield from _check_person(people, (*path, "instead_of"), override.instead_of)
        elif override.role is not None:
            yield from _check_role(known_roles, (*path, "role"), override.role)
    yield from _check_overlapping_cover(overrides)
    yield from _check_cycles_of_cover(overrides)
    yield from _check_group_addresses(group_addresses, known_roles)
    yield from _check_reports(people, reports)


def _check_entries(
    people: Mapping[str, Person], rotations: Mapping[str, Rotation], role: str, entries: Sequence[RoleEntry]
) -> Iterator[FieldProblem]:
    for index, entry in enumerate(entries):
        if entry.person is not None:
            yield from _check_person(people, ("roles", role, index, "person"), entry.person)
        elif entry.rotation not in rotations:
            message = f"unknown rotation `{entry.rotation}`; add it under rotations"
            yield ("roles", role, index, "rotation"), entry.rotation, message
    of_people = IntervalIndex(
        (entry.customer, *entry.span, index) for index, entry in enumerate(entries) if entry.person is not None
    )
    for first, second in of_people.overlaps():
        message = (
            f"overlaps with entry {first + 1}, `{entries[first].person}`; end one where the other starts, "
            "or write cover under overrides"
        )
        yield ("roles", role, second), None, message


def _check_role(known_roles: Collection[str], path: FieldPath, role: str) -> Iterator[FieldProblem]:
    if role not in known_roles:
        yield path, role, f"unknown role `{role}`; use one of {', '.join(known_roles)}, or add it to own_roles"


def _check_person(people: Mapping[str, Person], path: FieldPath, person: str) -> Iterator[FieldProblem]:
    if person not in people:
        close = get_close_matches(person, people, 1)
        hint = f", or did you mean `{close[0]}`?" if close else ""
        yield path, person, f"unknown person `{person}`; add them under people with name and email{hint}"


def _check_overlapping_cover(overrides: Sequence[Override]) -> Iterator[FieldProblem]:
    """At any instant, at most one override covers a role (of a customer), and at most one covers a person."""
    covers = IntervalIndex(
        ((override.role, override.customer, override.instead_of), override.starts_at, override.ends_at, index)
        for index, override in enumerate(overrides)
    )
    for first, second in covers.overlaps():
        message = f"overlaps with entry {first + 1}, `{overrides[first].person}`; end one where the other starts"
        yield ("overrides", second), None, message


def _check_cycles_of_cover(overrides: Sequence[Override]) -> Iterator[FieldProblem]:
    """People who cover for each other at one instant: nobody would be left."""
    of_people = [(index, override) for index, override in enumerate(overrides) if override.instead_of is not None]
    for index, override in of_people:
        at = override.starts_at
        cover_of = {
            other.instead_of: (number, other.person)
            for number, other in of_people
            if other.starts_at <= at < other.ends_at
        }
        person, passed = override.person, {override.instead_of}
        chain = [f"`{person}` covers for `{override.instead_of}`"]
        while person in cover_of and person not in passed:
            passed.add(person)
            number, cover = cover_of[person]
            chain.append(f"`{cover}` for `{person}` (entry {number + 1})")
            person = cover
        if person == override.instead_of:
            message = f"{', '.join(chain)}: a cycle from {render_instant(at)} on; remove one of them"
            yield ("overrides", index), None, message


def _check_group_addresses(
    group_addresses: Sequence[GroupAddress], known_roles: Collection[str]
) -> Iterator[FieldProblem]:
    first: dict[tuple[str, str | None], int] = {}
    for index, group in enumerate(group_addresses):
        path: FieldPath = ("group_addresses", index)
        yield from _check_role(known_roles, (*path, "role"), group.role)
        number = first.setdefault((group.role, group.customer), index) + 1
        if number != index + 1:
            yield path, None, f"has the same role and customer as entry {number}; keep one of the two"


def _check_reports(people: Mapping[str, Person], reports: Sequence[ReportReaders]) -> Iterator[FieldProblem]:
    """A person gets each report once."""
    first: dict[tuple[str | None, str], int] = {}
    for index, readers in enumerate(reports):
        for number, person in enumerate(readers.to):
            path: FieldPath = ("reports", index, "to", number)
            yield from _check_person(people, path, person)
            entry = first.setdefault((readers.customer, person), index)
            if (entry, readers.to.index(person)) != (index, number):
                yield path, person, f"`{person}` gets this report already, by entry {entry + 1}; keep one of the two"
