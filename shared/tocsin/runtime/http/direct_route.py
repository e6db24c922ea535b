"""Routes whose dependencies are planned once, at the start, instead of being resolved by FastAPI at every request."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

ExceptionHandlers = Mapping[Any, Callable[[Request, Any], Any]]
"""Coroutine functions that return a `Response`, by the class of the exception, as FastAPI has them."""

_NO_HEADERS: Final = Headers(raw=[])


class DirectRoute(APIRoute):
    """A route that `DirectRoutes` can call. FastAPI documents it, and calls it where `DirectRoutes` does not.

    The endpoint and its dependencies are coroutine functions of the request, headers, parts of the path, and other
    dependencies; the endpoint returns a `Response`. Raises TypeError for any other parameter.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._steps: list[_Step] = []
        _plan(self.dependant, self._steps)

    async def call(self, request: Request) -> Response:
        """The endpoint's response. Raises what a dependency or the endpoint raises, and RequestValidationError."""
        results: list[Any] = []
        errors: list[Any] = []
        for step in self._steps[:-1]:
            arguments = step.arguments(request, results, errors)
            results.append(_INVALID if arguments is None else await step.call(**arguments))
        arguments = self._steps[-1].arguments(request, results, errors)
        if errors or arguments is None:
            raise RequestValidationError(errors)
        response: Response = await self._steps[-1].call(**arguments)
        return response


class DirectRoutes:
    """ASGI: calls the direct routes, and `app` for every other request.

    A request with query parameters goes to `app` too: no direct route has any.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[DirectRoute], handlers: ExceptionHandlers) -> None:
        self._app = app
        self._routes = routes
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = None if scope["query_string"] else self._find(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await route.call(request)
        except Exception as error:  # the handlers decide which errors are responses
            handler = next((self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> DirectRoute | None:
        for route in self._routes:
            match, child_scope = route.matches(scope)
            if match is Match.FULL:
                scope.update(child_scope)
                scope["route"] = route
                return route
        return None


_INVALID: Final = object()
"""The result of a dependency that was not called, because its own parameters are invalid."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The call of a dependency or, as the last one, of the endpoint.

    `uses`: parameters that are results of earlier steps, by index. `defaults`: headers that the request lacks.
    """

    call: Callable[..., Awaitable[Any]]
    request: str | None
    uses: Sequence[tuple[str, int]]
    path: Sequence[ModelField]
    headers: Sequence[ModelField]
    header_names: Collection[bytes]
    defaults: tuple[dict[str, Any], list[Any]]

    def arguments(self, request: Request, results: Sequence[Any], errors: list[Any]) -> dict[str, Any] | None:
        """The arguments of the call; None, with the `errors`, if one is invalid."""
        arguments = {}
        for name, index in self.uses:
            if results[index] is _INVALID:
                return None
            arguments[name] = results[index]
        if self.request is not None:
            arguments[self.request] = request
        wrong: Sequence[Any] = ()
        if self.path:
            values, wrong = request_params_to_args(self.path, request.path_params)
            arguments |= values
        if self.headers:
            is_sent = any(name in self.header_names for name, _ in request.scope["headers"])
            values, more = request_params_to_args(self.headers, request.headers) if is_sent else self.defaults
            arguments |= values
            wrong = [*wrong, *more]
        errors.extend(wrong)
        return None if wrong else arguments


def _plan(dependant: Dependant, steps: list[_Step]) -> int:
    """Append the steps of a dependant, in the order in which FastAPI would take them. Returns the index of the last."""
    uses = []
    for each in dependant.dependencies:
        known = (index for index, step in enumerate(steps) if step.call is each.call)
        index = next(known, None)
        if index is None:
            index = _plan(each, steps)
        if each.name is not None:
            uses.append((each.name, index))
    function = dependant.call
    if not iscoroutinefunction(function) and not iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        raise TypeError(f"{function} is not a coroutine function")
    if dependant.query_params or dependant.cookie_params or dependant.body_params or dependant.response_param_name:
        raise TypeError(f"{function} has a parameter that a direct route cannot have")
    assert function is not None
    steps.append(
        _Step(
            call=function,
            request=dependant.request_param_name or dependant.http_connection_param_name,
            uses=uses,
            path=dependant.path_params,
            headers=dependant.header_params,
            header_names={field.alias.lower().encode() for field in dependant.header_params},
            defaults=request_params_to_args(dependant.header_params, _NO_HEADERS),
        )
    )
    return len(steps) - 1
