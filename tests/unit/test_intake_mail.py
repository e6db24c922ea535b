"""A mail's bytes read: what mail programs write, what strangers break, and which of them no human wrote."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intake.mail import LONGEST_SUBJECT, LONGEST_TEXT, Address, Mail, UnreadableMail, read_mail

MAILS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parents[1] / "mails").glob("*.eml"))}


def recorded(name: str) -> Mail:
    return read_mail(MAILS[name])


def written(*headers: str, body: str = "Hello.") -> Mail:
    return read_mail("\r\n".join(["From: ada@acme.example", *headers, "", body]).encode())


def test_outlook() -> None:
    mail = recorded("outlook")
    assert mail.sender == Address("Byron, Ada", "ada.byron@acme.example")
    assert [address.email for address in mail.recipients] == ["support@betterworldtech.com", "it@acme.example"]
    assert mail.subject == "Mail is down for everybody"
    assert mail.text == "Since 13:40 nobody can send mail. The café on the ground floor too.\n\nAda"
    assert mail.attachments == ("image001.png",)
    assert mail.message_id == "AM0PR01MB1234A1B2C3D4E5F6@AM0PR01MB1234.eurprd01.prod.exchangelabs.com"
    assert mail.automatic is None


def test_gmail_names_what_it_answers_the_nearest_first() -> None:
    mail = recorded("gmail_reply")
    assert mail.references == ("20260608131500.4711@desk.betterworldtech.com", recorded("outlook").message_id)
    assert mail.text.startswith("Yes, it is the second server. 😀")
    assert mail.delivered_to == ("support@betterworldtech.com",)
    assert mail.automatic is None


def test_apple_mail() -> None:
    mail = recorded("apple")
    assert mail.sender.name == "Søren Kierkegaard"
    assert mail.subject == "Neue Kollegin – onboarding for 1 July"
    assert mail.text == "She starts on 1 July. Everything is in the attached form.\n\nSøren"
    assert mail.attachments == ("Neue Kollegin – Formular.pdf",)


def test_an_html_only_mail_reads_as_text() -> None:
    assert recorded("html_only").text == "It happens & happens again.\nfirst\nsecond <3\nthird"


def test_what_is_mislabelled_is_read_as_far_as_it_can_be() -> None:
    mail = recorded("charset_mess")
    assert mail.sender == Address("山田", "yamada@acme.example")
    assert mail.subject.startswith("你好 mail")
    assert mail.text.startswith("Smart quotes of Windows: ")
    assert "\x00" not in mail.text
    eight_bit = recorded("eight_bit_headers")
    assert eight_bit.sender.name == "José Muñoz"
    assert eight_bit.subject == "El señor no puede imprimir"


def test_broken_mime_is_still_a_mail() -> None:
    mail = recorded("broken_mime")
    assert (mail.sender.email, mail.subject) == ("printer@acme.example", "Toner")
    assert mail.message_id.endswith("@made.invalid")
    assert mail == recorded("broken_mime")


def test_a_mail_without_a_sender_is_none() -> None:
    for raw in (b"", b"\x00\xff", b"Subject: x\r\n\r\nhello", b"From: nobody\r\n\r\nx", b"From: <>\r\n\r\nx"):
        with pytest.raises(UnreadableMail):
            read_mail(raw)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Auto-Submitted: auto-replied; owner-email=ada@acme.example", "Auto-Submitted: auto-replied"),
        ("Auto-Submitted: auto-generated", "Auto-Submitted: auto-generated"),
        ("Return-Path: <>", "Return-Path: <>"),
        ("Precedence: Bulk", "Precedence: bulk"),
        ("Precedence: junk", "Precedence: junk"),
        ("X-Auto-Response-Suppress: OOF, AutoReply", "X-Auto-Response-Suppress"),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", "a report"),
        ("Tocsin-Kind: escalation", "a mail of our own"),
    ],
)
def test_what_no_human_wrote(header: str, reason: str) -> None:
    assert written(header).automatic == reason


def test_what_a_human_wrote() -> None:
    assert written("Auto-Submitted: no", "Return-Path: <ada@acme.example>", "Precedence: list").automatic is None
    assert read_mail(b"From: MAILER-DAEMON@acme.example\r\n\r\nx").automatic == "a mail server wrote it"
    assert recorded("auto_reply").automatic is not None
    assert recorded("dsn").automatic is not None


def test_headers_cannot_be_smuggled_in_by_encoded_words() -> None:
    mail = written("Subject: =?utf-8?q?a=0D=0ABcc=3A_x=00=E2=80=A8y?=")
    assert mail.subject == "a Bcc: x y"


def test_depth_and_size_are_bounded() -> None:
    deep = b"From: a@acme.example\r\n" + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(3000)
    )
    with pytest.raises(UnreadableMail, match="nested too deeply"):
        read_mail(deep)
    with pytest.raises(UnreadableMail, match="too many parts"):
        read_mail(b"From: a@acme.example\r\n\r\n" + b"--b\r\n" * 200_000)
    wide = b'From: a@acme.example\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 5_000
    assert len(read_mail(wide).text) < 1_000
    long = written(
        f"Subject: {'long ' * 5000}", f"To: {', '.join(f'a{n}@x.example' for n in range(3000))}", body="y" * 2**20
    )
    assert (len(long.subject), len(long.text)) == (LONGEST_SUBJECT, LONGEST_TEXT)
    assert len(long.recipients) <= 200
    assert written(f"Content-Type: {'a;' * 1_000_000}").text == "Hello."  # which takes the standard library a minute


def test_what_a_nameless_attachment_is_called_holds_no_control_characters() -> None:
    raw = (
        b"From: ada@acme.example\r\nTo: support@betterworldtech.com\r\nMessage-ID: <1@acme.example>\r\n"
        b"Content-Type: \x00text/html\r\n\r\n<p>Hi"
    )
    assert read_mail(raw).attachments == ("text/html",)


@given(st.data())
@settings(max_examples=300)
def test_any_mutation_of_a_recorded_mail_is_a_mail_or_says_what_it_lacks(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(sorted(MAILS.values()))))
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(0, len(raw) - 1))
        length = data.draw(st.integers(0, 30))
        raw[place : place + length] = (
            data.draw(
                st.binary(max_size=20)
                | st.sampled_from(
                    [b"\r\n", b"\r\n\r\n", b"=?utf-7?Q?+2AA-?=", b'charset="idna"', b"<![", b"boundary=", b"\x00"]
                )
            )
            or b" "
        )
    try:
        mail = read_mail(bytes(raw))
    except UnreadableMail:
        return
    for text in (mail.subject, mail.text, mail.sender.name, mail.sender.email, *mail.attachments):
        assert "\x00" not in text
        text.encode()
    assert mail.reference.isascii()
