"""Whichever mails of a cycle a mailbox got, in any order: Gmail, Outlook and Apple Mail show one conversation."""

from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from datetime import timedelta
from email import message_from_bytes
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from hypothesis import given
from hypothesis import strategies as st
from support.mail_clients import READERS, normalized, read
from support.notifier_api import ApiClients
from support.notifier_events import NOON, about_clock, escalation, stand_down, ticket
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink
from tocsin.events import Notify, StandDown, Ticket, Tier
from tocsin_local.loopback import free_port

DIRECTORY = """
people:
  dana: { name: Dana, email: dana@example.com, fallbacks: [dana@home.example] }
  kim: { name: Kim, email: kim@example.com }
  lee: { name: Lee Ødegård, email: lee@example.com }
roles:
  service_desk_team_lead: [{ person: dana }]
  senior_it_operations_manager: [{ person: kim }]
  it_operations_director: [{ person: dana }]
  account_manager: [{ person: lee }]
  chief_operating_officer: [{ person: kim }]
  chief_executive_officer: [{ person: lee }]
group_addresses:
  - { role: service_desk_team_lead, email: desk@example.com }
  - { role: senior_it_operations_manager, email: desk@example.com }
"""
ROLES = [
    *("service_desk_team_lead", "senior_it_operations_manager", "it_operations_director", "account_manager"),
    *("chief_operating_officer", "chief_executive_officer"),
]
FORTNIGHT = timedelta(days=14)  # longer than the week within which Gmail joins mails
SUMMARY = "Störung: the mail of all sites, and " + "very " * 40 + "much else, is down"
Kept = list[tuple[str, bytes]]


class Mailboxes:
    """A mail server that keeps the bytes of each mail with its recipient, and refuses the addresses in `refused`."""

    def __init__(self) -> None:
        self.kept: Kept = []
        self.refused: set[str] = set()

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        assert envelope.original_content is not None
        self.kept += [(address, envelope.original_content) for address in envelope.rcpt_tos]
        return "250 2.0.0 OK"


@pytest.fixture
def mailboxes() -> Mailboxes:
    return Mailboxes()


@pytest.fixture
def address(mailboxes: Mailboxes) -> Iterator[str]:
    server = Controller(mailboxes, hostname="127.0.0.1", port=free_port())
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
async def world(
    make_database: MakeDatabase, smtp_sink: SharedSink, address: str, tmp_path: Path
) -> AsyncIterator[NotifierWorld]:
    now = NOON + 50 * FORTNIGHT
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, now, smtp=address) as made:
        made.directory.write_text(DIRECTORY)
        yield made


def cycle(of: Ticket, number: int, ids: Iterator[int]) -> list[Notify | StandDown]:
    """All notifications of a cycle in which nobody reacts, and its stand-downs."""
    about: list[dict[str, Any]] = [{"event_id": UUID(int=next(ids)), "cycle": number} for _ in range(12)]
    first = next(ids)
    at = [NOON + (first + place) * FORTNIGHT for place in range(12)]
    clocks = [
        about_clock("warning", ticket=of, at=at[0], **about[0]),
        about_clock("response_missed", ticket=of, at=at[1], **about[1]),
        about_clock("answer_missed", ticket=of, at=at[2], severity=3, **about[2]),
        about_clock("warning", ticket=of, at=at[3], **(about[3] | {"clock": "resolution"})),
    ]
    steps = [
        escalation(
            of,
            at=at[3 + step],
            step=step,
            role=role,
            role_title=role,
            tier=Tier(number=step, role=role, title=role),
            **about[3 + step],
        )
        for step, role in enumerate(ROLES, 1)
    ]
    mailed = tuple(step.event_id for step in steps)
    ended = [
        stand_down(of, at=at[10], run=None, clock="response", notifications=(clocks[1].event_id,), **about[10]),
        stand_down(of, at=at[11], notifications=mailed, **about[11]),
    ]
    return [*clocks, *steps, *ended]


async def test_each_mail_program_shows_each_cycle_as_one_conversation(
    world: NotifierWorld, mailboxes: Mailboxes, api: ApiClients
) -> None:
    ids = count(1)
    one = ticket(ticket_id=UUID(int=7), summary=SUMMARY)
    other = ticket(ticket_id=UUID(int=8), external_id="SR-1043", summary=SUMMARY)
    async with world.notifier():
        for notifications in (cycle(one, 1, ids), cycle(one, 2, ids), cycle(other, 1, ids)):
            for place, notification in enumerate(notifications):
                mailboxes.refused = _refused(place)
                if place == 11:
                    await _redeliver_steps(world, api, notification)
                await world.receive(notification)
                await world.quiet()
    assert {address for address, _ in mailboxes.kept} == {
        *("dana@example.com", "dana@home.example", "desk@example.com", "kim@example.com", "lee@example.com")
    }
    for raw in (raw for _, raw in mailboxes.kept):
        message = read(raw)
        assert message.topic == normalized(message.subject)
        assert len(message.subject) < 254  # [MS-OXCMSG] 2.2.1.10
    _assert_grouped_by_cycle(mailboxes.kept)


async def _redeliver_steps(world: NotifierWorld, api: ApiClients, last: Notify | StandDown) -> None:
    for delivery in await world.deliveries():
        of_this_cycle = (delivery.ticket_id, delivery.cycle) == (last.ticket_id, last.cycle)
        if of_this_cycle and delivery.state == "sent" and delivery.step in (1, 2, 3):
            await api.post(f"/v1/deliveries/{delivery.id}/redeliver", 201)
            await world.quiet()


def _refused(place: int) -> set[str]:
    """Every third mail goes to the second address; the steps of tiers 1 and 2 to the group address."""
    if place in (4, 5):
        return {"dana@example.com", "dana@home.example", "kim@example.com"}
    return {"dana@example.com"} if place % 3 == 2 else set()


def _assert_grouped_by_cycle(kept: Kept) -> None:
    """For any subset of the mails, in the order sent, or all at once in any order."""

    @given(st.sampled_from(sorted({address for address, _ in kept})), st.data())
    def whatever_arrived(mailbox: str, data: st.DataObject) -> None:
        got = [raw for address, raw in kept if address == mailbox]
        some = data.draw(st.lists(st.integers(0, len(got) - 1), unique=True, min_size=1))
        when_sent = [(read(got[number]).date, got[number]) for number in sorted(some)]
        at_once = [(NOON + 50 * FORTNIGHT, got[number]) for number in some]
        for arrived in (when_sent, at_once):
            expected = _grouping([_cycle(raw) for _, raw in arrived])
            assert {name: _grouping(reader(arrived)) for name, reader in READERS.items()} == dict.fromkeys(
                READERS, expected
            )

    whatever_arrived()


def _cycle(raw: bytes) -> Hashable:
    parsed = message_from_bytes(raw.partition(b"\r\n\r\n")[0])
    return parsed["Tocsin-Ticket"], parsed["Tocsin-Cycle"]


def _grouping(conversations: Sequence[Hashable]) -> list[int]:
    """Conversations numbered by their first message, so that equal lists are equal groupings."""
    return [conversations.index(one) for one in conversations]
