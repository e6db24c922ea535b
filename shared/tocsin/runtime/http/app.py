"""The HTTP application that every service starts from: limits, problem responses, API keys, health, docs."""

from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from tocsin.runtime.http.api_docs import add_docs
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.authentication import add_authentication
from tocsin.runtime.http.health import Check, health_routes
from tocsin.runtime.http.limits_middleware import DEFAULT_LIMIT, LimitsMiddleware
from tocsin.runtime.http.openapi import ERROR_RESPONSES, Application
from tocsin.runtime.http.problems import Problem, validation_problem
from tocsin.runtime.http.query_parameters import reject_unknown_parameters

_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_DETAILS: Final = {
    400: "The request body is not valid JSON.",
    404: "Not found: no such path.",
    405: "Method not allowed. The `Allow` header lists the allowed methods.",
    408: "The request body arrived too slowly.",
}


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
    """An application with health, metrics and docs, to which the service adds its routers.

    `/readyz` runs `checks` and `notes`; a failed note leaves the service ready. `body_limits` has the
    largest body in bytes by path prefix (1 MB otherwise). Below the `free_form` prefixes a body need not be JSON.
    """
    app = Application(
        title=f"tocsin {service}",
        description=description,
        version="1",
        responses=ERROR_RESPONSES,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(reject_unknown_parameters)],
        redirect_slashes=False,  # a redirect would send the key again, to whatever host the request named
    )
    add_authentication(app, keys)
    add_docs(app)
    app.add_middleware(LimitsMiddleware, limits={"": DEFAULT_LIMIT, **(body_limits or {})}, free_form=tuple(free_form))
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.include_router(health_routes({"keys": keys.ready, **checks}, notes or {}))
    return app


async def _handle_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return Problem(error.status_code, _DETAILS.get(error.status_code, error.detail), headers=headers).response()


async def _handle_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return validation_problem(error).response()


def _allowed_methods(request: Request) -> list[str]:
    """Every method of this path. The route that responded with 405 knows only its own.

    A path that is documented literally has the methods documented there, although it may also match `{id}`.
    """
    if documented := request.app.openapi()["paths"].get(request.scope["path"]):
        return sorted(method.upper() for method in documented)
    scope = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": []}
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
