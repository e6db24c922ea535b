"""A browser's PNG made several times smaller: at most 256 colours, out of a palette. Enough for flat pages."""

import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST = 256


def reduced(png: bytes) -> bytes:
    """The picture (8 bits a channel, RGB or RGBA, not interlaced), rare colours replaced by common ones."""
    chunks = list(_chunks(png))
    width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    if (depth, rest) != (8, [0, 0, 0]) or kind not in (2, 6):
        raise ValueError("this is not what browsers write")
    size = 4 if kind == 6 else 3
    data = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    rows = [[tuple(row[at : at + 3]) for at in range(0, len(row), size)] for row in _rows(data, width * size, size)]
    counted = Counter(pixel for row in rows for pixel in row)
    palette = {pixel: index for index, (pixel, _) in enumerate(counted.most_common(_MOST))}
    nearest = {pixel: palette[min(palette, key=lambda other: math.dist(pixel, other))] for pixel in counted}
    lines = b"".join(b"\0" + bytes(nearest[pixel] for pixel in row) for row in rows)
    return _SIGNATURE + b"".join(
        _chunk(name, content)
        for name, content in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", bytes(value for pixel in palette for value in pixel)),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        )
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(data: bytes, length: int, size: int) -> Iterator[bytearray]:
    """The rows of pixels, each without the filter that it was stored with."""
    above = bytearray(length)
    for at in range(0, len(data), length + 1):
        row = bytearray(data[at + 1 : at + 1 + length])
        kind = data[at]
        for index in range(length):
            left = row[index - size] if index >= size else 0
            up = above[index]
            corner = above[index - size] if index >= size else 0
            row[index] = (row[index] + _predicted(kind, left, up, corner)) & 255
        yield row
        above = row


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        estimate = left + up - corner
        distances = [abs(estimate - value) for value in (left, up, corner)]
        return (left, up, corner)[distances.index(min(distances))]
    return (0, left, up, (left + up) // 2)[kind]
