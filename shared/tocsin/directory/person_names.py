"""Finds the people whom a text of a calendar names, in any spelling."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from tocsin.directory.entries import Person

_SIGNS: Final = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9\u2032\u00b4\u0060\uff07", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe63\uff0d", "-")
)
_ACCENTS: Final = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
"""Accents of Latin letters only: in other scripts such marks make another letter."""
_WITH_STROKE: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe"})
_COMMA: Final = re.compile(r"\s*,\s*")


class PersonNames:
    """The ids, addresses and names of people, compared as `fold_name` returns them.

    A name of a person may also be written as "Last, First". An id goes before an equal address, an address before an
    equal name, and a name before "Last, First". Each may also be written without its accents, as exports do; then it
    names those people only if nobody's name is written like that.
    """

    def __init__(self, people: Mapping[str, Person]) -> None:
        self._people = people
        self._persons: dict[str, frozenset[str]] = {}
        for kind in (
            [(person, person) for person in people],
            [(address, person) for person, found in people.items() for address in (found.email, *found.fallbacks)],
            [(found.name, person) for person, found in people.items()],
            [(turned, person) for person, found in people.items() for turned in _last_name_first(found.name)],
        ):
            self._add(kind)
        self._persons = self._without_accents() | self._persons
        self._longest_first = sorted(self._persons, key=len, reverse=True)

    def exactly(self, text: str) -> frozenset[str]:
        """The people whose id, address or name is the text: several if it is ambiguous."""
        folded = fold_name(text)
        return self._persons.get(folded) or self._persons.get(_drop_accents(folded), frozenset())

    def within(self, text: str) -> frozenset[str]:
        """The people whose id, address or name the text is or contains as whole words.

        A name inside a longer name does not count: "Ana Silva" does not name Ana.
        """
        if found := self.exactly(text):
            return found
        folded = fold_name(text)
        return self._contained(folded) or self._contained(_drop_accents(folded))

    def shown(self, persons: frozenset[str]) -> str:
        """The names of people for a message."""
        return " or ".join(sorted(self._people[person].name for person in persons))

    def _add(self, kind: list[tuple[str, str]]) -> None:
        """Add the names that are unknown so far, or ambiguous while this kind of name is not."""
        persons: dict[str, set[str]] = defaultdict(set)
        for name, person in kind:
            persons[fold_name(name)].add(person)
        for name, found in persons.items():
            known = self._persons.get(name, frozenset())
            if not known or (len(known) > 1 and len(found) == 1):
                self._persons[name] = frozenset(found)

    def _without_accents(self) -> dict[str, frozenset[str]]:
        persons: dict[str, frozenset[str]] = defaultdict(frozenset)
        for name, found in self._persons.items():
            persons[_drop_accents(name)] |= found
        return persons

    def _contained(self, rest: str) -> frozenset[str]:
        persons: set[str] = set()
        for name in self._longest_first:
            if name in rest:
                rest, count = re.subn(rf"(?<!\w){re.escape(name)}(?!\w)", "\0", rest)
                persons |= self._persons[name] if count else set()
        return frozenset(persons)


def fold_name(text: str) -> str:
    """Return a text for comparison: without case, spelling of accents, apostrophes, hyphens and white space.

    Unicode has several spellings of one accented letter (NFC, NFD) and signs that cannot be seen.
    """
    if text.isascii():
        folded = text.replace("`", "'").casefold()
    else:
        visible = "".join(sign for sign in text.translate(_SIGNS) if unicodedata.category(sign) != "Cf")
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
        folded = folded.replace("i\u0307", "i").replace("\u0131", "i")  # Turkish has i with and without a dot
    return _COMMA.sub(", ", " ".join(folded.split()))


def _drop_accents(folded: str) -> str:
    if folded.isascii():
        return folded
    plain = _ACCENTS.sub("", unicodedata.normalize("NFD", folded.translate(_WITH_STROKE)))
    return unicodedata.normalize("NFC", plain)


def _last_name_first(name: str) -> list[str]:
    words = name.split()
    return [f"{' '.join(words[index:])}, {' '.join(words[:index])}" for index in range(1, len(words))]
