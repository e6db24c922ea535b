"""`/livez`, `/readyz` and `/metrics`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ConfigDict, Field

from tocsin.runtime.http.exposition import Exposition
from tocsin.runtime.http.responses import ResponseModel

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]
"""A readiness check: None if all is well, otherwise what is wrong, in a few words."""

_CHECK_SECONDS: Final = 3.0
_SCRAPE_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
"""Sent by Prometheus and by the agents that contain its scraper."""
_NOT_READY: Final = {"status": "not ready", "checks": {"database": "does not respond", "keys": "ok"}}
_METRICS: Final = (
    "# HELP sla_outbox_pending Events stored and not yet acknowledged by Kafka\n"
    "# TYPE sla_outbox_pending gauge\n"
    "sla_outbox_pending 0.0\n"
)


class LivenessResponse(ResponseModel):
    """The process responds."""

    status: Literal["ok"] = "ok"

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})


class ReadinessResponse(ResponseModel):
    """Every check by its name."""

    status: Literal["ok", "not ready"]
    checks: dict[str, str] = Field(description="`ok`, or what is wrong")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "ok", "checks": {"database": "ok", "keys": "ok"}}]}
    )


def health_routes(checks: Mapping[str, Check], notes: Mapping[str, Check]) -> APIRouter:
    """The three routes. A failed check makes the service not ready; a note is only reported."""
    router = APIRouter(tags=["health"])
    exposition = Exposition()

    @router.get("/livez", summary="Check that the process responds", response_description="It responds")
    async def livez() -> LivenessResponse:
        """Depends on nothing else. Restart a process that does not respond to this."""
        return LivenessResponse()

    @router.get(
        "/readyz",
        summary="Check that the service is ready",
        response_description="Ready",
        responses={
            503: {
                "description": "Not ready: at least one check failed",
                "model": ReadinessResponse,
                "content": {"application/json": {"example": _NOT_READY}},
            }
        },
    )
    async def readyz(response: Response) -> ReadinessResponse:
        """Runs every check. Some entries are notes: a problem that they report leaves the service ready."""
        named = sorted({**notes, **checks}.items())
        results = await asyncio.gather(*(_run(name, check) for name, check in named))
        failed = {name: result for (name, _), result in zip(named, results, strict=True) if result is not None}
        is_ready = not failed.keys() & checks.keys()
        response.status_code = 200 if is_ready else 503
        return ReadinessResponse(
            status="ok" if is_ready else "not ready", checks={name: failed.get(name, "ok") for name, _ in named}
        )

    @router.get(
        "/metrics",
        summary="Get the metrics",
        response_class=Response,
        responses={
            200: {
                "description": "The metrics",
                "content": {"text/plain": {"schema": {"type": "string"}, "example": _METRICS}},
            }
        },
    )
    async def metrics(request: Request) -> Response:
        """In Prometheus' text format. The README of each service lists its metrics.

        A Prometheus server gets each series of a counter or a histogram at 0 first, and its value from the next scrape
        on, so that `increase()` counts from the first event on.
        """
        content = exposition.render(scrape=_SCRAPE_HEADER in request.headers)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    return router


async def _run(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no response within {_CHECK_SECONDS:.0f} s"
    except Exception as error:  # the edge: whatever a check raises means not ready
        log.warning("check_failed", check=name, error=repr(error))
        return "failed"
