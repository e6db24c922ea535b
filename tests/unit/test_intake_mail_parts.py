"""Which part of a mail is its text, also where the structure is damaged."""

from base64 import b64encode

import pytest
from intake.domain.mail import InboundMail, read_mail

HEAD = "From: Ada Byron <ada@acme.example>\nTo: support@betterworldtech.com\nSubject: Leak\nMIME-Version: 1.0\n"
HTML = "Content-Type: text/html; charset=utf-8\n\n<p>Water on the <b>core switch</b>.</p>"
PLAIN = "Content-Type: text/plain\n\nWater on the core switch."
FOOTER = "Content-Type: text/plain\n\n-- \nacme-all mailing list"
REQUEST = "Water on the core switch."
PDF = "Content-Type: application/pdf; name=plan.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0="
MAIL = "From: Cid Fox <cid@bolt.example>\nSubject: Shop is offline\n\nThe shop shows error 500."
FORWARDED = (
    "---------- Forwarded message ----------\nFrom: Cid Fox <cid@bolt.example>\nSubject: Shop is offline\n\n"
    "The shop shows error 500."
)


def multipart(subtype: str, *parts: str, boundary: str = "EDGE1", parameters: str = "") -> str:
    """A multipart with these parts, as the part of another one or after the headers of a mail."""
    lines = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f'Content-Type: multipart/{subtype}; boundary="{boundary}"{parameters}\n\n{lines}--{boundary}--\n'


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def read(content: str | bytes) -> InboundMail:
    octets = content if isinstance(content, bytes) else content.encode()
    return read_mail((HEAD.encode() + octets).replace(b"\n", b"\r\n"))


MIXED = "Content-Type: multipart/mixed; boundary=EDGE\n"
EDGES = f"--EDGE\n{PLAIN}\n--EDGE--"
ALTERNATIVE = multipart("alternative", PLAIN, HTML, boundary="EDGE2")
RELATED = multipart("related", HTML, "Content-Type: image/png; name=a.png\n\nx", boundary="EDGE3")


@pytest.mark.parametrize(
    ("content", "text", "attachments"),
    [
        (multipart("mixed", HTML, FOOTER), f"{REQUEST}\n-- \nacme-all mailing list", ()),
        (multipart("mixed", FOOTER, HTML), f"-- \nacme-all mailing list\n{REQUEST}", ()),
        (multipart("mixed", ALTERNATIVE, FOOTER), f"{REQUEST}\n-- \nacme-all mailing list", ()),
        (
            multipart("mixed", PLAIN, PDF, HTML.replace("core", "other")),
            f"{REQUEST}\nWater on the other switch.",
            ("plan.pdf",),
        ),
        (multipart("mixed", PLAIN, HTML), REQUEST, ()),
        (multipart("alternative", "Content-Type: text/plain\n\n \n", RELATED), REQUEST, ("a.png",)),
        (multipart("alternative", PLAIN, multipart("mixed", HTML, PDF, boundary="E4")), REQUEST, ("plan.pdf",)),
        (multipart("alternative", "\nYour program cannot show this mail.", HTML), REQUEST, ()),
        (multipart("alternative", HTML, FOOTER), REQUEST, ()),
        (
            multipart("alternative", HTML, "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR"),
            REQUEST,
            ("text/calendar",),
        ),
        (multipart("related", "Content-Type: image/png\nContent-ID: <a@x>\n\nx", HTML), REQUEST, ("image/png",)),
        (multipart("related", PDF, "Content-ID: <r@x>\n" + HTML, parameters='; start="<r@x>"'), REQUEST, ("plan.pdf",)),
        (
            multipart("signed", PLAIN, "Content-Type: application/pgp-signature; name=signature.asc\n\nx"),
            REQUEST,
            ("signature.asc (application/pgp-signature)",),
        ),
        (multipart("mixed", HTML, "Content-Type: text/vcard; name=ada.vcf\n\nBEGIN:VCARD"), REQUEST, ("ada.vcf",)),
        (multipart("mixed", "Content-Type: text/x-vcard\n\nBEGIN:VCARD", PLAIN), REQUEST, ("text/x-vcard",)),
        (
            multipart(
                "mixed",
                PLAIN,
                *(f"Content-Type: text/{kind}\n\nx" for kind in ("directory", "csv", "xml", "rfc822-headers")),
            ),
            REQUEST,
            ("text/directory", "text/csv", "text/xml", "text/rfc822-headers"),
        ),
        (
            multipart("mixed", PLAIN, "Content-Type: text/plain; name=log.txt\nContent-Disposition: inline\n\nlog"),
            REQUEST,
            ("log.txt",),
        ),
        (
            multipart("mixed", "Content-Disposition: inline; filename=body.txt\n" + PLAIN, FOOTER),
            f"{REQUEST}\n-- \nacme-all mailing list",
            (),
        ),
        (multipart("mixed", "Content-Disposition: attachment\n" + PLAIN), REQUEST, ("text/plain",)),
        (multipart("mixed", "Content-Disposition: attachment; filename=log.txt\n" + PLAIN), "", ("log.txt",)),
        (
            multipart("mixed", PLAIN, "Content-Type: application/ms-tnef; name=winmail.dat\n\nx"),
            REQUEST,
            ("winmail.dat (application/ms-tnef)",),
        ),
        (
            "Content-Type: application/pkcs7-mime; name=smime.p7m; smime-type=signed-data\n\nx",
            "",
            ("smime.p7m (application/pkcs7-mime)",),
        ),
        (
            multipart(
                "encrypted",
                "Content-Type: application/pgp-encrypted\n\nVersion: 1",
                "Content-Type: application/octet-stream; name=encrypted.asc\n\nx",
            ),
            "",
            ("application/pgp-encrypted", "encrypted.asc"),
        ),
        ("Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR", "", ("text/calendar",)),
        ("Content-Type: text/x-markdown\n\n" + REQUEST, REQUEST, ()),
        ("Content-Type: text/enriched\n\n<bold>Water</bold> on the core switch.", REQUEST, ()),
        ("Content-Type: text/plain\n\n<html><body><p>Water on the core switch.", REQUEST, ()),
        (
            "Content-Type: text/html\nContent-Disposition: attachment\n\n<p>Water on the core switch.",
            REQUEST,
            ("text/html",),
        ),
    ],
)
def test_which_part_is_the_text(content: str, text: str, attachments: tuple[str, ...]) -> None:
    mail = read(content)
    assert (mail.text, mail.attachments) == (text, attachments)


DAMAGED_TYPES = [
    '"text/plain"; charset=utf-8',
    '"text/plain; charset=utf-8"',
    "text",
    "",
    " ;charset=utf-8",
    "TEXT / PLAIN",
    "text/plain charset=utf-8",
    "text/plain, charset=utf-8",
    "text/plain/x",
    "/plain",
    "plain/text",
    "text/text/plain",
    'text/plain;;charset="utf-8',
    'text/plain; charset="utf-8" format=flowed',
]


def test_a_damaged_media_type_is_read() -> None:
    texts = {line: read(f"Content-Type: {line}\n\nDie Tür klemmt.").text for line in DAMAGED_TYPES}
    assert texts == dict.fromkeys(DAMAGED_TYPES, "Die Tür klemmt.")


def test_a_transfer_encoding_on_the_line_of_the_media_type() -> None:
    line = 'Content-Type: text/plain; charset = "utf-8" Content-Transfer-Encoding: base64'
    assert read(f"{line}\n\n{base64(REQUEST)}").text == REQUEST


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ('boundary="=_alternative\n 005A_="', "=_alternative 005A_="),
        ('boundary="=_alternative\n\t005A_="', "=_alternative 005A_="),
        ('boundary="=_alternative\n 005A_="', "=_alternative005A_="),
        ('boundary="EDGE "', "EDGE"),
        ("boundary=EDGE", "EDGE \t"),
        ("boundary==_x;y:z=", "=_x;y:z="),
        ("boundary=a(b)?c/d,e", "a(b)?c/d,e"),
        ("boundary='EDGE'", "EDGE"),
        ('boundary="EDGE', "EDGE"),
        ('boundary="a\\"b"', 'a"b'),
        ('boundary=ED"GE', 'ED"GE'),
        ("boundary*0=ED; boundary*1=GE", "EDGE"),
        ("boundary=WRONG; boundary=EDGE", "EDGE"),
        ("boundary=WRONG", "EDGE"),
        ("charset=utf-8", "EDGE"),
        ('charset="utf-8" boundary="EDGE"', "EDGE"),
        ('boundary="WRONG"\nContent-Type: multipart/alternative; boundary=EDGE', "EDGE"),
    ],
)
def test_a_damaged_boundary_is_found(header: str, line: str) -> None:
    body = f"--{line}\n{PLAIN}\n--{line}\n{HTML}\n"
    for content in (
        f"Content-Type: multipart/alternative; {header}\n\nPreamble.\n{body}",
        f"Content-Type: multipart/alternative; {header}\n{body}",
    ):
        assert read(content).text == REQUEST


@pytest.mark.parametrize(
    "content",
    [
        f"{MIXED}\n{REQUEST}",
        f"Content-Type: multipart/mixed\n\n{REQUEST}",
        f"{MIXED}\n{REQUEST}\n--EDGE--",
        f"Content-Type: text\n\n--EDGE\n{PLAIN}\n--EDGE--",
        f"\n--EDGE\n{HTML}\n--EDGE--",
        f"{MIXED}\n--EDGE\n--EDGE\n{PLAIN}\n--EDGE--",
        f"{MIXED}\n--EDGE--\n--EDGE\n{PLAIN}\n",
        f"{MIXED}\n--EDGE\nContent-Type: multipart/alternative\n\n--INNER\n{PLAIN}\n--INNER--\n--EDGE--",
        f"{MIXED}\n--EDGE\nContent-Type: multipart/alternative; boundary=EDGE\n\n--EDGE\n{PLAIN}\n--EDGE--\n--EDGE--",
        f"{MIXED}\n--EDGE\nContent-Type: multipart/alternative; boundary=GONE\n\n{REQUEST}\n--EDGE--",
        f"{MIXED}\n{PLAIN}\n--EDGE--",
        f"{MIXED}Content-Transfer-Encoding: base64\n\n{base64(EDGES)}",
        f"{MIXED}\n--EDGE\n{REQUEST}\n--EDGE--",
    ],
)
def test_the_text_of_a_damaged_multipart_is_not_lost(content: str) -> None:
    assert read(content).text.removesuffix("\n--EDGE--") == REQUEST


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("base64", "VGhlIHJvdXRlciBpcyBkb3duLg=\n*** scanned ***", "The router is down.\n*** scanned ***"),
        ("base64", "VGhlIHJvdXRlciBpcyBkb3duLg", "The router is down."),
        ("base64", "VGhlIHJv\n\ndXRlciBpcyBkb3duLg==\n\n-- \nlist\n", "The router is down.\n-- \nlist"),
        ("base64", "VGhlIHJvdXRlciBpcyBkb3duLg==*** scanned ***", "The router is down.\n*** scanned ***"),
        (
            "base64",
            "VGhlIHJvdXRlciBpcyBkb3duLg==\nhttps://x.example?a=b\nabc=def",
            "The router is down.\nhttps://x.example?a=b\nabc=def",
        ),
        ("base64", "[EXTERNAL MAIL]\n\nVGhlIHJvdXRlciBpcyBkb3duLg==", "[EXTERNAL MAIL]\nThe router is down."),
        ("base64", "VGhlIHJvdXRl\ncg==\nIGlzIGRvd24u", "The router is down."),
        ("base64", "QsO8cm8=IGzDpHVmdA==", "Büro läuft"),
        ("quoted_printable", "B=C3=BCro", "Büro"),
        ("base64", " VGhlIHJvdXRl \n ciBpcyBkb3duLg==", "The router is down."),
        ("base64", "VGhlIHJvdXRl!ciBpcyBkb3duLg==", "The router is down."),
        ("base64", "The router is down.\nPlease\nhelp us", "The router is down.\nPlease\nhelp us"),
        ("base64", "SGk\n-- \nlist", "Hi\n-- \nlist"),
        ("base64", "Help\nme now", "Help\nme now"),
        ("BASE64;", "VGhlIHJvdXRlciBpcyBkb3duLg==", "The router is down."),
        ('"base64"', "VGhlIHJvdXRlciBpcyBkb3duLg==", "The router is down."),
        ("quoted-printable", "The=20router is d= \nown.=", "The router is down."),
        ("quoted-printable", "The router is d=6=\nfwn. =ZZ 5 =3d 5 =", "The router is down. =ZZ 5 = 5 "),
        ("Quoted-Printable (by us)", "B=C3=\n=BCro", "Büro"),
        ("quoted-printable", "The router is down.=\n", "The router is down."),
        ("quoted-printable", "B=C\n3=BCro", "Büro"),
        ("base64", "VGhlIHJvdXRlciBpcyBkb3duLg==\0\0", "The router is down."),
        ("x-uuencode", "begin 644 x.txt\n35&AE(')O=71E<B!I<R!D;W=N+@  \n`\nend", "The router is down."),
        ("x-unknown", "The router is down.", "The router is down."),
        ("8-bit", "Büro", "Büro"),
    ],
)
def test_a_transfer_encoding_is_read_as_far_as_possible(encoding: str, body: str, text: str) -> None:
    mail = read(f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n{body}")
    assert mail.text == text.strip()


@pytest.mark.parametrize(
    ("parameters", "body", "text"),
    [
        ("format=flowed", "The router \nis down.\n\n-- \nAda", "The router is down.\n\n-- \nAda"),
        ('format="Flowed"; delsp=yes', "The rout \ner is  \ndown.", "The router is down."),
        ("format=flowed", "No.\n> Is it \n> down?\n>> Yes \n> Oh", "No.\n> Is it down?\n>> Yes \n> Oh"),
        ("format=fixed", "The router \nis down.", "The router \nis down."),
    ],
)
def test_a_flowed_paragraph_is_one_line(parameters: str, body: str, text: str) -> None:
    assert read(f"Content-Type: text/plain; {parameters}\n\n{body}").text == text


def test_a_uuencoded_file_in_the_text_is_named() -> None:
    mail = read("\nPlease look.\nbegin 644 log.txt\n#0V%T\n`\nend\nAda\nbegin 644 words\nnot encoded")
    assert mail.text == "Please look.\nAda\nbegin 644 words\nnot encoded"
    assert mail.attachments == ("log.txt",)


@pytest.mark.parametrize(
    "part",
    [
        f"Content-Type: message/rfc822\n\n{MAIL}",
        f"Content-Type: message/rfc822; name=shop.eml\n\n{MAIL}",
        f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{base64(MAIL)}",
        f"Content-Type: application/octet-stream; name=shop.eml\nContent-Transfer-Encoding: base64\n"
        f"Content-Disposition: attachment\n\n{base64(MAIL)}",
        f"Content-Type: message/rfc822\n\n>From cid Mon Jan  1 2026\n{MAIL}",
    ],
)
def test_an_attached_mail_follows_a_short_text(part: str) -> None:
    assert read(multipart("mixed", "\n\n", part)).text == FORWARDED
    assert (
        read(multipart("mixed", "\nFYI, see below", FOOTER, part)).text
        == f"FYI, see below\n-- \nacme-all mailing list\n\n{FORWARDED}"
    )
    assert read(part).text == FORWARDED
    long = "It is down. " * 50
    assert read(multipart("mixed", "\n" + long, part)).text == long.strip()


def test_a_mail_that_a_gateway_wrapped_in_a_report_is_read() -> None:
    wrapped = MAIL.replace("Cid Fox <cid@bolt.example>", "Ada Byron <ada@acme.example>")
    text = read(multipart("mixed", "\n" + "Probably spam. " * 50, f"Content-Type: message/rfc822\n\n{wrapped}")).text
    assert text.endswith("Subject: Shop is offline\n\nThe shop shows error 500.")


def test_attached_mails_in_attached_mails() -> None:
    inner = multipart("mixed", f"Content-Type: message/rfc822\n\n{MAIL}", PDF, boundary="EDGE2")
    outer = f"Content-Type: message/rfc822\n\nFrom: it@acme.example\nSubject: Fw\n{inner}"
    mail = read(multipart("mixed", outer))
    assert mail.text == f"---------- Forwarded message ----------\nFrom: it@acme.example\nSubject: Fw\n\n{FORWARDED}"
    assert mail.attachments == ("message/rfc822", "message/rfc822", "plan.pdf")
    passed_on = f"Content-Type: message/rfc822\n\nSubject: Fw\nContent-Type: message/rfc822\n\n{MAIL}"
    heading = "---------- Forwarded message ----------\nSubject: Fw"
    assert read(multipart("mixed", passed_on)).text == f"{heading}\n\n{FORWARDED}"
    digest = multipart("digest", f"\n{MAIL}", f"\n{MAIL.replace('500', '501')}")
    assert read(digest).text == f"{FORWARDED}\n\n{FORWARDED.replace('500', '501')}"


def test_a_part_that_is_not_a_mail_is_an_attachment() -> None:
    mail = read(multipart("mixed", "Content-Type: application/octet-stream; name=x.eml\n\nnothing"))
    assert (mail.text, mail.attachments) == ("", ("x.eml",))


@pytest.mark.parametrize(
    "before",
    [
        "From ada@acme.example Sat Nov 28 20:00:00 2026\n",
        ">From ada@acme.example Sat Nov 28 20:00:00 2026\n",
        "\n\n",
        "\ufeff",
        "\0",
        "\ufeff>From x\n",
    ],
)
def test_lines_before_the_headers_are_skipped(before: str) -> None:
    mail = read_mail(f"{before}From: ada@acme.example\nSubject: Fan\n\nPlease help.".encode())
    assert (mail.sender.email, mail.subject, mail.text) == ("ada@acme.example", "Fan", "Please help.")


@pytest.mark.parametrize(
    "header",
    [
        "X-Scanned : yes",
        "X-Scanned\t: yes",
        "no header",
        "no header\n of any kind",
        "one\ntwo\nthree\nFour: 4",
        "X-\0A: b",
        "X: " + "y" * 20_000,
        "X-Ü: b",
        ": x",
        ">From x",
    ],
)
def test_a_damaged_header_does_not_end_the_headers(header: str) -> None:
    raw = f"From: ada@acme.example\n{header}\nSubject : Fan\nMessage-ID: <1@acme.example>\n\nIt whistles."
    for end in ("\n", "\r\n", "\r", "\r\r\n"):
        mail = read_mail(raw.replace("\n", end).encode())
        assert (mail.subject, mail.message_id, mail.text) == ("Fan", "1@acme.example", "It whistles.")


def test_a_last_header_whose_name_is_not_ascii_is_left_out() -> None:
    mail = read_mail("From: ada@acme.example\nSubject: Fan\nX-Ü: b\n\nIt whistles.".encode())
    assert (mail.subject, mail.text) == ("Fan", "It whistles.")


def test_an_empty_line_before_the_sender_does_not_end_the_headers() -> None:
    mail = read_mail(b"To: support@betterworldtech.com\n\nSubject: Fan\nFrom: ada@acme.example\n\nTo: the team\n")
    assert (mail.sender.email, mail.subject, mail.text) == ("ada@acme.example", "Fan", "To: the team")


def test_the_text_may_follow_the_headers_without_an_empty_line() -> None:
    mail = read_mail(b"From: ada@acme.example\nSubject: Fan\nIt whistles.\nPlease help.\n\nAda")
    assert mail.text == "It whistles.\nPlease help.\n\nAda"


def test_the_character_set_that_html_declares() -> None:
    for meta in (b'<meta charset="gb2312">', b'<META http-equiv=Content-Type content="text/html; charset=gb2312">'):
        octets = b"<html><head>" + meta + b"</head>" + "打印机坏了".encode("gb18030")
        assert read(b"Content-Type: text/html\n\n" + octets).text == "打印机坏了"
        assert read(b"Content-Type: text/html; charset=us-ascii\n\n" + octets).text == "打印机坏了"
    assert read('Content-Type: text/html; charset=utf-8\n\n<meta charset="utf-16">Büro').text == "Büro"
    assert read('Content-Type: text/html\n\n<meta charset="utf-16">Büro').text == "Büro"
