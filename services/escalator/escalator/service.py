"""Builds the escalator from its settings."""

from tocsin.runtime.kafka.client import DEADLINES
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import DirectoryFile

from escalator import store
from escalator.api import routes
from escalator.handlers import Handlers
from escalator.settings import Settings


def build(settings: Settings) -> Service:
    """The service, not started."""
    runtime = build_runtime(
        settings, "escalator", outbox=store.outbox, dead_letters=store.dead_letters, key_uses=store.key_uses
    )
    directory = DirectoryFile(settings.directory, runtime.clock.now)
    runtime.scheduler.every(5, directory.refresh, name="directory", timeout=20)
    handlers = Handlers(runtime.clock, directory)
    consumer = runtime.consumer(DEADLINES, store.offsets, handlers.deadlines_told, ordered=True)
    app = runtime.create_app(
        "Which ladders run, who was told, what comes next.",
        consumer,
        [routes.router(runtime.reader, directory)],
        notes={"directory": directory.note},
    )
    return Service(runtime=runtime, app=app, consumer=consumer)
