"""Runs a benchmark in a process of its own, so that none leaves settings, garbage or caches behind for the next."""

import importlib
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import structlog

from bench.figures import Effort, Figure


def measure_alone(module: str, effort: Effort) -> list[Figure]:
    """What `measure(effort)` of `bench.MODULE` returns. Its exceptions are raised here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure, module, effort).result()


def _measure(module: str, effort: Effort) -> list[Figure]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    loaded: Any = importlib.import_module(f"bench.{module}")
    figures: list[Figure] = loaded.measure(effort)
    return figures
