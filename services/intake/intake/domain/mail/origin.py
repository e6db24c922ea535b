"""Reads the origin of a mail whose From a mailing list or mail server may have replaced. Pure.

A list that breaks the signature of the author's domain puts its own address into From (because of DMARC), and names the
author elsewhere: Google Groups and Sympa in X-Original-From, Mailman in Reply-To or Cc, others in the name (`Ada via
Support`) or in the address (`ada=acme.example@list.example`).
"""

import re
from dataclasses import dataclass
from itertools import islice
from typing import Final
from unicodedata import normalize

from tocsin.mail import EmailAddress, MailHeaders

# Without List-Unsubscribe, because senders of single mails add it too.
_LIST_HEADERS: Final = ("List-Id", "List-Post", "Mailing-List", "X-Mailing-List", "X-BeenThere")
_LIST_SIGNS: Final = frozenset(name.lower() for name in (*_LIST_HEADERS, "X-Mailman-Version", "X-Google-Group-Id"))
_ORIGINALS: Final = ("X-Original-From", "Original-From", "Author", "X-Original-Sender")
_REPLIES: Final = ("Reply-To", "X-Original-Reply-To")
_SENDERS: Final = ("X-MailFrom", "Sender")
_MAX_ADDRESSES: Final = 20
_LISTED: Final = re.compile(r"[^\s<>@;:,\"?]{1,64}@[^\s<>@;:,\"?]{1,189}")
_VIA: Final = re.compile(
    r"(.+?)(?:\s+(?:via|vía|über|por|par|tramite)\s+\S|\s*\((?:via|vía|über|por|par|tramite)\s)", re.IGNORECASE
)
_ENCODED: Final = re.compile(r"([^=]+)=(?:40)?([^=@]+\.[^=@]+)@")
_MADE_UP: Final = re.compile(r"dmarc|no-?reply")
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
# The addresses of list programs; they belong to no person.
_ROLE: Final = re.compile(r"(^|[-+.=])(bounces?|owners?|request|admin|errors|return|no-?reply)([-+.=]|$)")


@dataclass(frozen=True, slots=True)
class MailOrigin:
    """The traces of a mailing list in a mail, and who else may have written it.

    `list_addresses` are the addresses of the list, and `list_names` its names, in lower case. `originals` are the
    senders that the list found, `replies_to` where replies go, and `senders` who handed the mail in. `authentication`
    is what the list's mail server found about the author (X-Original-Authentication-Results).
    """

    is_list: bool = False
    list_addresses: frozenset[str] = frozenset()
    list_names: frozenset[str] = frozenset()
    originals: tuple[EmailAddress, ...] = ()
    replies_to: tuple[EmailAddress, ...] = ()
    senders: tuple[EmailAddress, ...] = ()
    authentication: tuple[str, ...] = ()


def read_origin(headers: MailHeaders) -> MailOrigin:
    """The origin that the headers state."""
    senders = _addresses(headers, _SENDERS)
    phrase, _, list_id = headers.text("List-Id").lower().rpartition("<")
    addresses = frozenset(_list_addresses(headers, list_id.strip("> \t")))
    names = {phrase.strip(' \t"'), *(address.partition("@")[0] for address in addresses)}
    return MailOrigin(
        is_list=not _LIST_SIGNS.isdisjoint(headers.names()) or headers.first("Precedence").strip().lower() == "list",
        list_addresses=addresses,
        list_names=frozenset(names - {""}),
        originals=_addresses(headers, _ORIGINALS),
        replies_to=_addresses(headers, _REPLIES),
        senders=tuple(each for each in senders if not _ROLE.search(each.email.partition("@")[0])),
        authentication=tuple(islice(headers.plain("X-Original-Authentication-Results"), 10)),
    )


def name_before_via(name: str) -> str:
    """The author's name in the name of a list (`Ada` in `'Ada' via Support`), or an empty string."""
    found = _VIA.match(normalize("NFC", name))
    return found[1].strip(" '\"") if found else ""


def hidden_address(sender: EmailAddress) -> EmailAddress | None:
    """The author's address that a list put into its own name or address, or None."""
    name = name_before_via(sender.name)
    if _ADDRESS.fullmatch(name):
        return EmailAddress("", name.lower())
    encoded = _ENCODED.match(sender.email)
    return EmailAddress(name, f"{encoded[1]}@{encoded[2]}") if encoded else None


def is_made_up(email: str) -> bool:
    """Whether a list program made the address up, to hide the author (`0000012-dmarc-request@list.example`)."""
    return _MADE_UP.search(email.partition("@")[0]) is not None


def _addresses(headers: MailHeaders, names: tuple[str, ...]) -> tuple[EmailAddress, ...]:
    return tuple(found for name in names for found in headers.addresses(name)[:_MAX_ADDRESSES])


def _list_addresses(headers: MailHeaders, list_id: str) -> list[str]:
    found = [each.lower() for name in _LIST_HEADERS for each in _LISTED.findall(headers.first(name))[:_MAX_ADDRESSES]]
    # Most programs make List-Id of the address: `support.example.com` is support@example.com.
    name, _, host = list_id.partition(".")
    return [*found, f"{name}@{host}"] if name and "." in host else found
