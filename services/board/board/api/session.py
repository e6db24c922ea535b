"""The session cookie: the id of an API key and the time of the login, signed
(docs/decisions/0052-access-to-the-boards-pages.md)."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from board.errors import InvalidSessionError

SESSION_TIME: Final = timedelta(hours=12)
"""Real time after which a person has to sign in again."""

_SECURE_NAME: Final = "__Host-tocsin"
_PLAIN_NAME: Final = "tocsin"
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class SessionSigner:
    """Signs and verifies sessions. The first key signs; sessions signed by the other keys stay valid."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._serializer = URLSafeTimedSerializer(
            list(reversed(keys)), salt="tocsin board session", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def sign(self, key_id: str) -> str:
        """The value of the cookie for a person who has signed in with the key of this id."""
        return str(self._serializer.dumps(key_id))

    def verify(self, cookie: str) -> str:
        """The id of the key. Raises InvalidSessionError."""
        try:
            key_id = self._serializer.loads(cookie, max_age=int(SESSION_TIME.total_seconds()))
        except BadData as error:
            raise InvalidSessionError from error
        if not isinstance(key_id, str):
            raise InvalidSessionError
        return key_id


def session_cookie(request: Request) -> str | None:
    """The value of the request's session cookie, if it has one."""
    return request.cookies.get(_SECURE_NAME if is_secure(request) else _PLAIN_NAME)


def set_session(request: Request, response: Response, value: str) -> None:
    """Set the cookie. Scripts cannot read it; other sites send it only with links that a person follows."""
    secure = is_secure(request)
    response.set_cookie(
        _SECURE_NAME if secure else _PLAIN_NAME,
        value,
        max_age=int(SESSION_TIME.total_seconds()),
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def delete_session(request: Request, response: Response) -> None:
    """Delete the cookie."""
    secure = is_secure(request)
    name = _SECURE_NAME if secure else _PLAIN_NAME
    response.delete_cookie(name, secure=secure, httponly=True, samesite="lax")


def is_secure(request: Request) -> bool:
    """Whether the cookie needs https: always, except for plain http on this machine.

    Behind a proxy that ends TLS the request arrives by http, but names the public host.
    """
    return request.url.scheme == "https" or request.url.hostname not in _LOOPBACK


def is_same_origin(request: Request) -> bool:
    """Whether a page of this site sent the form: browsers say so in headers that no page can change."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")
