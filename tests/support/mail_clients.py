"""How mail programs group mails into conversations: by their published rules, from the bytes of the messages only.

A reader gets the messages of one mailbox in the order of arrival, each with its instant, and returns the conversation
of each. docs/decisions/0017 says where the rules were published.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from email.utils import parsedate_to_datetime
from functools import cache
from hashlib import md5
from itertools import pairwise

Arrived = tuple[datetime, bytes]
Reader = Callable[[Sequence[Arrived]], list[Hashable]]
A_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Message:
    """The parts of a message that the rules use; of `references` the parent is last."""

    id: str
    sender: str
    subject: str
    references: tuple[str, ...]
    topic: str | None
    index: bytes
    date: datetime


@cache
def read(raw: bytes) -> Message:
    parsed = message_from_bytes(raw.partition(b"\r\n\r\n")[0], policy=default)
    ids = " ".join(parsed[name] or "" for name in ("References", "In-Reply-To"))
    return Message(
        parsed["Message-ID"],
        parsed["From"].addresses[0].addr_spec,
        parsed["Subject"] or "",
        tuple(dict.fromkeys(re.findall(r"<[^<>\s]+>", ids))),
        parsed["Thread-Topic"],
        b64decode(parsed["Thread-Index"] or ""),
        parsedate_to_datetime(parsed["Date"]),
    )


def gmail(arrived: Sequence[Arrived]) -> list[Hashable]:
    """A reply to a message of the conversation, or a mail of the same sender within a week that names the same id.

    In both cases the subject must be the same.
    """
    conversations: list[list[tuple[Message, datetime]]] = []
    found: list[Hashable] = []
    for now, raw in arrived:
        message = read(raw)
        fitting = (number for number, past in enumerate(conversations) if _gmail_joins(message, now, past))
        number = next(fitting, len(conversations))
        if number == len(conversations):
            conversations.append([])
        conversations[number].append((message, now))
        found.append(number)
    return found


def _gmail_joins(message: Message, now: datetime, past: Sequence[tuple[Message, datetime]]) -> bool:
    return without_re(past[0][0].subject) == without_re(message.subject) and any(
        one.id in message.references
        or (
            one.sender == message.sender
            and now - at <= A_WEEK
            and not set(one.references).isdisjoint(message.references)
        )
        for one, at in past
    )


def outlook_tracking(arrived: Sequence[Arrived]) -> list[Hashable]:
    """PidTagConversationId if the index is tracked: its GUID, after a reserved byte and five of the time."""
    messages = [read(raw) for _, raw in arrived]
    assert all(len(message.index) >= 22 and message.index[0] == 1 for message in messages)
    return [message.index[6:22] for message in messages]


def outlook(arrived: Sequence[Arrived]) -> list[Hashable]:
    """PidTagConversationId otherwise: a hash of the topic, or of the normalized subject if there is none."""
    return [_topic_hash(message.topic or normalized(message.subject)) for message in (read(raw) for _, raw in arrived)]


def _topic_hash(topic: str) -> bytes:
    return md5(topic[:255].upper().encode("utf-16-le"), usedforsecurity=False).digest()


def normalized(subject: str) -> str:
    """Without a prefix of up to three characters and a colon, [MS-OXCMAIL] 2.2.3.2.6.1."""
    return re.sub(r"^[^:\s\d]{1,3}: *", "", subject)


def apple_mail(arrived: Sequence[Arrived]) -> list[Hashable]:
    """By references, including missing messages; then conversations of equal subject are joined (jwz.org, step 5)."""
    messages = [read(raw) for _, raw in arrived]
    parents: dict[str, str] = {}
    for message in messages:
        for above, below in pairwise(message.references):
            if below not in parents and not _is_below(above, below, parents):
                parents[below] = above
        for above in message.references[-1:]:
            if not _is_below(above, message.id, parents):
                parents[message.id] = above
    roots = [_root(message.id, parents) for message in messages]
    subjects: dict[str, str] = {}
    for root, message in zip(roots, messages, strict=True):
        subjects.setdefault(root, without_re(message.subject))
    return [subjects[root] or root for root in roots]


def _is_below(one: str, other: str, parents: dict[str, str]) -> bool:
    while one != other and one in parents:
        one = parents[one]
    return one == other


def _root(one: str, parents: dict[str, str]) -> str:
    while one in parents:
        one = parents[one]
    return one


def without_re(subject: str) -> str:
    return re.sub(r"^((re|fwd?)(\[\d+\])?:\s*)+", "", subject, flags=re.IGNORECASE)


READERS: dict[str, Reader] = {
    "Gmail": gmail,
    "Outlook, index tracked": outlook_tracking,
    "Outlook": outlook,
    "Apple Mail": apple_mail,
}
