"""Serves: what `python -m PACKAGE` does without arguments."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import TypeVar

from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.process.logging import configure
from tocsin.runtime.process.service import Service
from tocsin.runtime.process.settings import ServiceSettings, load

S = TypeVar("S", bound=ServiceSettings)


def serve(package: str, settings: type[S], build: Callable[[S], Service]) -> None:
    """Build the service from the environment, and run it until TERM or INT.

    Call it when all modules are imported: it switches garbage collection on. Raises SystemExit(2) if the configuration
    is invalid, and what `Service.run` raises.
    """
    gc.freeze()  # the modules stay: no collection needs to look at them
    gc.enable()
    loaded = load(settings)
    configure(package.replace("_", "-"), loaded)
    asyncio.run(_run(loaded, build))


async def _run(settings: S, build: Callable[[S], Service]) -> None:
    try:
        await build(settings).run()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
