"""What is wrong with a directory that no single entry can tell. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches

from tocsin.directory.entries import GroupAddress, Override, Person, RoleEntry
from tocsin.directory.intervals import IntervalIndex
from tocsin.directory.rotation import Rotation
from tocsin.instants import render_instant
from tocsin.yaml_document import FieldPath

Problem = tuple[FieldPath, object, str]


def problems(
    people: Mapping[str, Person],
    roles: Mapping[str, Sequence[RoleEntry]],
    rotations: Mapping[str, Rotation],
    overrides: Sequence[Override],
    groups: Sequence[GroupAddress],
    known: Collection[str],
) -> Iterator[Problem]:
    """Everything that is wrong: its place, the value found there, and "what is wrong; what would be right".

    `known` are the roles that may be filled.
    """
    yield from _roles(people, roles, rotations, known)
    for name, rotation in rotations.items():
        for index, member in enumerate(rotation.members):
            yield from _person(people, ("rotations", name, "members", index), member)
    for index, override in enumerate(overrides):
        place: FieldPath = ("overrides", index)
        yield from _person(people, (*place, "person"), override.person)
        if override.instead_of is not None:
            yield from _person(people, (*place, "instead_of"), override.instead_of)
        elif override.role is not None:
            yield from _role(known, (*place, "role"), override.role)
    yield from _covered_twice(overrides)
    yield from _circles(overrides)
    yield from _grouped(groups, known)


def _roles(
    people: Mapping[str, Person],
    roles: Mapping[str, Sequence[RoleEntry]],
    rotations: Mapping[str, Rotation],
    known: Collection[str],
) -> Iterator[Problem]:
    for role, entries in roles.items():
        yield from _role(known, ("roles", role), role)
        for index, entry in enumerate(entries):
            if entry.person is not None:
                yield from _person(people, ("roles", role, index, "person"), entry.person)
            elif entry.rotation not in rotations:
                message = f"no rotation is called `{entry.rotation}`; write it under rotations"
                yield ("roles", role, index, "rotation"), entry.rotation, message
        held = IntervalIndex(
            (entry.customer, *entry.span, index) for index, entry in enumerate(entries) if entry.person is not None
        )
        for first, second in held.overlapping():
            message = (
                f"overlaps with `{entries[first].person}`, entry {first + 1} of the list; let one end where the next "
                "begins, or write cover under overrides"
            )
            yield ("roles", role, second), None, message


def _role(known: Collection[str], place: FieldPath, role: str) -> Iterator[Problem]:
    if role not in known:
        yield place, role, f"is no role of the ladder; use one of {', '.join(known)}, or add it to own_roles"


def _person(people: Mapping[str, Person], place: FieldPath, person: str) -> Iterator[Problem]:
    if person not in people:
        close = get_close_matches(person, people, 1)
        hint = f", or did you mean `{close[0]}`?" if close else ""
        yield place, person, f"nobody is called `{person}`; add the name and e-mail address under people{hint}"


def _covered_twice(overrides: Sequence[Override]) -> Iterator[Problem]:
    """At any instant one override at most covers a role (of a customer), and one a person."""
    covered = IntervalIndex(
        ((override.role, override.customer, override.instead_of), override.starts_at, override.ends_at, index)
        for index, override in enumerate(overrides)
    )
    for first, second in covered.overlapping():
        message = f"overlaps with entry {first + 1}, `{overrides[first].person}`; let one end where the next begins"
        yield ("overrides", second), None, message


def _circles(overrides: Sequence[Override]) -> Iterator[Problem]:
    """People who stand in for each other at one instant: nobody would be left."""
    standing = [(index, override) for index, override in enumerate(overrides) if override.instead_of is not None]
    for index, override in standing:
        at = override.starts_at
        to = {
            cover.instead_of: (entry, cover.person)
            for entry, cover in standing
            if cover.starts_at <= at < cover.ends_at
        }
        person, passed = override.person, {override.instead_of}
        said = [f"`{person}` stands in for `{override.instead_of}`"]
        while person in to and person not in passed:
            passed.add(person)
            entry, stand_in = to[person]
            said.append(f"`{stand_in}` for `{person}` (entry {entry + 1})")
            person = stand_in
        if person == override.instead_of:
            message = f"{', '.join(said)}, in a circle from {render_instant(at)} on; let one of them work"
            yield ("overrides", index), None, message


def _grouped(groups: Sequence[GroupAddress], known: Collection[str]) -> Iterator[Problem]:
    first: dict[tuple[str, str | None], int] = {}
    for index, group in enumerate(groups):
        place: FieldPath = ("group_addresses", index)
        yield from _role(known, (*place, "role"), group.role)
        if first.setdefault((group.role, group.customer), index) != index:
            yield place, None, f"entry {first[group.role, group.customer] + 1} is for the same; keep one of the two"
