"""Reads the results for the recipients of a mail in a bounce report. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tocsin.characters import one_line

MAX_REPLY: Final = 500


class BounceAction(StrEnum):
    """RFC 3464, 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"

    @property
    def is_arrival(self) -> bool:
        return self not in (BounceAction.FAILED, BounceAction.DELAYED)


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """The result for one recipient of the mail.

    `addresses`: what the report calls this recipient, the most certain first; never empty. A plain text may name other
    addresses too. `reply`: the last server's, on one line.
    """

    addresses: tuple[str, ...]
    action: BounceAction
    reply: str


_RECIPIENT_FIELDS: Final = ("final-recipient", "original-recipient", "x-actual-recipient", "x-original-recipient")
_FIELDS: Final = (*_RECIPIENT_FIELDS, "action", "status", "diagnostic-code", "will-retry-until")
# Each address begins where no other character of an address precedes it, so a long word is searched once.
_OF_ADDRESS: Final = r"[^\s<>;,\"()\[\]{}|*@:]"
_ADDRESS: Final = re.compile(rf"(?<!{_OF_ADDRESS}){_OF_ADDRESS}{{1,64}}@{_OF_ADDRESS}{{1,189}}")
_ESCAPED: Final = re.compile(r"\\x\{(10[0-9A-Fa-f]{4}|[0-9A-Fa-f]{2,5})\}")
_XTEXT: Final = re.compile(r"\+([2-7][0-9A-F])")
_ENHANCED_CODE: Final = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_REPLY_CODE: Final = re.compile(r"(?<![\w.])([245])[0-7]\d(?=[ -]|$)")
_ACTIONS: Final = {
    BounceAction.FAILED: re.compile(r"fail|undeliver|non-?deliver|not |bounce|reject|error|permanent|returned"),
    BounceAction.DELAYED: re.compile(r"delay|defer|warn|retry|transient|temporar"),
    BounceAction.RELAYED: re.compile(r"relay"),
    BounceAction.EXPANDED: re.compile(r"expand"),
    BounceAction.DELIVERED: re.compile(r"deliver|success"),
}
_OF_CODE: Final = {"2": BounceAction.DELIVERED, "4": BounceAction.DELAYED, "5": BounceAction.FAILED}


def read_recipients(
    texts: Iterable[str], otherwise: BounceAction | None, nameless: Sequence[str] = ()
) -> Iterator[ReportedRecipient]:
    """The recipients of status parts.

    `otherwise` is what happened to those whose action and status are missing, `nameless` the addresses of those without
    one; they are left out where this is not known.
    """
    for text in texts:
        fields = list(_fields(text))
        reporter = next((value for name, value in fields if name == "reporting-mta"), "")
        for group in _groups(fields):
            named = [_addresses(group.get(name, "")) for name in _RECIPIENT_FIELDS]
            addresses = tuple(dict.fromkeys(address for each in named for address in each))
            stated = _action(group)
            addresses = addresses or (tuple(nameless) if stated else ())
            if addresses and (action := stated or otherwise):
                yield ReportedRecipient(addresses, action, _reply(group, _without_type(reporter)))


def find_addresses(text: str, limit: int = 10) -> list[str]:
    """The addresses in a text, each once, in their order."""
    found: dict[str, None] = {}
    for at in _ADDRESS.finditer(text):
        address = at[0].strip("'").rstrip(".'!?")
        if not address.endswith("@") and address.isprintable():
            found[address] = None
        if len(found) == limit:
            break
    return list(found)


def action_of_codes(text: str) -> BounceAction | None:
    """The action that the SMTP codes in a text mean; the worst of them counts."""
    digits = set(_ENHANCED_CODE.findall(text)) or set(_REPLY_CODE.findall(text))
    return _OF_CODE[max(digits)] if digits else None


def find_code_line(text: str) -> int:
    """Where the line with the first code of a failure begins in a text; 0 if there is none."""
    code = _REPLY_CODE.search(text) or _ENHANCED_CODE.search(text)
    return text.rfind("\n", 0, code.start()) + 1 if code else 0


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """The fields of a status part in their order, unfolded; an empty name is a blank line."""
    name, value = "", ""
    for line in text.split("\n"):
        if name and line[:1] in (" ", "\t") and line.strip():
            value += " " + line.strip()
            continue
        if name:
            yield name, one_line(value, 2000)
        before, colon, after = line.partition(":")
        name, value = (before.strip().lower(), after) if colon else ("", "")
        if not line.strip():
            yield "", ""
    if name:
        yield name, one_line(value, 2000)


def _groups(fields: Iterable[tuple[str, str]]) -> Iterator[Mapping[str, str]]:
    """The fields of each recipient. Servers omit blank lines between recipients, or add some within one."""
    group: dict[str, str] = {}
    for name, value in fields:
        has_address = any(each in group for each in _RECIPIENT_FIELDS)
        is_complete = has_address and ("action" in group or "status" in group)
        if (not name and is_complete) or (name in _FIELDS and name in group):
            yield group
            group = {}
        if name in _FIELDS:
            group[name] = value
    yield group


def _action(group: Mapping[str, str]) -> BounceAction | None:
    """The stated action, whatever its spelling; otherwise what the status or the server's reply says."""
    stated = group.get("action", "").partition("(")[0].strip().lower()
    for action, words in _ACTIONS.items():
        if words.search(stated):
            return action
    if "will-retry-until" in group:
        return BounceAction.DELAYED
    return action_of_codes(group.get("status", "")) or action_of_codes(group.get("diagnostic-code", ""))


def _reply(group: Mapping[str, str], reporter: str) -> str:
    status, diagnostic = group.get("status", ""), _without_type(group.get("diagnostic-code", ""))
    details = [f"status {status}" if status else "", f"reported by {reporter}" if reporter else ""]
    aside = ", ".join(part for part in details if part)
    return one_line(f"{diagnostic} ({aside})" if diagnostic and aside else diagnostic or aside, MAX_REPLY)


def _without_type(text: str) -> str:
    """`dns; mx.example.com` without its type."""
    kind, separator, value = text.partition(";")
    return value.strip() if separator and " " not in kind.strip() else text


def _addresses(text: str) -> Iterator[str]:
    """The address in `rfc822; dana@example.com`; if it may be encoded as in SMTP (RFC 3461), both readings."""
    kind, _, value = text.partition(";")
    if kind.strip().lower() == "utf-8":
        value = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    for address in find_addresses(value or kind, 1):
        yield address
        yield _XTEXT.sub(lambda found: chr(int(found[1], 16)), address)
