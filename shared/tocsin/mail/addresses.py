"""Address lists of mail headers (RFC 5322), parsed the same on every version of Python. Pure.

`email.utils.getaddresses` is not usable for the sender of a mail. Where it is lenient, it returns two addresses for
`ceo@acme.example <mallory@evil.example>`, the false one first (CVE-2023-27043). Where it is strict, it returns none,
not even for `ada@acme.example <ada@acme.example>`. Here every element of a list has at most one address: the one in
angle brackets, or else the element itself. An element with two addresses in angle brackets has none.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""
    (?P<quoted>"(?:[^"\\]|\\.)*+")
    | (?P<stray>")                                  # a quotation mark that is never closed
    | (?P<angle><[^<>]*+(?:>|\Z))
    | (?P<comment>\()
    | (?P<separator>[,;:])
    | (?P<text>[^"<(,;:\\]++|\\.|[\\<])
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_TOKEN: Final = re.compile(r"[()]|\\.|[^()\\]++|\\", re.DOTALL)
_QUOTED_WORD: Final = re.compile(r'^"([\w.+=-]+)"@')
_BRACKETS: Final = re.compile(r"[<>]")
_SINGLE_QUOTED: Final = re.compile(r"\A'([^']+)'\Z")
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


class HeaderToken(NamedTuple):
    """A piece of a header.

    `kind` is `quoted`, `angle`, `comment`, `separator` (`,`, `;` or `:`), `text`, or `stray` for a quotation mark that
    is never closed.
    """

    kind: str | None
    text: str


def parse_addresses(header: str) -> list[tuple[str, str]]:
    """The (name, address) pairs of an address list in their order; the name may be empty. Groups are flattened.

    A word before the comma that has no address is part of the next name, because some programs do not quote names.
    Encoded words are not decoded, and addresses are not validated: the caller drops what is not one.
    """
    pairs: list[tuple[str, str]] = []
    family_name = ""
    for element in _elements(header):
        name, address = _address_of(element) or ("", "")
        if not address:
            family_name = ""
        elif "@" not in address:
            family_name = " ".join(token.text.strip() for token in element)  # `Byron, Ada <ada@acme.example>`
        else:
            is_named = family_name and any(token.kind == "angle" for token in element)
            pairs.append((f"{family_name}, {name}" if is_named else name, address))
            family_name = ""
    return pairs


def _elements(header: str) -> Iterator[Sequence[HeaderToken]]:
    element: list[HeaderToken] = []
    for token in tokenize(header):
        if token.kind != "separator":
            element.append(token)
            continue
        if token.text != ":":  # a colon ends the name of a group
            yield element
        element = []
    yield element


def tokenize(header: str) -> Iterator[HeaderToken]:
    """The pieces of a header in their order; together they are the header."""
    position = 0
    while token := _TOKEN.match(header, position):
        position = _end_of_comment(header, token.start()) if token.lastgroup == "comment" else token.end()
        yield HeaderToken(token.lastgroup, header[token.start() : position])


def _end_of_comment(header: str, start: int) -> int:
    """The position after a comment, which may contain comments; an unclosed one goes on to the end."""
    depth = 0
    for token in _COMMENT_TOKEN.finditer(header, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    return len(header)


def _address_of(element: Sequence[HeaderToken]) -> tuple[str, str] | None:
    angles = [token.text.strip("<>") for token in element if token.kind == "angle"]
    if len(angles) > 1:
        return None
    words = [token for token in element if token.kind in ("text", "quoted")]
    comment = " ".join(token.text.strip("()") for token in element if token.kind == "comment")
    if not angles:
        return comment, _canonical("".join(token.text for token in words))
    # Some programs write a second pair of angle brackets (`Ada <<ada@acme.example>>`), or single quotation marks.
    name = "".join(_unquoted(each.text) if each.kind == "quoted" else _BRACKETS.sub("", each.text) for each in words)
    # An obsolete source route may precede the address: <@relay.example:ada@acme.example>.
    return _SINGLE_QUOTED.sub(r"\1", name.strip()) or comment, _canonical(angles[0].rpartition(":")[2])


def _canonical(address: str) -> str:
    """The address without white space around its dots and its @, needless quotes and the dot of the DNS root."""
    text = " ".join(address.split())
    for mark in ("@", "."):
        text = text.replace(f" {mark}", mark).replace(f"{mark} ", mark)
    return _QUOTED_WORD.sub(r"\1@", text).removesuffix(".")


def _unquoted(quoted: str) -> str:
    return _QUOTED_PAIR.sub(r"\1", quoted[1:-1])
