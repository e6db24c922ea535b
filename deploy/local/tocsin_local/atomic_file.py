"""Writes files whole or not at all."""

import time
from pathlib import Path


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace the file's content. By default only the owner can read it: most files here hold a key or a password."""
    beside = path.with_name(f".{path.name}.{time.monotonic_ns()}")
    beside.touch(mode=mode)
    beside.write_bytes(content)
    beside.replace(path)
