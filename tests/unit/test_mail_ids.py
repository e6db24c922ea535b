"""Message-IDs however a program writes them, and mails that have the same one."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.domain.mail import InboundMail, read_mail
from support.search_budget import tries
from tocsin.mail.message_ids import find_message_ids


@pytest.mark.rule("6.26")
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("<a.1@x.example>", ["a.1@x.example"]),
        ("a.1@x.example", ["a.1@x.example"]),
        ("<a.1@x.example", ["a.1@x.example"]),
        ("a.1@x.example>", ["a.1@x.example"]),
        ("<<a.1@x.example>>", ["a.1@x.example"]),
        ("< a.1@x.example >", ["a.1@x.example"]),
        ("<a.1@\r\n x.example>", ["a.1@x.example"]),
        ("<a.1 @x.example>", ["a.1@x.example"]),
        ("&lt;a.1@x.example&gt;", ["a.1@x.example"]),
        ('"a.1@x.example"', ["a.1@x.example"]),
        ("=?utf-8?q?=3Ca=2E1=40x=2Eexample=3E?=", ["a.1@x.example"]),
        ("<a.1@x.example> (Ada's message of Monday)", ["a.1@x.example"]),
        ('Your message of "Mon, 8 Jun" <a.1@x.example>', ["a.1@x.example"]),
        ("<a(1)@x.example>", ["a(1)@x.example"]),
        ("<a@x><b@x>", ["a@x", "b@x"]),
        ("<a@x>, <b@x>;<a@x>", ["a@x", "b@x"]),
        ("a@x b@x", ["a@x", "b@x"]),
        ("a@x,\r\n\tb@x", ["a@x", "b@x"]),
        ("<a@x b@x>", ["a@x", "b@x"]),
        ("<a@x> b@x (c@x) <d@x>", ["a@x", "b@x", "d@x"]),
        ("<20260608.4711>", ["20260608.4711"]),
        ("20260608.4711", ["20260608.4711"]),
        *(
            (nothing, [])
            for nothing in ("", "<>", "<@>", "null", "<null>", "None", "Yesterday", "your message", "@", "(a@x)")
        ),
        (f"<{'a' * 990}@x>", []),
    ],
)
def test_the_ids_in_a_header(header: str, expected: list[str]) -> None:
    raw = f"From: ada@acme.example\r\nReferences: {header}\r\n\r\nx".encode()
    assert list(reversed(read_mail(raw).references)) == expected


IDS = st.from_regex(r"[A-Za-z0-9.+=_-]{1,20}@[a-z0-9-]{1,10}(\.[a-z]{2,5})?", fullmatch=True)


@pytest.mark.rule("6.26")
@given(st.lists(IDS, min_size=1, max_size=5, unique=True), st.data())
@settings(max_examples=tries(20))
def test_the_same_ids_are_found_however_they_are_written(ids: list[str], data: st.DataObject) -> None:
    form = st.sampled_from(["{}", "<{}>", "< {}>", "<{}", '"{}"'])
    between = st.sampled_from([" ", ", ", "\r\n ", ";", " (c) "])
    header = "".join(data.draw(form).format(each) + data.draw(between) for each in ids)
    assert find_message_ids(header) == ids


@given(st.text(st.characters(exclude_characters="&"), max_size=60))
@settings(max_examples=tries(20))
def test_any_header_is_read(header: str) -> None:
    assert all(find_message_ids(f"<{each}>") == [each] for each in find_message_ids(header))


ADA = "Ada <ada@acme.example>"
TEXT = "The scanner jams.\n\n-- \nAda Byron\nAcme"
LIST = "List-Id: Help desk <support.betterworldtech.com>"
FOOTERS = [
    '\n-- \nYou received this message because you are subscribed to the Google Groups "Support" group.\nTo unsubscribe',
    "\n_______________________________________________\nSupport mailing list -- support@lists.betterworldtech.com",
    "\n-=-=-=-=-=-\nGroups.io Links: you receive all messages\nhttps://groups.io/g/x\n-=-=-=-=-=-",
    "\n----\nsupport@betterworldtech.com",
    "",
]


def written(subject: str, text: str, *headers: str) -> InboundMail:
    lines = [f"From: {ADA}", f"Subject: {subject}", *headers, "", *text.split("\n")]
    return read_mail("\r\n".join(lines).encode())


@pytest.mark.rule("6.26")
def test_a_copy_through_a_list_has_the_same_digest() -> None:
    direct = written("Re: [P1] Scanner", TEXT).digests.content
    assert written("Re: [P1]  Scanner", TEXT.replace("\n", " \n"), "Received: from x").digests.content == direct
    for footer in FOOTERS:
        for subject in ("Re: [P1] Scanner", "Re: [Support] [P1] Scanner", "Re: [Help desk] [P1] Scanner"):
            assert written(subject, TEXT + footer, LIST).digests.content == direct, (subject, footer)


@pytest.mark.rule("6.26")
def test_a_copy_to_which_a_mailbox_added_a_footer_is_known_by_its_date() -> None:
    date = "Date: Mon, 8 Jun 2026 12:00:00 +0000"
    direct, copy = written("Scanner", TEXT, date).digests, written("Scanner", f"{TEXT}\n____\nScanned.", date).digests
    assert copy.content != direct.content
    assert copy.shortened == direct.whole
    later = written("Scanner", f"{TEXT}\n____\nScanned.", date.replace("12:", "13:")).digests
    assert direct.whole not in (later.whole, later.shortened)


@pytest.mark.rule("6.26")
def test_mails_that_differ_in_more_than_the_marks_of_a_list_are_different() -> None:
    mails = [
        written("Scanner", TEXT),
        written("[P1] Scanner", TEXT),
        written("[P1] Scanner", TEXT.replace("jams", "burns")),
        written("[P1] Scanner", TEXT.replace("jams", "burns"), "Content-Type: application/pdf; name=1.pdf"),
        written("[P2] Scanner", TEXT, LIST),
        written("Scanner", TEXT + FOOTERS[0]),
        written("Scanner", TEXT + "\n-- \nsent from my phone", LIST),
    ]
    digests = sorted(mail.digests.content for mail in mails)
    assert all(one != other for one, other in pairwise(digests))
