"""The HTTP edge every service shares: problems for errors, strict JSON, bounded bodies, keys, health, metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from tocsin.runtime.http.api_docs import add_docs
from tocsin.runtime.http.api_keys import SCOPES, Caller, KeyRing
from tocsin.runtime.http.limits_middleware import DEFAULT_LIMIT, LimitsMiddleware, add_headers
from tocsin.runtime.http.openapi import EVERYWHERE, Application
from tocsin.runtime.http.problems import Problem, validation_problem
from tocsin.runtime.http.rate_limit import FailedTries, Requests
from tocsin.runtime.http.responses import JsonResponse

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]
"""A readiness check: None when all is well, otherwise what is not, in a few words."""

_CHECK_SECONDS = 3.0
_bearer = HTTPBearer(auto_error=False, description="A key of keys.yaml")


def create_app(
    service: str,
    description: str,
    keys: KeyRing,
    checks: Mapping[str, Check],
    *,
    notes: Mapping[str, Check] | None = None,
    body_limits: Mapping[str, int] | None = None,
    free_form: Sequence[str] = (),
) -> FastAPI:
    """An application with /livez, /readyz and /metrics, to which the service adds its routers.

    `checks` are asked by /readyz, each by its name; `notes` too, but what they say is shown and makes nobody not ready.
    `body_limits` allows a path more (or less) bytes than 1 MB. Below `free_form` prefixes a body need not be JSON.
    """
    app = Application(
        ("tocsin", service.replace("-", "_")),
        title=f"tocsin {service}",
        description=description,
        version="1",
        responses=EVERYWHERE,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would send the key again, to whatever host the request named
    )
    app.state.keys = keys
    app.state.requests = Requests()
    app.state.failed_tries = FailedTries()
    add_docs(app)
    app.add_middleware(LimitsMiddleware, limits={"": DEFAULT_LIMIT, **(body_limits or {})}, free_form=tuple(free_form))
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation)
    _add_health(app, {"keys": keys.ready, **checks}, notes or {})
    return app


def require(scope: str) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets only keys with this scope pass and gives the `Caller`: `Annotated[Caller,
    Depends(require(...))]`.
    """
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope}; there are {', '.join(SCOPES)}")

    async def caller(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        if given is None:
            raise _unauthorized(_ASKED, "")
        keys: KeyRing = request.app.state.keys
        found = keys.check(given.credentials)
        if not isinstance(found, Caller):
            tries: FailedTries = request.app.state.failed_tries
            await tries.one_more(request.client.host if request.client else "", found)
            if found == "expired":  # a guesser never reads this: the secret was right
                raise _unauthorized(_EXPIRED, ', error="invalid_token", error_description="The key expired"')
            raise _unauthorized(_ASKED, ', error="invalid_token"')
        if found.requests_per_minute is not None:
            requests: Requests = request.app.state.requests
            left = requests.one_more(found.key_id, found.requests_per_minute)
            add_headers(request.scope, left.headers())
        if scope not in found.scopes:
            challenge = f'Bearer realm="tocsin", error="insufficient_scope", scope="{scope}"'
            raise Problem(403, f"This key lacks the scope {scope}.", headers={"WWW-Authenticate": challenge})
        return found

    return caller


_ASKED: Final = "Send `Authorization: Bearer KEY` with a valid key."
_EXPIRED: Final = "This key has expired. Ask whoever made it for another one."


def _unauthorized(detail: str, error: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": f'Bearer realm="tocsin"{error}'})


def _add_health(app: FastAPI, checks: Mapping[str, Check], notes: Mapping[str, Check]) -> None:
    asked = {**notes, **checks}

    @app.get("/livez", tags=["health"], summary="The process answers")
    async def livez() -> Response:
        return JsonResponse({"status": "ok"})

    @app.get("/readyz", tags=["health"], summary="Everything it needs is there; 503 says what is not")
    async def readyz() -> Response:
        names = sorted(asked)
        answers = await asyncio.gather(*(_asked(name, asked[name]) for name in names))
        failed = {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}
        ready = not failed.keys() & checks.keys()
        body = {"status": "ok" if ready else "not ready", "checks": {name: failed.get(name, "ok") for name in names}}
        return JsonResponse(body, status_code=200 if ready else 503)

    @app.get("/metrics", tags=["health"], summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _asked(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:.0f} s"
    except Exception as error:  # the edge: whatever a check raises means not ready
        log.warning("check_failed", check=name, error=repr(error))
        return "failed"


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    return Problem(error.status_code, _DETAILS.get(error.status_code, error.detail), headers=headers).response()


_DETAILS: Final = {
    400: "The body is not JSON.",
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    408: "The body came too slowly.",
}


def _methods(request: Request) -> list[str]:
    """Every method that this path takes: the route that refused the request knows its own alone.

    A path that is written out in the documentation takes what stands there, though it may also look like an id.
    """
    if written := request.app.openapi()["paths"].get(request.scope["path"]):
        return sorted(method.upper() for method in written)
    asked = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return validation_problem(error).response()
