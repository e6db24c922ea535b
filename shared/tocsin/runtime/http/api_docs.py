"""/openapi.json, and /docs that works offline: scripts and styles come from the package fastapi-offline."""

from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

from tocsin.runtime.http.responses import JsonResponse

PATH: Final = "/docs"
_DOCUMENT: Final = "/openapi.json"
_FILES: Final = "/docs/files"


def add_docs(app: FastAPI) -> None:
    """Add the document, the page, and the files of the page below it."""
    page = get_swagger_ui_html(
        openapi_url=_DOCUMENT,
        title=app.title,
        swagger_js_url=f"{_FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{_FILES}/swagger-ui.css",
        swagger_favicon_url=f"{_FILES}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )

    @app.get(_DOCUMENT, include_in_schema=False)
    async def document() -> JsonResponse:
        return JsonResponse(app.openapi())

    @app.get(PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return page

    app.mount(_FILES, StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"))
