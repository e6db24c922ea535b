"""Structured logs of our code and of the libraries: one JSON object per line on standard output."""

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
    # They log whole URLs, and the URL of a calendar feed often contains a token.
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


def configure(service: str, settings: ServiceSettings) -> None:
    """Send all logs, those of the libraries included, to standard output in the configured level and format.

    Use `structlog.contextvars.bound_contextvars(ticket_id=...)` to add the ticket to every log of a block.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # An event below the level costs nothing; the standard library's own logger would drop it after all processors.
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=True,
    )
    if settings.log_format == "json":
        rendering: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _json]
    else:
        # Plain: rich's tracebacks block the event loop for seconds, and show local variables such as bodies.
        rendering = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_RepeatFilter())
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


def _add_service(service: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        event["service"] = service
        event.pop("color_message", None)
        return event

    return add


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(event), default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _RepeatFilter(logging.Filter):
    """Passes the same message of aiokafka once in 30 s: it logs every failed connection, many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        now = time.monotonic()
        message = record.name + str(record.msg)
        if now - self._logged_at.get(message, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        self._logged_at[message] = now
        return True
