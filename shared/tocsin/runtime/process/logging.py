"""Structured logs: one JSON object a line on standard output, from our code and from every library alike."""

import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog

from tocsin.runtime.process.settings import ServiceSettings

_REPEAT_SECONDS = 30.0
_QUIET = {
    "aiokafka": logging.ERROR,
    "apscheduler": logging.WARNING,
    "asyncio": logging.WARNING,
    "alembic": logging.INFO,
    # They tell whole addresses, and a calendar feed's often holds a token.
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


def configure(service: str, settings: ServiceSettings) -> None:
    """Send everything that logs, the libraries included, to standard output as `settings` say.

    Bind what follows a ticket with `structlog.contextvars.bound_contextvars(ticket_id=...)`.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    if settings.log_format == "json":
        rendering: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _json]
    else:
        # Plain: rich's tracebacks take seconds, in which everything stands still, and show what a body held.
        rendering = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_Repeated())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


def _named(service: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["service"] = service
        event.pop("color_message", None)
        return event

    return add


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(event), default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Repeated(logging.Filter):
    """Lets a library's same complaint through once in 30 s: aiokafka tells each failed connection, many times a
    second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        now = time.monotonic()
        message = record.name + str(record.msg)
        if now - self._told.get(message, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        self._told[message] = now
        return True
