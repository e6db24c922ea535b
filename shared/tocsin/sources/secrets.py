"""Reads the secrets that a document names."""

import os
from pathlib import Path

import structlog

from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.regular_file import MAX_SECRET_BYTES, read_file
from tocsin.yaml_document import SecretLocation

log = structlog.get_logger(__name__)


def read_secret(secret: SecretLocation) -> bytes | None:
    """The secret, read at every call, so that a rotated one is active at once; None if it is missing or empty.

    If the variable is not set, `NAME_FILE` may be the path of a file, as for the secrets of settings.
    """
    path = secret.secret_file
    if secret.secret_env is not None:
        if value := os.environ.get(secret.secret_env, "").strip():
            return value.encode(errors="surrogateescape")
        path = os.environ.get(f"{secret.secret_env}_FILE")
    if not path:
        return None
    try:
        return read_file(Path(path), MAX_SECRET_BYTES).strip() or None
    except FileReadError as error:
        log.error("webhook_secret_unreadable", problem=str(error))
        return None
