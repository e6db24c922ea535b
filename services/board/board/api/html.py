"""HTML pages: templates, static files named by their content, and the headers of every HTML response."""

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.query_parameters import ANY_QUERY

from board.handlers.page_templates import page_environment

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Vary": "Accept, Cookie",
}
"""The headers of every HTML response. Nothing is loaded from outside, and no script or style is inline."""

_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_TITLES: Final[Mapping[int, str]] = {
    400: "Invalid request",
    401: "API key not valid",
    403: "No access",
    404: "Not found",
    422: "The address has an unknown or invalid part",
    429: "Too many attempts",
    500: "Internal error",
    503: "Not available for the moment",
}
"""The headings of problems for people."""
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_HASH_LENGTH: Final = 12
_WORTH_COMPRESSING: Final = 50_000
"""Bytes of a page."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of `static/`: the address with the hash of its content, the content, and the content compressed."""

    address: str
    media_type: str
    content: bytes
    compressed: bytes


@cache
def static_files() -> Mapping[str, StaticFile]:
    """The files of `static/` by name (`board.css`)."""
    found = {}
    for file in sorted(files("board").joinpath("static").iterdir(), key=lambda file: file.name):
        stem, _, suffix = file.name.rpartition(".")
        content = file.read_bytes()
        digest = sha256(content).hexdigest()[:_HASH_LENGTH]
        found[file.name] = StaticFile(
            f"/static/{stem}.{digest}.{suffix}", _MEDIA_TYPES[suffix], content, gzip.compress(content, mtime=0)
        )
    return found


@cache
def templates() -> Any:
    """The environment of the pages. `asset(name)` in a template is the address of a static file."""
    return page_environment(asset=lambda name: static_files()[name].address)


def render(template: str, **values: Any) -> str:
    """The text of `templates/{template}` with these values."""
    return str(templates().get_template(template).render(values))


def html_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An HTML response with the headers of every page; `headers` replace or add some."""
    return Response(text, status, {**PAGE_HEADERS, **(headers or {})}, "text/html; charset=utf-8")


async def compressed(request: Request, text: str) -> Response:
    """An HTML response, compressed if that saves more time than it takes: 2.4 MB become 0.13 MB in 25 ms."""
    content = text.encode()
    if len(content) < _WORTH_COMPRESSING or "gzip" not in request.headers.get("accept-encoding", ""):
        return html_response(text)
    packed = await asyncio.to_thread(gzip.compress, content, 1, mtime=0)
    headers = {**PAGE_HEADERS, "Content-Encoding": "gzip", "Vary": f"{PAGE_HEADERS['Vary']}, Accept-Encoding"}
    return Response(packed, 200, headers, "text/html; charset=utf-8")


def prefers_html(request: Request) -> bool:
    """Whether the client is a browser or states no preference. Other clients request JSON, or a file with data."""
    accept = request.headers.get("accept", "")
    if request.url.path.endswith((".csv", ".json")):
        return False
    return "json" not in accept or "text/html" in accept


def problem_response(request: Request, problem: Problem) -> Response:
    """The problem as a page for a browser, and as JSON for others."""
    if not prefers_html(request):
        return problem.response()
    title = _TITLES.get(problem.status, problem.body.title)
    text = render("problem.html.j2", title=title, problem=problem.body, viewer=None, section=None)
    return html_response(text, problem.status, problem.headers)


def static_routes() -> APIRouter:
    """`GET /static/{file}`: the address contains a hash of the content, so that browsers may keep the file forever."""
    routes = APIRouter(dependencies=[ANY_QUERY])
    by_address = {file.address: file for file in static_files().values()}

    async def get_static_file(request: Request) -> Response:
        file = by_address.get(request.url.path)
        if file is None:
            raise Problem(404, "Not found: no such file.")
        headers = {
            "Cache-Control": _IMMUTABLE,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.compressed, 200, {**headers, "Content-Encoding": "gzip"}, file.media_type)
        return Response(file.content, 200, headers, file.media_type)

    routes.add_api_route("/static/{file}", get_static_file, methods=["GET", "HEAD"], include_in_schema=False)
    return routes
