"""Builds the SLA timer from its settings."""

from collections.abc import Mapping
from datetime import datetime

from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.kafka.client import TICKETS
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.service import Service
from tocsin.sources.policy_file import configured_policy

from sla_timer.api import routes
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.domain.source_liveness import Silence
from sla_timer.handlers.handlers import Handlers
from sla_timer.settings import Settings
from sla_timer.store.policies import PolicyChangedError, add_policy, all_policies
from sla_timer.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from sla_timer.workers.jobs import Watch

STORY_BYTES = 4_000_000  # 10,000 facts


def build(settings: Settings) -> Service:
    """The service, not started. Raises ConfigurationError if the policy cannot be used."""
    policy = configured_policy(settings.policy)
    runtime = build_runtime(settings, "sla_timer", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES)
    book = PolicyBook()
    handlers = Handlers(runtime.writer, book, runtime.clock)

    async def store_policy() -> None:
        try:
            async with runtime.writer.begin() as connection:
                await add_policy(connection, policy)
                book.renew(await all_policies(connection))
        except PolicyChangedError as error:
            raise ConfigurationError(f"TOCSIN_POLICY: {error}") from error

    async def judge(partitions: Mapping[int, datetime | None]) -> None:
        await handlers.sweep_through(partitions)
        runtime.relay.wake()

    consumer = runtime.consumer(TICKETS, OFFSETS, handlers.facts_received, after_commit=judge)
    watch = Watch(runtime.reader, consumer, handlers, runtime.clock, Silence(settings.silence_seconds))
    runtime.scheduler.every(1, handlers.sweep_all, name="sweep")
    runtime.scheduler.every(5, watch.gauges, name="gauges")
    runtime.scheduler.every(5, handlers.renew_policies, name="policies", timeout=3600)
    runtime.scheduler.every(settings.probe_seconds, watch.probe, name="probe", timeout=60)
    app = runtime.create_app(
        "Schedules and fires the deadlines of every ticket, and can say why each is what it is.",
        consumer,
        [routes.router(runtime.reader, book, runtime.clock, watch.unconfirmed)],
        body_limits={"/v1/simulate": STORY_BYTES},
    )
    return Service(runtime=runtime, app=app, consumer=consumer, prepare=store_policy)
