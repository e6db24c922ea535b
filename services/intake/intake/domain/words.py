"""The two ways in which words are compared: those of a tool exactly, those of people without accents. Pure."""

import unicodedata
from collections.abc import Mapping
from typing import TypeVar

from tocsin.characters import canonical_id

_Meaning = TypeVar("_Meaning")


def fold_word(word: str) -> str:
    """The form in which words of a tool are compared: without case, Unicode form and surrounding white space."""
    return canonical_id(word).casefold()


def find_word(words: Mapping[str, _Meaning], word: str) -> _Meaning | None:
    """The configured meaning of a tool's word; None if it is not listed."""
    wanted = fold_word(word)
    return next((meaning for known, meaning in words.items() if fold_word(known) == wanted), None)


def fold_text(text: str) -> str:
    """The form in which words of a mail are compared: without case and accents, with one space between words."""
    letters = (each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join("".join(letters).casefold().replace("\u2019", "'").split())
