"""Who wrote a mail: also through a mailing list that put its own address into From, and never one of us by mistake."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.mail import InboundMail, read_mail
from intake.domain.mail_author import MailAuthor, TicketOwner, find_author
from intake.domain.mail_rules import choose_ticket, derive_events, draft_ticket
from intake.domain.received_mail import classify_mail
from intake.domain.webhooks.config.integrations import MailIntegration, load_integrations
from support.search_budget import tries
from tocsin.events import Fact, FactType
from tocsin.sources.policy_file import read_policy

POLICY = read_policy(Path(__file__).parents[2] / "deploy/policy/policy.yaml")
MAILBOXES = ("support@betterworldtech.com", "escalations@betterworldtech.com")
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
SECTION = """
version: "1"
tenants: {}
email:
  default:
    ours: [betterworldtech.com, client.example]
    ours_subdomains: true
    severity: 3
    services: [Not said]
    customers:
      - { id: acme, name: Acme, domains: [acme.example], subdomains: true }
      - { id: labs, name: Acme Labs, domains: [labs.acme.example] }
      - { id: bolt, name: Bolt, domains: [bolt.example] }
      - { id: books, name: Books, domains: [bücher.example], addresses: [kä@freemail.example] }
      - { id: client, name: Client, domains: [desk.client.example] }
    customer: { id: house, name: Unknown senders }
"""
LIST = {"List-ID": "<support.betterworldtech.com>"}
VIA = "'Ada Byron' via Support <support@betterworldtech.com>"
COLLEAGUE_VIA = "'Sam Orr' via Support <support@betterworldtech.com>"
ADA = "Ada Byron <ada@acme.example>"
SAM = "Sam Orr <sam@betterworldtech.com>"
GROUPS_IO = {"List-Id": "<partners.groups.io>", "Reply-To": "partners@groups.io"}


CONFIG = load_integrations(SECTION, "integrations.yaml").email["default"]


def integration(**changed: object) -> MailIntegration:
    return MailIntegration(CONFIG.model_copy(update=changed))


def written(sender: str, headers: Mapping[str, str] | None = None) -> InboundMail:
    lines = {"From": sender, "To": "support@betterworldtech.com", **(headers or {})}
    return read_mail("\r\n".join([*(f"{name}: {text}" for name, text in lines.items()), "", "Hello."]).encode())


def author(sender: str, headers: Mapping[str, str] | None = None, **changed: object) -> MailAuthor:
    return find_author(written(sender, headers), integration(**changed), MAILBOXES)


def described(found: MailAuthor) -> str:
    if not found.is_found:
        return "not found"
    kind = "ours" if found.is_staff else found.customer.id if found.customer else "stranger"
    return f"{found.address.email} {kind}"


@pytest.mark.rule("6.24")
@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        (VIA, LIST | {"X-Original-From": ADA, "X-Original-Sender": "ada@acme.example", "Reply-To": ADA}),
        (VIA, LIST | {"X-Original-From": ADA, "Reply-To": "support@betterworldtech.com"}),
        (VIA, LIST | {"X-Original-Sender": "ada@acme.example"}),
        (VIA, LIST | {"Reply-To": "ada@acme.example"}),
        (VIA, LIST | {"Reply-To": f"support@betterworldtech.com, {ADA}", "Cc": "Zoe <zoe@bolt.example>"}),
        (VIA, LIST | {"Cc": f"Zoe <zoe@bolt.example>, {ADA}", "Reply-To": "support@betterworldtech.com"}),
        ("\"'Byron, Ada' via Support\" <support@betterworldtech.com>", LIST | {"Cc": ADA}),
        (VIA, {"Precedence": "list", "Author": ADA}),
        (VIA, {"X-Original-From": ADA}),
        (VIA, {"Reply-To": ADA, "Cc": "Zoe <zoe@bolt.example>"}),
        (VIA, LIST | {"Sender": "ada@acme.example"}),
        (VIA, LIST | {"X-MailFrom": "ada@acme.example", "Sender": "support-bounces@lists.other.example"}),
        ("'ada@acme.example' via Support <support@betterworldtech.com>", LIST),
        ("Ada (via Support Mailing List) <help@betterworldtech.com>", LIST | {"X-Original-From": ADA}),
        ("Ada <ada=acme.example@lists.betterworldtech.com>", LIST),
        ("Support <support@betterworldtech.com>", LIST | {"Reply-To": ADA}),
        ("help@betterworldtech.com", {"List-Post": "<mailto:Help@betterworldtech.com>", "Reply-To": ADA}),
        ("Support <support@betterworldtech.com>", {"Sender": "ada@acme.example"}),
        ("Ada <00012-dmarc-request@lists.betterworldtech.com>", LIST | {"X-Original-From": ADA}),
        # Two lists: the second one names the first.
        (VIA, LIST | {"X-Original-From": ADA, "X-Original-Sender": "support@betterworldtech.com"}),
        # An author outside who writes the address of a colleague into a header of her own.
        (VIA, LIST | {"Reply-To": SAM, "X-Original-From": ADA}),
        (COLLEAGUE_VIA, LIST | {"Reply-To": f"{SAM}, Sam Orr <ada@acme.example>"}),
        # A group that leaves no header of a list.
        (VIA, {"Cc": "bob@acme.example", "Reply-To": "ada@acme.example"}),
        ("'ada@acme.example' via Support <support@betterworldtech.com>", {"Cc": "bob@acme.example"}),
        ("Ada Byron über Support <support@betterworldtech.com>", {"Cc": f"bob@acme.example, {ADA}"}),
        ("Support <support@betterworldtech.com>", {"Cc": "bob@acme.example", "Reply-To": "ada@acme.example"}),
        # A web form.
        ("Contact form <web@betterworldtech.com>", {"Reply-To": ADA}),
        # Lists of others.
        (
            "Ada via Partners <partners@lists.vendor.example>",
            {"X-BeenThere": "partners@lists.vendor.example"} | {"Reply-To": ADA},
        ),
        ("Ada via groups.io <ada=acme.example@groups.io>", GROUPS_IO),
        ("Ada via Datatracker <ada=40acme.example@dmarc.vendor.example>", {"List-Id": "<x.vendor.example>"}),
        ("'Ada' via IT <it@acme.example>", {"List-ID": "<it.acme.example>", "X-Original-From": ADA}),
    ],
)
def test_a_list_that_replaces_from_leads_to_the_customer_who_wrote(sender: str, headers: dict[str, str]) -> None:
    assert described(author(sender, headers)) == "ada@acme.example acme"


@pytest.mark.rule("6.24")
@pytest.mark.parametrize(
    ("sender", "headers", "expected"),
    [
        (SAM, {}, "sam@betterworldtech.com"),
        ("Support <support@betterworldtech.com>", {}, "support@betterworldtech.com"),
        (
            "Support <support@betterworldtech.com>",
            {"Reply-To": "support@betterworldtech.com"},
            "support@betterworldtech.com",
        ),
        ("Support <support@betterworldtech.com>", {"Sender": SAM}, "support@betterworldtech.com"),
        # A help desk tool answers the customer.
        (
            "Sam via Support <support@betterworldtech.com>",
            {"To": ADA, "Reply-To": "d1@desk.example"},
            "support@betterworldtech.com",
        ),
        (SAM, LIST | {"To": ADA, "X-Original-Sender": "sam@betterworldtech.com"}, "sam@betterworldtech.com"),
        (SAM, LIST | {"To": ADA, "Sender": "list@hosting.example"}, "sam@betterworldtech.com"),
        (
            "Support <support@betterworldtech.com>",
            LIST | {"To": ADA, "X-Original-Sender": SAM},
            "sam@betterworldtech.com",
        ),
        (COLLEAGUE_VIA, LIST | {"To": ADA, "X-Original-From": SAM, "Reply-To": SAM}, "sam@betterworldtech.com"),
        (COLLEAGUE_VIA, LIST | {"To": ADA, "Reply-To": SAM}, "sam@betterworldtech.com"),
        (COLLEAGUE_VIA, {"Cc": ADA, "Reply-To": SAM}, "sam@betterworldtech.com"),
        ("Sam Orr <support@betterworldtech.com>", {"Cc": ADA}, "support@betterworldtech.com"),
    ],
)
def test_when_the_author_is_one_of_our_own_people(sender: str, headers: dict[str, str], expected: str) -> None:
    assert described(author(sender, headers)) == f"{expected} ours"


@pytest.mark.rule("6.24")
@pytest.mark.parametrize(
    ("sender", "headers", "expected"),
    [
        (VIA, LIST, "not found"),
        (VIA, {"Cc": "bob@acme.example"}, "not found"),
        *(
            (f"Ada Byron {word} Support <support@betterworldtech.com>", {"Cc": "bob@acme.example"}, "not found")
            for word in ("über", "u\u0308ber", "por", "vía", "par", "tramite")
        ),
        (VIA, LIST | {"Reply-To": "support@betterworldtech.com"}, "not found"),
        (VIA, LIST | {"Reply-To": SAM}, "not found"),
        (VIA, LIST | {"X-Original-Sender": "support@betterworldtech.com"}, "not found"),
        (VIA, LIST | {"Sender": "mailer@hosting.example"}, "not found"),
        ("Support <support@betterworldtech.com>", LIST | {"To": ADA}, "not found"),
        ("Ada <00012-dmarc-request@lists.betterworldtech.com>", LIST | {"To": ADA}, "not found"),
        ("Ada <help@betterworldtech.com>", LIST | {"To": f"help@betterworldtech.com, {ADA}"}, "not found"),
        ("'Sam' via Team <team@acme.example>", {"List-ID": "<team.acme.example>", "X-Original-From": SAM}, "not found"),
        ("eve@evil.example", {"Reply-To": SAM}, "eve@evil.example stranger"),
        (
            "eve@evil.example",
            LIST | {"Reply-To": SAM, "X-Original-From": SAM, "Sender": SAM},
            "eve@evil.example stranger",
        ),
        ("Sam Orr via X <x@evil.example>", {"List-Id": "<x.evil.example>", "Reply-To": SAM}, "x@evil.example stranger"),
        (
            "'Eve' via IT <it@acme.example>",
            {"List-ID": "<it.acme.example>", "Reply-To": "eve@bolt.example"},
            "it@acme.example acme",
        ),
        ("ada@acme.example", {"Reply-To": "ada@home.example", "List-Id": "<x.y.example>"}, "ada@acme.example acme"),
        ("ada@acme.example", {"X-Original-From": "ada@intern.example"}, "ada@acme.example acme"),
    ],
)
def test_nobody_becomes_one_of_us_or_a_customer_by_a_header(
    sender: str, headers: dict[str, str], expected: str
) -> None:
    assert described(author(sender, headers)) == expected


@pytest.mark.rule("6.20", "6.24")
def test_only_an_authenticated_sender_is_replaced_by_the_author() -> None:
    passed = {"Authentication-Results": "mx.us.example; dmarc=pass", "X-Original-From": ADA}
    failed = passed | {"Authentication-Results": "mx.us.example; dmarc=fail"}
    by_list = {"X-Original-Authentication-Results": "gmr-mx.list.example; dmarc=fail header.from=acme.example"}

    def checked(sender: str, headers: dict[str, str]) -> MailAuthor:
        return author(sender, headers | LIST, authserv="mx.us.example")

    assert described(checked(VIA, passed)) == "ada@acme.example acme"
    assert (
        described(checked(VIA, passed | {"X-Original-Authentication-Results": "mx; dmarc=pass"}))
        == "ada@acme.example acme"
    )
    for forged in (checked(VIA, failed), checked(VIA, passed | by_list)):
        assert (forged.is_authenticated, forged.customer, forged.is_staff) == (False, None, False)
    stranger = checked("Ada via X <x@evil.example>", passed | {"List-Post": "<mailto:x@evil.example>"})
    assert described(stranger) == "x@evil.example stranger"
    own_list = checked("Ada via IT <it@acme.example>", passed | {"List-Post": "<mailto:it@acme.example>"})
    assert described(own_list) == "ada@acme.example acme"


@pytest.mark.rule("6.24")
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a@acme.example", "acme"),
        ("a@mail.acme.example", "acme"),
        ("a@labs.acme.example", "labs"),
        ("a@x.labs.acme.example", "acme"),
        ("a@notacme.example", "stranger"),
        ("a@mail.bolt.example", "stranger"),
        ("a@lists.betterworldtech.com", "ours"),
        ("a@client.example", "ours"),
        ("a@desk.client.example", "client"),
        ("a@xn--bcher-kva.example", "books"),
        ("a@bücher.example", "books"),
    ],
)
def test_subdomains_count_by_setting_and_the_longest_domain_wins(address: str, expected: str) -> None:
    assert described(author(address)) == f"{address} {expected}"


@pytest.mark.rule("6.25")
def test_the_contact_is_known_by_the_address_or_if_that_is_lost_by_the_name() -> None:
    owner = TicketOwner("house", "Eve@Freemail.example", "Stone, Eve")
    assert author("eve@freemail.example").is_contact(owner)
    assert not author("Eve Stone <eve@other.example>").is_contact(owner)
    assert not author("eve@freemail.example", authserv="mx.us.example").is_contact(owner)
    assert author("'Eve Stone' via Support <support@betterworldtech.com>", LIST).is_contact(owner)
    assert not author("'Eva Stone' via Support <support@betterworldtech.com>", LIST).is_contact(owner)
    assert not author("<support@betterworldtech.com>", LIST).is_contact(TicketOwner("house"))


NAMES = ("Sender", "Reply-To", "X-Original-From", "X-Original-Sender", "List-Id", "List-Post", "Cc", "X-MailFrom")
SENDERS = (VIA, SAM, ADA, "x@y.example", "Eve via X <ada=40acme.example@groups.io>", f"{VIA}, {ADA}")
IDS = ("Message-ID", "In-Reply-To", "References", "Subject", "Date", "Mailing-List")
PIECES = (
    *(ADA, SAM, VIA, "<", ">", "(", '"', "@", ",", " via ", "support.betterworldtech.com", "=?utf-8?q?a?=", "\r\n "),
    *("\xff", "\x00", "<a@x>", "b@x", "[SR-1]", "[#", "Re: [Support]", "ü@bücher.example", "=40x.example@groups.io"),
)
HEADERS = st.dictionaries(
    st.sampled_from(NAMES + IDS), st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)
)


@pytest.mark.rule("6.24")
@given(st.sampled_from(SENDERS), HEADERS, st.sampled_from([None, "mx.us.example"]))
@settings(max_examples=tries(50))
def test_any_headers_have_a_result_and_make_no_stranger_one_of_us(
    sender: str, headers: dict[str, str], authserv: str | None
) -> None:
    mail = written(sender, headers)
    received = classify_mail(mail, NOW, integration(authserv=authserv), POLICY.mailboxes)
    found = received.author
    is_through_us = mail.sender.domain == "betterworldtech.com"
    assert is_through_us or not found.is_staff
    assert found.is_found or is_through_us or CONFIG.customer_of(mail.sender.email) is not None
    opened = draft_ticket(received)
    assert opened is not None
    assert opened.contact.email == found.address.email
    owner = TicketOwner("acme", "ada@acme.example", "Ada Byron")
    opening = Fact(number=1, event_id="1", type=FactType.OPENED, occurred_at=NOW, received_at=NOW, severity=3)
    events = derive_events(received, owner, [opening])
    assert choose_ticket(received, {UUID(int=1): owner}) == (None if events is None else UUID(int=1))
    assert [event.type for event in events or ()] in ([], ["responded"])
    assert not events or found.is_staff
