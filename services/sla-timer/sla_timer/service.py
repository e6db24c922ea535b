"""Builds the SLA timer from its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.pace import paced
from tocsin.runtime.process.service import Service
from tocsin.sources.policy_file import configured_policy

from sla_timer.api import outcomes, routes
from sla_timer.api.problems import add_error_handler
from sla_timer.errors import PolicyConflictError
from sla_timer.handlers.context import PolicyCache, TimerContext
from sla_timer.handlers.facts import receive_facts
from sla_timer.handlers.policies import PolicyRollout, store_policy
from sla_timer.handlers.sweep import sweep_all, sweep_partitions
from sla_timer.settings import Settings
from sla_timer.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from sla_timer.workers.gauges import ClockGauges
from sla_timer.workers.source_probe import SourceProbe

SIMULATION_BYTES: Final = 4_000_000
"""The size limit of a simulation's body: enough for 10,000 facts."""
_GAUGE_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class SlaTimerService(Service):
    """The SLA timer, built and not started."""

    context: TimerContext
    policy_rollout: PolicyRollout
    source_probe: SourceProbe
    gauges: ClockGauges


def build(settings: Settings, *, clock: TimeSource | None = None, idle_seconds: float = 5) -> SlaTimerService:
    """The service, not started. Raises ConfigurationError if the policy cannot be used.

    `clock` replaces the clock of the settings; `idle_seconds` is how long a transaction may be idle.
    """
    policy = configured_policy(settings.policy)
    runtime = build_runtime(
        settings,
        "sla_timer",
        outbox=OUTBOX,
        dead_letters=DEAD_LETTERS,
        key_uses=KEY_USES,
        clock=clock,
        idle_seconds=idle_seconds,
    )
    context = TimerContext(
        writer=runtime.writer,
        reader=runtime.reader,
        clock=runtime.clock,
        policies=PolicyCache(),
        wake_relay=runtime.relay.wake,
    )

    async def prepare() -> None:
        try:
            await store_policy(context, policy)
        except PolicyConflictError as error:
            raise ConfigurationError(f"TOCSIN_POLICY: {error}") from error

    async def on_batch(connection: AsyncConnection, batch: Sequence[Received]) -> None:
        await receive_facts(context, connection, batch)

    async def after_commit(watermarks: Mapping[int, datetime | None]) -> Mapping[int, datetime | None]:
        runtime.relay.wake()
        return await sweep_partitions(context, watermarks)

    consumer = runtime.consumer(TICKETS_TOPIC, OFFSETS, on_batch, after_commit=after_commit)
    source_probe = SourceProbe(context, consumer, silence_seconds=settings.silence_seconds)
    policy_rollout = PolicyRollout(context)
    gauges = ClockGauges(context, source_probe)
    # The sweep also runs after every stored batch; this one catches up when that one failed.
    runtime.scheduler.every(1, partial(sweep_all, context), name="sweep")
    runtime.scheduler.every(5, gauges.measure_ages, name="gauges", timeout=_GAUGE_SECONDS)
    for seconds, job, name in (
        (5, gauges.measure_clocks, "clock_gauges"),
        (15, gauges.measure_compliance, "compliance_gauges"),
    ):
        runtime.scheduler.every(seconds, paced(job), name=name, timeout=_GAUGE_SECONDS)
    runtime.scheduler.every(5, policy_rollout.run, name="policies", timeout=3600)
    runtime.scheduler.every(settings.probe_seconds, source_probe.run, name="probe", timeout=60)
    app = runtime.create_app(
        "Computes the deadlines of every ticket, publishes them when they are due, and explains each of them.",
        [consumer],
        [routes.router(context, source_probe), outcomes.router(context)],
        body_limits={"/v1/simulate": SIMULATION_BYTES},
    )
    add_error_handler(app)
    return SlaTimerService(
        runtime=runtime,
        app=app,
        consumers=[consumer],
        prepare=prepare,
        context=context,
        policy_rollout=policy_rollout,
        source_probe=source_probe,
        gauges=gauges,
    )
