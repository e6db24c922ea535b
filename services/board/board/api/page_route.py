"""The route class of all HTML pages: errors become pages, and a missing login becomes a redirect to `/login`."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.http.authentication import UNAUTHORIZED
from tocsin.runtime.http.problems import Problem, validation_problem

from board.api.html import html_response, prefers_html, problem_response
from board.errors import LoginRequiredError

log = structlog.get_logger(__name__)


class PageRoute(APIRoute):
    """A route that responds with HTML, also to every error. A client that asks for JSON gets problem+json."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of FastAPI, with errors as pages."""
        handle = super().get_route_handler()

        async def respond(request: Request) -> Response:
            try:
                return await handle(request)
            except LoginRequiredError:
                return _login_response(request)
            except RequestValidationError as error:
                problem = validation_problem(error)
            except Problem as error:
                problem = error
            except Exception as error:  # the edge of a request: log it, and respond without the error's own text
                problem = _internal_problem(request, error)
            return problem_response(request, problem)

        return respond


def add_error_pages(app: FastAPI) -> None:
    """Respond with a page where no route matches, if a browser asks."""
    handle = app.exception_handlers[HTTPException]

    async def respond(request: Request, error: Exception) -> Response:
        handled = handle(request, error)
        response = handled if isinstance(handled, Response) else await handled
        if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith("/v1/"):
            return response
        body = orjson.loads(response.body)
        headers = {name: value for name, value in response.headers.items() if name in ("allow", "retry-after")}
        return problem_response(request, Problem(response.status_code, body.get("detail"), headers=headers))

    app.add_exception_handler(HTTPException, respond)


def page_router(**settings: Any) -> APIRouter:
    """A router whose routes are pages. They are not part of /openapi.json: pass `include_in_schema=True` to differ."""
    return APIRouter(route_class=PageRoute, include_in_schema=False, **settings)


def _login_response(request: Request) -> Response:
    if not prefers_html(request):
        challenge = {"WWW-Authenticate": 'Bearer realm="tocsin"'}
        return Problem(401, UNAUTHORIZED, headers=challenge).response()
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    location = "/login" if address == "/" else f"/login?next={quote(address, safe='/')}"
    return html_response("", 303, {"Location": location})


def _internal_problem(request: Request, error: Exception) -> Problem:
    route = getattr(request.scope.get("route"), "path", "")
    if is_transient(error):
        log.error("request_failed", route=route, method=request.method, error=repr(error))
        return Problem(503, "The database does not respond. Retry.", headers={"Retry-After": "1"})
    log.exception("request_failed", route=route, method=request.method)
    return Problem(500, "Internal error. It was logged; retry later.")
