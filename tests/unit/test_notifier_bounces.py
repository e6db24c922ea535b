"""Delivery status notifications (RFC 3464): recorded ones, and messages that only look like one."""

import time
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.domain.bounce_report import read_report
from notifier.errors import BounceReportError

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
    assert report.message_id == MAILED
    (reported,) = report.recipients
    expected = {"postfix_delayed": "delayed", "postfix_delivered": "relayed"}.get(name, "failed")
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
    assert read_report(returned + b"--0000000000004f7c1e06371b2c3d--\n").message_id == MAILED


def test_each_recipient_has_its_own_result() -> None:
    second = b"Final-Recipient: rfc822; kim@example.com\nAction: Delivered (to mailbox)\nStatus: 2.0.0\n\n"
    raw = POSTFIX.replace(b"Final-Recipient:", second + b"Final-Recipient:", 1)
    assert [(each.addresses[0], each.action) for each in read_report(raw).recipients] == [
        ("kim@example.com", "delivered"),
        ("dana@example.com", "failed"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "field", "problem"),
    [
        (POSTFIX, b"", "Content-Type", "is text/plain, not multipart/report"),
        (POSTFIX, b"\xff\x00", "Content-Type", "not multipart/report"),
        (b"multipart/report", b"multipart/mixed", "Content-Type", "not multipart/report"),
        (b"report-type=delivery-status", b"report-type=disposition-notification", "Content-Type", "not delivery"),
        (b"Content-Type: message/delivery-status", b"", "message/delivery-status", "missing"),
        (b"rfc822; dana@example.com\nAction", b"fax; 1234\nAction", "Final-Recipient", "has no address"),
        (b"Action: failed", b"Action: exploded", "Action", "must be one of failed, delayed"),
        (b"Action: failed\n", b"", "Action", "must be one of"),
        (f"Message-ID: {MAILED}".encode(), b"Message-ID: none", "Message-ID", "does not include the headers"),
        (b"Content-Type: message/rfc822", b"Content-Type: message/x", "Message-ID", "missing"),
        (b"MIME-Version", b"Content-Type: text/x\n" * 61 + b"MIME-Version", "", "has more than 60 parts"),
        (b"report-type=", b"x=y;\n " * 1000 + b"report-type=", "Content-Type", "is longer than"),
    ],
)  # fmt: skip
def test_other_messages_are_refused_with_the_missing_field(old: bytes, new: bytes, field: str, problem: str) -> None:
    raw = POSTFIX.replace(b"Original-Recipient: rfc822;dana@example.com\n", b"")
    with pytest.raises(BounceReportError, match=problem) as refused:
        read_report(raw.replace(old, new) if old is not POSTFIX else new)
    assert refused.value.field == field


def test_encoded_parts_are_not_parsed_for_further_parts() -> None:
    boxes = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(150))
    returned = b64encode(f"Message-ID: {MAILED}\n".encode() + boxes + b"\n" * 700_000)
    report, _, _ = POSTFIX.rpartition(b"Content-Description: Undelivered Message\n")
    began = time.process_time()
    found = read_report(
        report + b"Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: base64\n\n" + returned + b"\n"
    )
    assert time.process_time() - began < 2  # 15 s if they are
    assert found.message_id == MAILED


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
    try:
        found = read_report(raw)
    except BounceReportError:
        return
    assert found.message_id.startswith("<")
    assert all(each.reply.isprintable() and "\n" not in each.reply for each in found.recipients)
