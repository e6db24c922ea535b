"""The text of the bytes of a mail, whatever its character set. Pure.

A label means what it means in a browser (https://encoding.spec.whatwg.org): `iso-8859-1` is windows-1252, `gb2312` is
gb18030. Labels that no browser knows are read as Python does. A wrong or missing label is common: bytes that are valid
UTF-8 are UTF-8 rather than windows-1252. Nothing else is guessed, because statistics fail on a few words.
"""

import codecs
import encodings
import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from pkgutil import iter_modules
from typing import Final

import webencodings

_MAX_LABEL_LENGTH: Final = 60
_LABEL: Final = re.compile(r"(?:3d)?[\"'\s]*([a-z0-9][\w.:+-]*)")
_NUMBERED: Final = re.compile(r"(?:x-)?(?:windows|win|cp|ibm|ms)[-_]?(\d{3,5})")
_ISO_8859: Final = re.compile(r"(?:x-)?iso[-_]?8859[-_]?(\d{1,2})")
# Codecs that are not character sets of mails: slow, lossy, or with warnings.
_EXCLUDED: Final = frozenset({"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined"})
# Python searches the file system for every other name, each time, and caches it for ever.
_PYTHON_NAMES: Final = {*aliases, *aliases.values(), *(module.name for module in iter_modules(encodings.__path__))}
# Supersets that browsers decode with, too.
_SUPERSETS: Final = {"gbk": "gb18030", "euc_jp": "euc_jis_2004"}
# Text in one of them is almost never valid UTF-8 by chance; UTF-8 with such a label is common.
_DOUBTFUL: Final = frozenset({"cp1252", "iso8859-15", "iso8859-2", "cp1250", "cp1254", "utf-16-le"})
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_JIS: Final = "iso2022_jp"
_JIS_LABELS: Final = ("iso-2022-jp", "csiso2022jp", "cp5022")
_JIS_SHIFT: Final = re.compile(rb"\x1b(\$[@B]|\([BJI])([^\x1b]*+)")
_HIGH: Final = bytes(byte | 0x80 if 0x20 < byte < 0x7F else byte for byte in range(256))
_KANA: Final = re.compile(rb"[\xa1-\xdf]")
_WRONG: Final = "\ufffd"


def decode_text(octets: bytes, *labels: str | None) -> str:
    """The text of these bytes in the first of these character sets that fits, or else in UTF-8 or windows-1252.

    Bytes that do not fit anywhere become U+FFFD. A byte order mark counts more than the labels.
    """
    for mark, marked in _MARKS:
        if octets.startswith(mark):
            return octets[len(mark) :].decode(marked, "replace")
    named = [codec for label in labels if label and (codec := _codec(label))]
    if b"\x1b$" in octets and named[:1] in ([], ["cp1252"], ["utf-8"]):
        return _decode(octets, _JIS)
    tried = ["utf-8", *named] if not named or named[0] in _DOUBTFUL else [*named, "utf-8"]
    for codec in tried:
        text = _decode_strictly(octets, codec)
        if text is not None and not (codec == "utf-8" and "\0" in text and "utf-16-le" in named):
            return text
    text = _decode(octets, tried[0])
    broken = text.count(_WRONG)
    return text if broken < sum(not character.isascii() for character in text) - broken else _decode(octets, "cp1252")


def fits_charset(octets: bytes, label: str) -> bool:
    """Whether these bytes are a text in this character set, to their end."""
    codec = _codec(label)
    try:
        return codec is not None and bool(_decode(octets, codec, "strict"))
    except ValueError:
        return False


def _codec(label: str) -> str | None:
    """Python's name of the codec; None if the label is unknown, or says no more than ASCII."""
    name = _canonical(label)
    if "ascii" in name:
        return None
    if name.startswith(_JIS_LABELS):
        return _JIS
    codec = _web_codec(name)
    if codec is None:
        python_name = normalize_encoding(name).lower().replace(".", "_")
        if python_name not in _PYTHON_NAMES or aliases.get(python_name, python_name) in _EXCLUDED:
            return None
        try:
            codec = codecs.lookup(python_name).name
        except LookupError:  # a module of the package that is not a codec
            return None
        codec = _web_codec(codec) or codec
    return _SUPERSETS.get(codec, codec)


def _canonical(label: str) -> str:
    match = _LABEL.match(label[:_MAX_LABEL_LENGTH].strip().lower())
    name = match[1] if match else ""
    for pattern, prefix in ((_NUMBERED, "cp"), (_ISO_8859, "iso-8859-")):
        if (numbered := pattern.fullmatch(name)) and not webencodings.lookup(name):
            return f"{prefix}{numbered[1]}"
    return name


def _web_codec(name: str) -> str | None:
    encoding = webencodings.lookup(name)
    return None if encoding is None or encoding.name == "replacement" else encoding.codec_info.name


def _decode_strictly(octets: bytes, codec: str) -> str | None:
    """The text, or None if the bytes do not fit. A truncated last character is ignored."""
    try:
        return _decode(octets, codec, "strict")
    except UnicodeDecodeError as error:
        is_cut = error.end >= len(octets) and not octets[: error.start].isascii()
        return _decode(octets[: error.start], codec) + _WRONG if is_cut else None
    except ValueError:
        return None


def _decode(octets: bytes, codec: str, errors: str = "replace") -> str:
    try:
        if codec == _JIS:
            return _JIS_SHIFT.sub(_euc, octets).decode("euc_jis_2004", errors)
        return octets.decode(codec, errors)
    except LookupError:  # a codec that does not make text, such as rot13
        return octets.decode("cp1252", errors)


def _euc(shifted: re.Match[bytes]) -> bytes:
    """The characters after an escape sequence of ISO-2022-JP in EUC-JP, which has those of Windows and Macs too."""
    if shifted[1].startswith(b"$"):
        return shifted[2].translate(_HIGH)
    return _KANA.sub(b"\x8e\\g<0>", shifted[2].translate(_HIGH)) if shifted[1] == b"(I" else shifted[2]
