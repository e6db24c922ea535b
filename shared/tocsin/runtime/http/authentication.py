"""Authentication by API key: route dependencies that return the `Caller`, or raise Problem 401, 403 or 429."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tocsin.runtime.http.api_keys import ADMIN, SCOPES, TICKETS_READ, TICKETS_WRITE, Caller, KeyRing
from tocsin.runtime.http.limits_middleware import add_headers
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.rate_limit import FailedAuthLimiter, KeyRateLimiter

UNAUTHORIZED: Final = "Send `Authorization: Bearer KEY` with a valid API key."
_EXPIRED: Final = "This API key has expired. Ask your administrator for a new one."
bearer: Final = HTTPBearer(auto_error=False, description="An API key of keys.yaml")
"""The dependency that reads the key of a request, None if there is none."""


def add_authentication(app: FastAPI, keys: KeyRing) -> None:
    """Give the application what `require` needs: the keys, and the rate limits of this process."""
    app.state.keys = keys
    app.state.key_rate_limiter = KeyRateLimiter()
    app.state.failed_auth_limiter = FailedAuthLimiter()


@dataclass(frozen=True)
class RequiredScope:
    """A dependency that requires a key with this scope, and returns its caller."""

    scope: str

    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        if credentials is None:
            raise _unauthorized(UNAUTHORIZED, "")
        keys: KeyRing = request.app.state.keys
        caller = keys.check(credentials.credentials)
        if not isinstance(caller, Caller):
            failures: FailedAuthLimiter = request.app.state.failed_auth_limiter
            await failures.count_failure(request.client.host if request.client else "", caller)
            if caller == "expired":  # the secret was right: someone who guesses keys never sees this
                raise _unauthorized(_EXPIRED, ', error="invalid_token", error_description="The key expired"')
            raise _unauthorized(UNAUTHORIZED, ', error="invalid_token"')
        count_request(request, caller)
        if self.scope not in caller.scopes:
            challenge = f'Bearer realm="tocsin", error="insufficient_scope", scope="{self.scope}"'
            raise Problem(403, f"This API key lacks the scope {self.scope}.", headers={"WWW-Authenticate": challenge})
        return caller


def count_request(request: Request, caller: Caller) -> None:
    """Count a request of the key, if its rate is limited. Raises Problem 429."""
    if caller.requests_per_minute is not None:
        limiter: KeyRateLimiter = request.app.state.key_rate_limiter
        status = limiter.count_request(caller.key_id, caller.requests_per_minute)
        add_headers(request.scope, status.headers())


class RequiredScopeInUrl(RequiredScope):
    """The same; without a header, the key may be in the query parameter `key`, for programs that cannot send headers.

    Addresses are logged by proxies and shown by programs, so the scope must be the only one of such a key.
    """

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        key: Annotated[
            str | None,
            Query(
                max_length=200,
                description="An API key, for programs that cannot send a header. tickets:read must be its only scope",
            ),
        ] = None,
    ) -> Caller:
        text = request.query_params.get("key")  # not `key`: `check_key` calls this without it
        if credentials is not None or text is None:
            return await super().__call__(request, credentials)
        caller = await super().__call__(request, HTTPAuthorizationCredentials(scheme="Bearer", credentials=text))
        if caller.scopes != {self.scope}:
            raise Problem(403, f"An API key in a URL must have the scope {self.scope} alone. Create another key.")
        return caller


def require(scope: str) -> RequiredScope:
    """A dependency that requires a key with this scope: `caller: Annotated[Caller, Depends(require(ADMIN))]`."""
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope}; known are {', '.join(SCOPES)}")
    return RequiredScope(scope)


async def check_key(dependant: Dependant, request: Request) -> None:
    """Check the request's key as the route's own dependencies do. Does nothing for a route without a key."""
    for each in dependant.dependencies:
        if isinstance(each.call, RequiredScope):
            await each.call(request, await bearer(request))
        await check_key(each, request)


def _unauthorized(detail: str, error: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": f'Bearer realm="tocsin"{error}'})


MayRead = Annotated[Caller, Depends(require(TICKETS_READ))]
"""A caller whose key has the scope tickets:read."""
MayReadByUrl = Annotated[Caller, Depends(RequiredScopeInUrl(TICKETS_READ))]
"""The same, also with the key in the query parameter `key`."""
MayWrite = Annotated[Caller, Depends(require(TICKETS_WRITE))]
"""A caller whose key has the scope tickets:write."""
MayAdminister = Annotated[Caller, Depends(require(ADMIN))]
"""A caller whose key has the scope admin."""
