"""What mail servers report about mails: recorded reports, what differs from them, and messages that are none."""

import time
from base64 import encodebytes
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.bounces import BounceReport, read_report, summarise
from notifier.errors import BounceReportError, NoBounceError

RECORDED = {path.stem: path.read_bytes() for path in (Path(__file__).parents[1] / "recorded" / "bounces").glob("*.eml")}
MAILED = "<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>"
POSTFIX = RECORDED["postfix_failed"]
PIECES = (
    b"\r",
    b"\n\n",
    b"--",
    b"\x00",
    b"\xff",
    b";",
    b"<",
    b"boundary=",
    b"Content-Type: message/rfc822\n\n",
    b"=?",
    b"*=",
)


@pytest.mark.parametrize("name", sorted(RECORDED))
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_recorded_report_names_the_mail_and_what_happened(name: str, end: bytes) -> None:
    report = read_report(RECORDED[name].replace(b"\n", end))
    assert report.message_ids[0] == MAILED
    (reported,) = report.recipients
    expected = {"delivered": "relayed"}.get(name.rpartition("_")[2], name.rpartition("_")[2])
    assert reported.action == expected
    wanted = "zoë@bücher.example" if name == "utf8_failed" else "dana@example.com"
    assert wanted in {address.lower() for address in reported.addresses}


def test_the_servers_reply_is_kept_on_one_line() -> None:
    (reported,) = read_report(POSTFIX).recipients
    assert reported.reply == (
        "550 5.1.1 <dana@example.com>: Recipient address rejected: User unknown in virtual mailbox table "
        "(status 5.1.1, reported by mx.example.org)"
    )
    (forwarded,) = read_report(RECORDED["sendmail_failed"]).recipients
    assert forwarded.addresses == ("dana.whitfield@mailstore.example.com", "dana@example.com")


def test_without_the_returned_mail_the_message_id_comes_from_in_reply_to() -> None:
    returned = RECORDED["gmail_failed"].rpartition(b"--0000000000004f7c1e06371b2c3d\nContent-Type: message/rfc822")[0]
    without = returned.replace(b"X-Original-Message-ID", b"X-Other").replace(b"References", b"X-References")
    assert read_report(without + b"--0000000000004f7c1e06371b2c3d--\n").message_ids[0] == MAILED


def test_each_recipient_has_its_own_result() -> None:
    second = b"Final-Recipient: rfc822; kim@example.com\nAction: Delivered (to mailbox)\nStatus: 2.0.0\n\n"
    raw = POSTFIX.replace(b"Final-Recipient:", second + b"Final-Recipient:", 1)
    assert [(each.addresses[0], each.action) for each in read_report(raw).recipients] == [
        ("kim@example.com", "delivered"),
        ("dana@example.com", "failed"),
    ]


STATUS = """Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; dana@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 unknown user
"""
RETURNED = f"""From: Tocsin <tocsin@example.org>
To: dana@example.com
Subject: a mail
Message-ID: {MAILED}
"""


def report(
    status: str = STATUS,
    returned: str = RETURNED,
    *,
    kind: str = "multipart/report; report-type=delivery-status",
    status_type: str = "message/delivery-status",
    returned_type: str = "message/rfc822",
    header: str = "",
) -> bytes:
    """A report of three parts."""
    parts = [("text/plain", "Your mail was not delivered.\n"), (status_type, status), (returned_type, returned)]
    body = "".join(f"--rep1\nContent-Type: {name}\n\n{content}\n" for name, content in parts)
    return (
        f"From: MAILER-DAEMON@mx.example.net\nTo: tocsin@example.org\nSubject: Undeliverable\n{header}"
        f'MIME-Version: 1.0\nContent-Type: {kind}; boundary="rep1"\n\n{body}--rep1--\n'
    ).encode()


def actions(found: BounceReport) -> list[tuple[str, str]]:
    return [(each.addresses[0], each.action) for each in found.recipients]


BARE_ID = MAILED.strip("<>")
BASE64 = "Content-Transfer-Encoding: base64"
ENCODED = "message/delivery-status\nContent-Transfer-Encoding: "


DIFFERENT = {
    "id in a field": report(
        STATUS.replace("\n\n", f"\nX-Original-Message-ID: {MAILED}\n\n", 1), "", returned_type="text/plain"
    ),
    "multipart/mixed": report(kind="multipart/mixed"),
    "another report-type": report(kind="multipart/report; report-type=disposition-notification"),
    "no report-type": report(kind="multipart/report"),
    "status in base64": report(encodebytes(STATUS.encode()).decode(), status_type=f"{ENCODED}base64"),
    "status in quoted-printable": report(STATUS.replace("fail", "=66ail"), status_type=f"{ENCODED}quoted-printable"),
    "status not in base64": report(status_type=f"{ENCODED}base64"),
    "status as text": report(status_type="text/plain"),
    "status as text, mixed": report(status_type='text/plain; charset="utf-8"', kind="multipart/mixed"),
    "status as a file": report(status_type="application/octet-stream; name=details.txt"),
    "status by RFC 6533": report(status_type="message/global-delivery-status"),
    "status in UTF-7": report(status_type='message/delivery-status; charset="utf-7"'),
    "returned as text/rfc822": report(returned_type="text/rfc822"),
    "returned as headers": report(returned_type="text/rfc822-headers"),
    "returned as text": report(returned_type="text/plain", returned="Received: from notifier\n" + RETURNED),
    "returned in part": report(returned_type='message/partial; id="a"; number=1; total=2'),
    "returned by RFC 6532": report(returned_type="message/global-headers"),
    "returned in base64": report(
        returned=encodebytes(RETURNED.encode()).decode(), returned_type=f"message/rfc822\n{BASE64}"
    ),
    "folded id": report(returned=RETURNED.replace(MAILED, f"\n {MAILED}")),
    "bare id": report(returned=RETURNED.replace(MAILED, BARE_ID)),
    "bare id in In-Reply-To": report(returned="", header=f"In-Reply-To: {BARE_ID}\n"),
    "id in References": report(returned="", header=f"References: <root@example.org> {MAILED}\n"),
    "failure": report(STATUS.replace("failed", "failure")),
    "delivery failed": report(STATUS.replace("failed", "delivery-failed")),
    "undeliverable": report(STATUS.replace("failed", "Undeliverable (gone)")),
    "no action": report(STATUS.replace("Action: failed\n", "")),
    "no action and status": report(STATUS.replace("Action: failed\nStatus: 5.1.1\n", "")),
    "only a recipient": report(STATUS.partition("Action")[0]),
    "unknown action": report(STATUS.replace("failed", "exploded")),
    "failed with 4.4.7": report(STATUS.replace("5.1.1\n", "4.4.7\n")),
    "only the original recipient": report(STATUS.replace("Final-Recipient", "Original-Recipient")),
    "only the actual recipient": report(STATUS.replace("Final-Recipient: rfc822", "X-Actual-Recipient: RFC822")),
    "another kind of address": report(
        STATUS.replace("rfc822; dana@example.com", "fax; 1234\nOriginal-Recipient: rfc822; dana@example.com")
    ),
    "no address": report(STATUS.replace("rfc822; dana@example.com", "fax; 1234")),
    "attached as a file": (
        b"From: kim@example.org\nContent-Type: multipart/mixed; boundary=out\n\n--out\n"
        b'Content-Type: application/octet-stream; name="report.eml"\nContent-Transfer-Encoding: base64\n\n'
        + encodebytes(report())
        + b"\n--out--\n"
    ),
    "no kind of address": report(STATUS.replace("rfc822; dana@example.com", "<dana@example.com>")),
    "no blank lines": report(STATUS.replace("\n\n", "\n")),
    "blank lines everywhere": report(STATUS.replace("\n", "\n\n")),
    "CR CR LF": report().replace(b"\n", b"\r\r\n"),
    "wrong boundary": report().replace(b'boundary="rep1"', b"boundary=other"),
    "no end": report().replace(b"--rep1--", b""),
}


@pytest.mark.parametrize("raw", DIFFERENT.values(), ids=DIFFERENT)
def test_a_report_is_read_however_a_server_writes_it(raw: bytes) -> None:
    found = read_report(raw)
    assert (found.message_ids[0], actions(found)) == (MAILED, [("dana@example.com", "failed")])


def test_several_recipients_and_status_parts_are_read() -> None:
    second = STATUS + "\nFinal-Recipient: rfc822; copy@example.com\nStatus: 4.3.0\n"
    assert actions(read_report(report(second))) == [("dana@example.com", "failed"), ("copy@example.com", "delayed")]
    third = "Final-Recipient: rfc822; kim@example.com\nAction: relayed\n"
    raw = report().replace(b"--rep1--", f"--rep1\nContent-Type: message/delivery-status\n\n{third}--rep1--".encode())
    assert actions(read_report(raw)) == [("dana@example.com", "failed"), ("kim@example.com", "relayed")]


def test_an_original_recipient_is_read_with_and_without_its_encoding() -> None:
    raw = report(STATUS.replace("Action", "Original-Recipient: rfc822;dana+2Bsla@example.com\nAction"))
    assert read_report(raw).recipients[0].addresses == (
        "dana@example.com",
        "dana+2Bsla@example.com",
        "dana+sla@example.com",
    )


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", "Content-Type"),
        (b"\xff\x00", "Content-Type"),
        (b"Subject: hello\n\nA person writes.", "Content-Type"),
        (report(header="X-Trace: 1\n" * 2_000), "The message"),
        (report(STATUS.replace("rfc822; dana@example.com", "fax; 1234"), returned=""), "Final-Recipient"),
    ],
    ids=["empty", "bytes", "a person's", "too many headers", "no address"],
)
def test_other_messages_are_refused_with_what_is_missing(raw: bytes, field: str) -> None:
    with pytest.raises(BounceReportError) as refused:
        read_report(raw)
    summarise(raw)
    assert (refused.value.field, type(refused.value)) == (field, BounceReportError)


QUOTED = f"""In-Reply-To: {MAILED}

%s

> Message-ID: {MAILED}
> To: dana@example.com
"""


TEXTS = {
    "James": ("failed", "I was unable to deliver your message.\n\nFailed recipient(s):\ndana@example.com"),
    "XMail": ("failed", "[<00>] XMail bounce: Rcpt=[dana@example.com];Error=[550 5.1.1 unknown]"),
    "Domino": (
        "failed",
        "Your message\n\nwas not delivered to:\n\n  dana@example.com\n\nbecause:\n\n  User not listed",
    ),
    "IceWarp": (
        "failed",
        "Delivery to the following recipients was aborted after 4 second(s):\n\n  * dana@example.com",
    ),
    "Exchange": ("delayed", "Delivery is delayed to: dana@example.com\n\nThe server will keep trying for 1 day."),
    "OpenSMTPD": ("delayed", "A message is delayed for more than 4 hours:\n\ndana@example.com: Connection timeout"),
    "Postfix": ("delayed", "It could not be delivered: dana@example.com. It will be retried until it is 5 days old."),
    "a code": ("delayed", "dana@example.com: 451 4.7.1 greylisted"),
}


@pytest.mark.parametrize(("action", "words"), TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("quote", ["", "> "])
def test_the_words_of_a_mail_server_say_whether_it_goes_on_trying(action: str, words: str, quote: str) -> None:
    returned = "".join(f"{quote}{line}\n" for line in ["Received: from notifier", *RETURNED.splitlines()])
    found = read_report(f"From: MAILER-DAEMON@mx.example.net\n\n{words}\n\n{returned}".encode())
    assert (found.message_ids[0], actions(found)) == (MAILED, [("dana@example.com", action)])


QUOTING = {
    "absence": (
        "Auto-Submitted: auto-replied\nReturn-Path: <>",
        "I am out of office and cannot be reached.",
        "automatic",
    ),
    "automatic reply": ("Subject: Automatic reply: Step 1", "dana@example.com is unknown here", "automatic"),
    "notice of absence": ("Subject: Abwesenheitsnotiz", "Ich bin nicht im Büro.", "automatic"),
    "autoreply to a reply": ("Subject: Re: a mail\nX-Autoreply: yes", "This mailbox is full. 550 5.2.2", "automatic"),
    "challenge": ("Subject: Please confirm your message", "Click to have it delivered.", "automatic"),
    "own mail": (
        "Tocsin-Kind: warning\nFrom: postmaster@example.org",
        "Mail could not be delivered: 550 5.1.1",
        "this system",
    ),
    "receipt": ("Content-Type: multipart/report; report-type=disposition-notification; boundary=b", "", "read receipt"),
    "complaint": ("Content-Type: multipart/report; report-type=feedback-report; boundary=b", "", "complaint"),
    "person": (
        "From: Dana <dana@example.com>\nSubject: Re: a mail",
        "It was not delivered: 550 5.1.1 user unknown",
        None,
    ),
    "postmaster's reply": (
        "From: Admin <postmaster@example.com>\nSubject: Re: a mail",
        "It could not be delivered.",
        None,
    ),
    "pasted status": (
        "From: Eve <eve@elsewhere.example>",
        "Final-Recipient: rfc822; dana@example.com\nAction: failed",
        None,
    ),
    "person's return path": (
        "From: postmaster@example.com\nReturn-Path: <eve@elsewhere.example>",
        "could not be delivered",
        None,
    ),
    "recipient's own": (
        "From: dana@example.com\nX-Failed-Recipients: dana@example.com",
        "It could not be delivered.",
        None,
    ),
    "postmaster's mail": (
        "From: postmaster@example.com\nReturn-Path: <postmaster@example.com>",
        "We could not deliver it to dana@example.com.",
        None,
    ),
    "no failure": ("From: MAILER-DAEMON@example.com", "Your mail has been received.", None),
}


@pytest.mark.parametrize(("header", "words", "kind"), QUOTING.values(), ids=QUOTING)
def test_a_message_that_quotes_a_mail_is_not_a_bounce(header: str, words: str, kind: str | None) -> None:
    with pytest.raises(BounceReportError) as refused:
        read_report(f"{header}\n{QUOTED % words}".encode())
    assert isinstance(refused.value, NoBounceError) == (kind is not None)
    assert (kind or "no mail server says") in str(refused.value)


def test_the_content_of_a_returned_mail_names_no_mail() -> None:
    """A stranger's mail in our name, which quotes a mail of ours, may bounce to us."""
    strange = "Message-ID: <other@elsewhere.example>\nTo: dana@example.com\n"
    reply = report(returned=strange, header=f"In-Reply-To: {MAILED}\n").replace(b"Undeliverable", b"Re: a mail")
    assert read_report(reply).message_ids == ("<other@elsewhere.example>",)
    quoting = f"{strange}\nMessage-ID: {MAILED}\n"
    assert read_report(report(returned=quoting)).message_ids == ("<other@elsewhere.example>",)
    words = "The message could not be delivered:\n\ndana@example.com: 550 5.1.1 user unknown\n\n"
    text = f"From: MAILER-DAEMON@mx.example.net\n\n{words}Received: from elsewhere\n{quoting}"
    assert read_report(text.encode()).message_ids == ("<other@elsewhere.example>",)


@pytest.mark.parametrize(
    ("returned", "header"),
    [
        ("X-Google-Original-Message-ID: %s\n", ""),
        ("X-MS-Original-Message-ID:\n %s\n", ""),
        ("Original-Message-ID: %s\n", ""),
        ("X-OriginalMessageId: %s\n", ""),
        ("", "X-Gateway-Original-Message-ID: %s\n"),
        ("", "In-Reply-To: %s\n"),
        ("", "References: <first@example.org> %s\n"),
    ],
)
def test_a_mail_with_a_replaced_message_id_is_found(returned: str, header: str) -> None:
    replaced = RETURNED.replace(MAILED, "<0100@email.relay.example>")
    raw = report(returned=replaced + returned.replace("%s", MAILED), header=header.replace("%s", MAILED))
    assert read_report(raw).message_ids == ("<0100@email.relay.example>", MAILED)


def test_a_text_that_names_no_recipient_is_about_the_returned_mails() -> None:
    text = f"From: MAILER-DAEMON@mx.example.net\n\nDelivery failed.\n\nReturn-Path: <tocsin@example.org>\n{RETURNED}"
    found = read_report(text.encode())
    assert (found.message_ids[0], actions(found)) == (MAILED, [("dana@example.com", "failed")])


def test_a_list_shows_where_any_message_came_from_and_what_it_is_about() -> None:
    found = summarise(report(STATUS.replace("failed", "exploded")))
    assert (found.sender, found.subject) == ("MAILER-DAEMON@mx.example.net", "Undeliverable")
    assert (found.message_id, found.recipient) == (MAILED, "dana@example.com")
    encoded = summarise(b"Subject: =?utf-8?q?Unzustellbar=0D=0ABcc:_x?=\nFrom: =?x?b?Wm/Dqw==?= <a@example.com>\n\n")
    assert (encoded.subject, encoded.sender) == ("Unzustellbar Bcc: x", "Zoë <a@example.com>")
    empty = summarise(b"\x00\xff")
    assert (empty.sender, empty.subject, empty.message_id, empty.recipient) == (None, None, None, None)


NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2_000))


SERVERS = b"From: MAILER-DAEMON@a.example\n"
ATTACHED = b"Content-Type: message/rfc822\n"
CRAFTED = {
    "nested boundaries": NESTED + b"a\n" * 400_000,
    "many parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\na\n" * 100_000,
    "parameters": b"Content-Type: " + b"x=y;" * 200_000 + b"\n\n",
    "a long word": SERVERS + b"\n" + b"a" * 900_000,
    "half addresses": SERVERS + b"\n" + b"a@" * 450_000,
    "an open Message-ID": SERVERS + b"\nMessage-ID: " + b"<" * 900_000,
    "open tags": SERVERS + b"Content-Type: text/html\n\n" + b"<a " * 300_000,
    "many Message-IDs": b"Message-ID: a\n" * 60_000,
    "many recipients": report("Final-Recipient: rfc822; dana@example.com\n" * 20_000),
    "nested messages": (ATTACHED + b"\n") * 30_000,
    "encoded": ATTACHED + b"Content-Transfer-Encoding: base64\n\n" + encodebytes(NESTED + b"--b1\n" * 99_000),
}


@pytest.mark.parametrize("raw", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_message_takes_time_in_proportion_to_its_size(raw: bytes) -> None:
    began = time.process_time()
    summarise(raw)
    with suppress(BounceReportError):
        read_report(raw)
    assert time.process_time() - began < 5


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    raw = draw(st.sampled_from(sorted(RECORDED.values())))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(raw)))
        end = min(len(raw), begin + draw(st.integers(0, 300)))
        piece = draw(st.one_of(st.binary(max_size=20), st.sampled_from(PIECES), st.just(raw[begin:end] * 2)))
        raw = raw[:begin] + piece + raw[end:]
    return raw


@given(mutated())
def test_a_mutated_report_is_read_or_refused(raw: bytes) -> None:
    summary = summarise(raw)
    assert all(text is None or text.isprintable() for text in (summary.sender, summary.subject, summary.recipient))
    try:
        found = read_report(raw)
    except BounceReportError:
        return
    assert all(each.startswith("<") and each.isprintable() for each in found.message_ids)
    assert all(each.reply.isprintable() and each.addresses for each in found.recipients)
