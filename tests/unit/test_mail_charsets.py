"""Character sets of mails, encoded words and raw headers, as browsers and mail programs read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from intake.domain.mail import read_mail
from tocsin.mail.charsets import decode_text
from tocsin.mail.encoded_words import decode_words


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("iso-8859-1", "cp1252", "“down” – 5 €"),
        ("us-ascii", "cp1252", "“down”"),
        ("latin-1", "cp1252", "5 €"),
        ("iso-8859-9", "cp1254", "“ığdır”"),
        ("gb2312", "gb18030", "打印机坏了 €🔥"),
        ("x-gbk", "gb18030", "打印机"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("tis-620", "cp874", "“เครื่อง”"),
        ("iso-8859-8-i", "iso8859-8", "שרת"),
        ("iso-8859-8-e", "iso8859-8", "שרת"),
        ("shift_jis", "cp932", "①㈱ 髙"),
        ("cp932", "cp932", "①"),
        ("big5", "big5hkscs", "印表機"),
        ("euc-jp", "euc_jis_2004", "①プリンタ"),
        ("iso-2022-jp", "iso2022_jp", "テスト mail"),
        ("iso-2022-kr", "iso2022_kr", "안녕 mail"),
        ("hz-gb-2312", "hz", "打印机"),
        ("koi8-r", "koi8-r", "Принтер"),
        ("win-1251", "cp1251", "Принтер"),
        ("cp-850", "cp850", "Büro"),
        ("macintosh", "mac-roman", "Büro"),
        ("utf-7", "utf-7", "Büro"),
        ("utf8", "utf-8", "Büro"),
        ("unicode-1-1-utf-8", "utf-8", "Büro"),
        ('"UTF-8"', "utf-8", "Büro"),
        ("3Dutf-8", "utf-8", "Büro"),
        ("utf-16", "utf-16", "Büro 打"),
        ("utf-16be", "utf-16-be", "Büro 打"),
        # Labels that say nothing, or something wrong.
        ("x-unknown", "utf-8", "Büro"),
        ("default_charset", "cp1252", "Büro – 5 €"),
        ("unknown-8bit", "cp1252", "Büro"),
        ("rot13", "ascii", "down"),
        ("idna", "utf-8", "Büro"),
        ("iso-8859-1", "utf-8", "Büro 打"),
        ("us-ascii", "utf-8", "Büro 打"),
        ("utf-16", "utf-8", "Büro"),
        ("utf-8", "cp1252", "Büro – 5 €"),
        ("us-ascii", "iso2022_jp", "テスト"),
        ("", "iso2022_jp", "テスト"),
        ("utf-8", "utf-8-sig", "Büro"),
        ("iso-8859-1", "utf-16", "Büro"),
    ],
)
def test_a_label_means_what_it_means_in_a_browser(label: str, codec: str, text: str) -> None:
    assert decode_text(text.encode(codec), label) == text


def test_characters_of_windows_in_iso_2022_jp() -> None:
    assert decode_text(b"\x1b$B-!\x1b(B 1 \x1b(I1\x1b(B", "iso-2022-jp") == "① 1 ｱ"


def test_one_wrong_byte_does_not_spoil_the_text() -> None:
    assert decode_text("Büro ".encode() * 3 + b"\xff", "utf-8") == "Büro " * 3 + "\ufffd"
    assert decode_text("打印机".encode("gb18030") + b"\xff ", "gb2312").startswith("打印机")
    assert decode_text("Büro 打".encode()[:-1], None) == "Büro \ufffd"
    assert decode_text(b"caf\xe9", None) == "café"


def test_a_second_label_counts_where_the_first_says_nothing() -> None:
    octets = "打印机坏了".encode("gb18030")
    assert decode_text(octets, None, "gb2312") == decode_text(octets, "us-ascii", "gb2312") == "打印机坏了"


@given(st.binary(max_size=40), st.text(max_size=20))
def test_any_bytes_with_any_label_are_text(octets: bytes, label: str) -> None:
    assert isinstance(decode_text(octets, label), str)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("🔥 =?utf-8?Q?B=C3=BCro?= €5", "🔥 Büro €5"),
        ("=?utf-8?Q?B=C3?= =?UTF-8?q?=BCro?=", "Büro"),
        ("=?utf-8?B?QsM=?=\r\n =?utf-8?B?vHJv?=", "Büro"),
        ("=?utf-8?Q?B=C3?= =?utf-8?B?vHJv?=", "Büro"),
        ("=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?= x", "テスト x"),
        ("=?gb2312?Q?=B4?= =?gb2312?Q?=F2?=", "打"),
        ("Re:=?utf-8?Q?B=C3=BCro?=:now", "Re:Büro:now"),
        ("=?utf-8?Q?B=C3=BC?==?utf-8?Q?ro?=", "Büro"),
        ('"=?utf-8?Q?B=C3=BCro?="', '"Büro"'),
        ("=?utf-8?Q?one?= and =?utf-8?Q?two?=", "one and two"),
        ("=?iso-8859-1?Q?5_=80?=", "5 €"),
        ("=?utf-8*de?Q?B=C3=BCro?=", "Büro"),
        ("=?utf-8?Q?It is b=C3=BCro?=", "It is büro"),
        ("=?utf-8?Q?Why??=", "Why?"),
        ("=?utf-8?B?QsO8cm8?=", "Büro"),
        ("=?utf-8?B?QsO8 cm8=?=", "Büro"),
        ("=?utf-8?B?QsO8cg==bw==?=", "Büro"),
        ("=??Q?B=C3=BCro?=", "Büro"),
        ("=?utf-8?Q?B=C3=BCro", "Büro"),
        ("=?x-unknown?Q?B=FCro?=", "Büro"),
        ("=?utf-8?Q??= x", " x"),
        ("=?utf-8?X?abc?= a =? b ?=", "=?utf-8?X?abc?= a =? b ?="),
        ("=?utf-8?Q?B=C3?= =?utf-8?Q?=BCro?= =?utf-8?Q?_M=E4rz?=", "Büro März"),
        ("=?utf-8?Q?B=C\r\n  3=BCro?=", "Büro"),
        ("=?utf-8?Q?B=C3\n =BCro_ist?=", "Büro ist"),
        ("=?utf-8?Q?It is\n b=C3=BCro?=", "It is büro"),
        (r"C:\new =?utf-8?Q?x?=", r"C:\new x"),
    ],
)
def test_encoded_words(header: str, text: str) -> None:
    assert decode_words(header) == text


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("Subject: 🔥 =?utf-8?Q?B=C3=BCro?= € 5".encode(), "🔥 Büro € 5"),
        (b"Subject: 5 \x80 \x96 caf\xe9", "5 € – café"),
        (b"Subject: \xb4\xf2\xd3\xa1\xbb\xfa\r\nContent-Type: text/plain; charset=gb2312", "打印机"),
        (
            b"Subject: \xb4\xf2\xd3\xa1\xbb\xfa\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"--b\r\nContent-Type: text/plain; charset=gb2312\r\n",
            "打印机",
        ),
        (b"Subject: \x1b$B%F%9%H\x1b(B", "テスト"),
        (b"Subject: =?utf-8?Q?B=C3?=\r\n =?utf-8?Q?=BCro?=", "Büro"),
    ],
)
def test_the_subject_in_raw_bytes(raw: bytes, subject: str) -> None:
    assert read_mail(b"From: ada@acme.example\r\n" + raw + b"\r\n\r\nx").subject == subject
