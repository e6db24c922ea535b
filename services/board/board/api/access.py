"""Access to the pages: a session from an API key, a trusted proxy's headers, or an API key with each request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from starlette.responses import Response
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller, InvalidKey, KeyRing
from tocsin.runtime.http.authentication import bearer, count_request, require
from tocsin.runtime.http.h11_protocol import PEER
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.public_address import Network, parse_address
from tocsin.runtime.http.rate_limit import FailedAuthLimiter

from board.api.html import html_response, render
from board.api.page_route import add_error_pages, page_router
from board.api.session import (
    SessionSigner,
    delete_session,
    is_same_origin,
    is_secure,
    session_cookie,
    set_session,
)
from board.domain.local_path import local_path
from board.domain.viewer import Viewer
from board.errors import InvalidSessionError, LoginRequiredError

LOGIN_BYTES: Final = 4096
"""The largest body of a login or logout."""

_read_tickets: Final = require(TICKETS_READ)
_NOT_VALID: Final = {
    "unknown": "This API key is not valid.",
    "expired": "This API key has expired. Ask your administrator for a new one.",
}
_FORBIDDEN: Final = "This API key cannot read tickets. Use a key with the scope tickets:read."
_OTHER_SITE: Final = Problem(403, "The form was sent by another site. Open the page again and retry.")


@dataclass(frozen=True, kw_only=True)
class TrustedProxies:
    """Proxies that have checked who a person is. `tenants` has the tenant of each group with access."""

    networks: Sequence[Network]
    user_header: str
    groups_header: str
    tenants: Mapping[str, str]

    def viewer(self, request: Request) -> Viewer | None:
        """The person that a trusted proxy names, or None. Raises Problem 403 for a person without a known group."""
        if not self._sent(request):
            return None
        users = request.headers.getlist(self.user_header)
        if not any(users):
            return None
        lines = request.headers.getlist(self.groups_header)
        for name, values in ((self.user_header, users), (self.groups_header, lines)):
            if len(values) > 1:  # the proxy added its header to one that a client had sent
                raise Problem(403, f"The header {name} is set more than once.")
        groups = {group.strip() for line in lines for group in line.split(",")}
        tenant = next((tenant for group, tenant in self.tenants.items() if group in groups), None)
        if tenant is None:
            raise Problem(403, "None of your groups may see tickets here. Ask your administrator.")
        return Viewer(tenant, users[0])

    def _sent(self, request: Request) -> bool:
        peer = request.scope.get("state", {}).get(PEER) or (request.client.host if request.client else "")
        try:
            address = parse_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Decides who may see a page. `sessions` is None if nobody can sign in with an API key."""

    keys: KeyRing
    proxies: TrustedProxies
    sessions: SessionSigner | None

    async def viewer(self, request: Request, *, counts: bool) -> Viewer:
        """Who sends this request, which `counts` for the rate limit of a key.

        Raises LoginRequiredError, and Problem 401, 403 or 429.
        """
        if (viewer := self.proxies.viewer(request)) is not None:
            return viewer  # first, because a proxy may send its token in `Authorization`
        credentials = await bearer(request)
        if credentials is not None and counts:
            caller = await _read_tickets(request, credentials)
            return Viewer(caller.tenant, caller.key_id)
        if credentials is not None:
            caller = _reading(self.keys.check(credentials.credentials))
            return Viewer(caller.tenant, caller.key_id)
        cookie = session_cookie(request)
        if self.sessions is None or cookie is None:
            raise LoginRequiredError
        try:
            key_id = self.sessions.verify(cookie)
        except InvalidSessionError as error:
            raise LoginRequiredError from error
        caller = _reading(self.keys.check_id(key_id))
        if counts:
            count_request(request, caller)
        return Viewer(caller.tenant, caller.key_id, has_session=True)


def _reading(caller: Caller | InvalidKey) -> Caller:
    """The caller if the key is valid and may read tickets. Raises LoginRequiredError."""
    if not isinstance(caller, Caller) or TICKETS_READ not in caller.scopes:
        raise LoginRequiredError
    return caller


def add_access(app: FastAPI, access: Access) -> None:
    """Give the application what `CurrentViewer` needs, the routes for login and logout, and pages for errors."""
    app.state.access = access
    app.include_router(_routes(access))
    add_error_pages(app)


async def current_viewer(request: Request) -> Viewer:
    """A dependency of all HTML routes: who looks. Raises LoginRequiredError and Problem (see `PageRoute`)."""
    return await access_of(request).viewer(request, counts=True)


def access_of(request: Request) -> Access:
    """What `add_access` gave the application."""
    access: Access = request.app.state.access
    return access


CurrentViewer = Annotated[Viewer, Depends(current_viewer)]
"""The parameter of an HTML route: who looks. Without access the response is a redirect to the login."""


def _routes(access: Access) -> APIRouter:
    routes = page_router()

    @routes.get("/login")
    async def get_login(next_path: Annotated[str, Query(alias="next", max_length=2000)] = "/") -> Response:
        return _login_page(access, next_path)

    @routes.post("/login")
    async def post_login(request: Request) -> Response:
        form = await _read_form(request)
        sessions = access.sessions
        if sessions is None:
            raise Problem(404, "Nobody can sign in here with an API key: TOCSIN_BOARD_SESSION_KEYS is not set.")
        next_path = local_path(form.get("next", "/"))
        if is_secure(request) and request.headers.get("origin", "").startswith("http://"):
            return _login_page(access, next_path, "Open this page with https. The session is not sent without it.", 400)
        caller = access.keys.check(form.get("key", "").strip())
        if not isinstance(caller, Caller):
            failures: FailedAuthLimiter = request.app.state.failed_auth_limiter
            await failures.count_failure(request.client.host if request.client else "", caller)
            return _login_page(access, next_path, _NOT_VALID[caller], 401)
        if TICKETS_READ not in caller.scopes:
            return _login_page(access, next_path, _FORBIDDEN, 403)
        response = html_response("", 303, {"Location": next_path})
        set_session(request, response, sessions.sign(caller.key_id))
        return response

    @routes.post("/logout")
    async def post_logout(request: Request) -> Response:
        if not is_same_origin(request):
            raise _OTHER_SITE
        response = html_response("", 303, {"Location": "/login"})
        delete_session(request, response)
        return response

    return routes


async def _read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form that this site sent. Raises Problem 403 for a form of another site, and 422."""
    if not is_same_origin(request):
        raise _OTHER_SITE
    try:
        fields = parse_qs((await request.body()).decode(), max_num_fields=10)
    except ValueError as error:
        raise Problem(422, "The form cannot be read.") from error
    return {name: values[0] for name, values in fields.items()}


def _login_page(access: Access, next_path: str, fault: str | None = None, status: int = 200) -> Response:
    can_login = access.sessions is not None
    text = render(
        "login.html.j2", viewer=None, section=None, next=local_path(next_path), fault=fault, can_login=can_login
    )
    return html_response(text, status)
