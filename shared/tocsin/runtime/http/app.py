"""The HTTP application that every service starts from: limits, problem responses, API keys, health, docs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from tocsin.runtime.http.api_docs import add_docs
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.authentication import add_authentication
from tocsin.runtime.http.direct_route import DirectRoute, DirectRoutes
from tocsin.runtime.http.health import Check, health_routes
from tocsin.runtime.http.limits_middleware import DEFAULT_LIMIT, LimitsMiddleware, OnTooLarge
from tocsin.runtime.http.load_shedding import Admission
from tocsin.runtime.http.openapi import ERROR_RESPONSES, add_error_responses
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
    admissions: Mapping[str, Admission] | None = None,
    on_too_large: OnTooLarge | None = None,
) -> FastAPI:
    """An application with health, metrics and docs, to which the service adds its routers.

    `/readyz` runs `checks` and `notes`; a failed note leaves the service ready. `body_limits` has the
    largest body in bytes by path prefix (1 MB otherwise). Below the `free_form` prefixes a body need not be JSON.
    `admissions` shed POST requests by path prefix; `on_too_large` is called with the scope of a request that got 413.
    """
    app = Application(
        partial(
            LimitsMiddleware,
            limits={"": DEFAULT_LIMIT, **(body_limits or {})},
            free_form=tuple(free_form),
            admissions=admissions,
            on_too_large=on_too_large,
        ),
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
    app.add_exception_handler(Problem, _handle_problem)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.include_router(health_routes({"keys": keys.ready, **checks}, notes or {}))
    return app


class Application(FastAPI):
    """FastAPI with `limits` around it, direct routes, and every error of a call in /openapi.json.

    `limits` makes an ASGI application that also responds to every uncaught error, so FastAPI's own outer layers, which
    each wrap `send`, are left out.
    """

    def __init__(self, limits: Callable[[ASGIApp], ASGIApp], **settings: Any) -> None:
        self._limits = limits
        self._direct_routes: list[DirectRoute] = []
        super().__init__(**settings)

    def include_router(self, router: APIRouter, **settings: Any) -> None:
        """Add the router's routes; its direct routes are tried before all others."""
        super().include_router(router, **settings)
        self._direct_routes += [route for route in router.routes if isinstance(route, DirectRoute)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request. FastAPI's own method looks for telemetry settings at every request."""
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The layers of the application; FastAPI calls this at the first request."""
        # FastAPI resolves dependencies with the stack of AsyncExitStackMiddleware.
        app = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)
        return self._limits(DirectRoutes(app, self._direct_routes, self.exception_handlers))

    def openapi(self) -> dict[str, Any]:
        """The document, built at the first request for it."""
        if self.openapi_schema is None:
            document = super().openapi()
            add_error_responses(document)
            self.openapi_schema = document
        return self.openapi_schema


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
