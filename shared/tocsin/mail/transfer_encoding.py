"""The transfer encodings of mails (RFC 2045), decoded as far as possible. Pure."""

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_qp, a2b_uu
from itertools import islice
from typing import Final

# Before Python 3.11.5 a possessive group such as `(?:ab?c)*+` ends too late if a repetition of it fails halfway. So the
# groups of this package that can are greedy; where a bound is, it bounds the memory that this takes.
_TOKEN: Final = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
# After padding, text in clear may follow on the same line.
_LINE: Final = rb"[A-Za-z0-9+/]++(?==|[ \t]*+(?:\n|\Z))"
# Gateways append their own base64 after the padding.
_NEXT_LINE: Final = rb"(?:(?:[ \t]*+\n[ \t\n]*+|=++[ \t]*+)" + _LINE + rb"){0,300000}"
_BASE64: Final = re.compile(rb"^[ \t]*+" + _LINE + _NEXT_LINE + rb"={0,3}", re.MULTILINE)
_PADDING: Final = re.compile(rb"=++")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SURELY_BASE64: Final = 20
_MAX_REPAIRS: Final = 10_000  # and lines of uuencode
_BLANKS_AFTER_SOFT_BREAK: Final = re.compile(rb"=[ \t]++\n")
_BROKEN_ESCAPE: Final = re.compile(rb"=([0-9A-Fa-f])=?\n([0-9A-Fa-f])")
_UUENCODED: Final = re.compile(
    r"^begin[ ][0-7]{3,4}[ ](?P<name>[^\n]{1,200}+)\n(?P<data>(?:[!-`][ -`]*+(?:\n|\Z)){1,10000})(?:end[ ]*(?:\n|\Z))?",
    re.MULTILINE,
)


def decode_transfer(body: bytes, encoding: str) -> bytes:
    """The body, whose lines end with line feeds, without this encoding; unchanged if the encoding is unknown.

    Text in clear before or after base64, such as the footer of a mailing list, stays.
    """
    token = _TOKEN.search(encoding.lower())
    name = token[0].replace("-", "").replace("_", "") if token else ""
    if "base64" in name:
        return _decode_base64_body(body.replace(b"\0", b""))
    if "quotedprintable" in name:
        joined = _BLANKS_AFTER_SOFT_BREAK.sub(b"=\n", body, _MAX_REPAIRS)
        return a2b_qp(_BROKEN_ESCAPE.sub(rb"=\1\2", joined, _MAX_REPAIRS))
    if name in ("xuuencode", "uuencode", "xuue", "uue"):
        return _decode_uuencoded(body)
    return body


def decode_base64(encoded: bytes) -> bytes:
    """The bytes of all base64 characters here. Padding may be missing or in the middle; others are skipped."""
    decoded = []
    for piece in _PADDING.split(encoded, _MAX_REPAIRS):
        characters = _NOT_BASE64.sub(b"", piece)
        characters = characters[: len(characters) - (len(characters) % 4 == 1)]
        decoded.append(a2b_base64(characters + b"=" * (-len(characters) % 4)))
    return b"".join(decoded)


def split_uuencoded(text: str) -> tuple[str, list[str]]:
    """The text without the files in it that are uuencoded, and the names of those files."""
    names = []

    def replace(block: re.Match[str]) -> str:
        if not _is_data(block["data"]):
            return block[0]
        names.append(block["name"].strip())
        return ""

    return _UUENCODED.sub(replace, text), names


def _decode_base64_body(body: bytes) -> bytes:
    pieces, position = [], 0
    for run in islice(_BASE64.finditer(body), _MAX_REPAIRS):
        encoded = b"".join(run[0].split())
        decoded = decode_base64(encoded)
        is_line = not body[run.end() : run.end() + 1].strip()
        if len(encoded) < _SURELY_BASE64 and not (is_line and _is_probably_text(encoded, decoded)):
            continue
        if clear := body[position : run.start()].strip():
            pieces.append(b"\n" * bool(position) + clear + b"\n")
        pieces.append(decoded)
        position = run.end()
    if not position and b" " not in body.strip():
        return decode_base64(body)
    if clear := body[position:].strip(b"\n"):
        pieces.append(b"\n" * bool(position) + clear)
    return b"".join(pieces)


def _is_probably_text(encoded: bytes, decoded: bytes) -> bool:
    """Whether a short word is base64 rather than a word of a text in clear."""
    if _CONTROL.search(decoded) or len(encoded.rstrip(b"=")) % 4 == 1:
        return False
    try:
        decoded.decode()
    except UnicodeDecodeError:
        return encoded.endswith(b"=")
    return True


def _decode_uuencoded(body: bytes) -> bytes:
    block = _UUENCODED.search(body.decode("latin-1"))
    if block is None:
        return body
    lines = block["data"].encode("latin-1").split(b"\n", _MAX_REPAIRS)[:_MAX_REPAIRS]
    return b"".join(map(_decode_uuencoded_line, lines))


def _decode_uuencoded_line(line: bytes) -> bytes:
    count = (line[0] - 32) & 63 if line else 0
    try:
        return a2b_uu(line[: (count * 4 + 5) // 3])  # some encoders write more
    except BinasciiError:
        return b""


def _is_data(data: str) -> bool:
    """Whether the first line is as long as its first character says."""
    first = data.partition("\n")[0].rstrip()
    count = (ord(first[0]) - 32) & 63
    return abs(len(first) - 1 - -(-count // 3) * 4) <= 4
