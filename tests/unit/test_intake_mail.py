"""Reading mails: those of common mail programs, and broken ones."""

from pathlib import Path

import pytest
from intake.domain.mail import MAX_SUBJECT_LENGTH, MAX_TEXT_LENGTH, InboundMail, read_mail
from tocsin.mail import EmailAddress, UnreadableMailError

MAILS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parents[1] / "recorded/mails").glob("*.eml"))}


def recorded(name: str) -> InboundMail:
    return read_mail(MAILS[name])


def written(*headers: str, body: str = "Hello.") -> InboundMail:
    return read_mail("\r\n".join(["From: ada@acme.example", *headers, "", body]).encode())


def test_outlook() -> None:
    mail = recorded("outlook")
    assert mail.sender == EmailAddress("Byron, Ada", "ada.byron@acme.example")
    assert [address.email for address in mail.recipients] == ["support@betterworldtech.com", "it@acme.example"]
    assert mail.subject == "Mail is down for everybody"
    assert mail.text == "Since 13:40 nobody can send mail. The café on the ground floor too.\n\nAda"
    assert mail.attachments == ("image001.png",)
    assert mail.message_id == "AM0PR01MB1234A1B2C3D4E5F6@AM0PR01MB1234.eurprd01.prod.exchangelabs.com"
    assert mail.automatic is None


def test_gmail() -> None:
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


def test_an_html_mail_becomes_text() -> None:
    assert recorded("html_only").text == "It happens & happens again.\nfirst\nsecond <3\nthird"


def test_wrong_character_sets_are_read_as_far_as_possible() -> None:
    mail = recorded("charset_mess")
    assert mail.sender == EmailAddress("山田", "yamada@acme.example")
    assert mail.subject.startswith("你好 mail")
    assert mail.text.startswith("Smart quotes of Windows: ")
    assert "\x00" not in mail.text
    eight_bit = recorded("eight_bit_headers")
    assert eight_bit.sender.name == "José Muñoz"
    assert eight_bit.subject == "El señor no puede imprimir"


def test_a_mail_with_broken_mime_is_readable() -> None:
    mail = recorded("broken_mime")
    assert (mail.sender.email, mail.subject) == ("printer@acme.example", "Toner")
    assert mail.message_id.endswith("@made.invalid")
    assert mail == recorded("broken_mime")


def test_a_mail_without_a_sender_is_unreadable() -> None:
    for raw in (b"", b"\x00\xff", b"Subject: x\r\n\r\nhello", b"From: nobody\r\n\r\nx", b"From: <>\r\n\r\nx"):
        with pytest.raises(UnreadableMailError):
            read_mail(raw)


def test_encoded_words_cannot_add_headers() -> None:
    mail = written("Subject: =?utf-8?q?a=0D=0ABcc=3A_x=00=E2=80=A8y?=")
    assert mail.subject == "a Bcc: x y"


def test_depth_and_size_are_limited() -> None:
    deep = b"From: a@acme.example\r\n" + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(3000)
    )
    assert read_mail(deep).attachments == ("multipart/mixed",)
    wide = b'From: a@acme.example\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 5_000
    assert len(read_mail(wide).text) < 1_000
    recipients = ", ".join(f"a{n}@x.example" for n in range(3000))
    long = written(f"Subject: {'long ' * 5000}", f"To: {recipients}", body="y" * 2**20)
    assert (len(long.subject), len(long.text)) == (MAX_SUBJECT_LENGTH, MAX_TEXT_LENGTH)
    assert 100 < len(long.recipients) <= 200
    assert {address.domain for address in long.recipients} == {"x.example"}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [(b"X: y\r\n" * 1_001, "more than 1,000 headers"), (b"X: " + b"y" * 300_000 + b"\r\n", "more than 300,000 bytes")],
)
def test_a_mail_with_too_many_headers_is_unreadable(headers: bytes, reason: str) -> None:
    with pytest.raises(UnreadableMailError, match=reason):
        read_mail(b"From: a@acme.example\r\n" + headers + b"\r\nHello.")


def test_the_boundary_of_an_outer_part_ends_the_inner_parts() -> None:
    lines = (
        "Content-Type: multipart/mixed; boundary=outer",
        "",
        "Shown by programs without MIME.",
        "--outer",
        'Content-Type: multipart/alternative; boundary="inner one"',
        "",
        "--inner one",
        "",
        "first",
        "-- ",
        "--inner",
        "--outer \t",
        "Content-Type: message/rfc822; name=forwarded.eml",
        "",
        "Content-Type: multipart/mixed; boundary=another",
        "",
        "--another",
        "",
        "not of this mail",
        "--outer",
        "",
        "second",
        "--outer--",
        "Never shown.",
    )
    mail = read_mail("\r\n".join(["From: ada@acme.example", *lines]).encode())
    assert mail.text == "first\n-- \n--inner\nsecond"
    assert mail.attachments == ("forwarded.eml",)


def test_the_parts_of_a_digest_are_mails() -> None:
    body = "--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b--"
    assert written("Content-Type: multipart/digest; boundary=b", body=body).attachments == ("message/rfc822",)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename*0*=utf-8''%C3%9Cbe; filename*1=r.pdf", "Über.pdf"),
        ('filename="a; b.pdf"', "a; b.pdf"),
        ('filename="=?utf-8?q?=C3=9Cber.pdf?="', "Über.pdf"),
        ("filename*=a; filename*0=b", "application/pdf"),  # a TypeError in the standard library
        ("filename*0*=\x00''a", "a"),  # a ValueError in the standard library
    ],
)
def test_the_name_of_an_attachment(parameters: str, name: str) -> None:
    headers = ("Content-Type: application/pdf", f"Content-Disposition: attachment; {parameters}")
    assert written(*headers).attachments == (name,)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p title='a > b'>one</P>two<br/>three", "one\ntwo\nthree"),
        ("<head><title>no</title><body>no </head> is closed", "no is closed"),
        ("<STYLE>p{}</Style >a<!-- <p> -->b<!-->c<!--->d<![if !mso]>e", "abcde"),
        ("a &lt; b &amp;&nbsp;c &#x20AC; &notanything; &#38 &", "a < b & c € ¬anything; & &"),
        ("1 < 2 <3", "1 < 2 <3"),
        ("kept<script>never closed<p>", "kept"),
        ("kept<a href='never closed><p>", "kept"),
        ("kept<!-- never closed <p>", "kept"),
        (
            "<table><tr><td>Host</td><td> web1 </td></tr><tr><th>State</th><td></td><td>down</td></tr></table>",
            "Host | web1\nState | down",
        ),
        ("<ul><li>one<li>two</ul>three", "one\ntwo\nthree"),
        ("<dl><dt>one<dd>two</dl>", "one\ntwo"),
        ("<pre>a  b\nc</pre>d\ne", "a b\nc\nd e"),
        ('<div style="display:none;max-height:0">Preheader <div>x</div></div>Shown', "Shown"),
        ("<span style='mso-hide : all'>Preheader</span>Shown", "Shown"),
        ("<p hidden>Preheader</p>Shown", "Shown"),
        ('<p style="visibility: hidden">never closed<p>Shown', "never closed\nShown"),
        ('<img style="display:none" src=x>Shown', "Shown"),
        ('<p class="hidden" style="opacity:0.9">Shown', "Shown"),
        ('<p style="opacity: 0;">Preheader</p>Shown', "Shown"),
        ("a<hr>b<noscript>c</noscript>", "a\nbc"),
        ("no tag &amp;\nno markup", "no tag &\nno markup"),
        ("&#" + "9" * 5_000, ""),
    ],
)
def test_html_becomes_the_text_that_a_browser_shows(html: str, text: str) -> None:
    text_of_mail = written("Content-Type: text/html; charset=utf-8", body=html).text
    assert text_of_mail == text if text else "\n" not in text_of_mail


def test_a_media_type_with_a_control_character_is_read_without_it() -> None:
    raw = (
        b"From: ada@acme.example\r\nTo: support@betterworldtech.com\r\nMessage-ID: <1@acme.example>\r\n"
        b"Content-Type: \x00text/html\r\n\r\n<p>Hi"
    )
    assert read_mail(raw).text == "Hi"
