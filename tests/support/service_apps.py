"""The four services' applications as each `__main__` puts them together, without what works behind them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import escalator.api.routes
import escalator.store
import intake.api
import intake.api.ack
import intake.api.mail
import intake.api.webhooks
import intake.domain.mail
import intake.handlers.context
import intake.sources.integrations_file
import intake.sources.signing_keys
import intake.store.tables
import intake.workers.webhook_worker
import notifier.api
import notifier.api.bounces
import notifier.api.on_call
import notifier.store.tables
import sla_timer.api.routes
import sla_timer.domain.policy_history
import sla_timer.store.tables
from fastapi import APIRouter, FastAPI
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.acknowledgement import Links
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http.key_usage import KeyUses
from tocsin.runtime.process.clock import BusinessClock
from tocsin.sources.directory_file import DirectoryFile
from tocsin.sources.policy_file import read_policy

POLICIES = Path(__file__).parents[2] / "deploy/policy"
LINKS = Links(["k" * 32])
CLOCK = BusinessClock(datetime(2026, 6, 8, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC), 1.0)
FREE_FORM = {"intake": ("/ack/", intake.api.webhooks.PREFIX), "notifier": (notifier.api.bounces.PATH,)}
LIMITS = {
    "/v1/tickets/batch": 32_000_000,
    "/v1/simulate": 4_000_000,
    intake.api.mail.MAIL_PREFIX: intake.domain.mail.MAX_MAIL_BYTES,
}


def application(service: str, database: AsyncEngine, keys: Path, integrations: Path | None = None) -> FastAPI:
    """That service's application, on that database; `integrations` are intake's, none where it is None."""
    ring = KeyRing(keys)
    app = create_app(service, "", ring, {}, body_limits=LIMITS, free_form=FREE_FORM.get(service, ()))
    own = intake_routes(database, integrations) if service == "intake" else ROUTES[service](database)
    for routes in (*own, KeyUses(ring, database, KEY_USES[service]).routes()):
        app.include_router(routes)
    return app


def intake_routes(database: AsyncEngine, integrations_file: Path | None = None) -> list[APIRouter]:
    policy = read_policy(POLICIES / "policy.yaml")
    context = intake.handlers.context.IngestContext(policy, CLOCK.business, intake.store.tables.outbox, 1)
    integrations = intake.sources.integrations_file.IntegrationsFile(integrations_file)
    deliveries = intake.workers.webhook_worker.WebhookWorker(context, database, database, lambda: None, integrations)
    return [
        intake.api.router(context, database, database, lambda: None),
        intake.api.mail.router(deliveries, integrations),
        intake.api.webhooks.router(database, deliveries, integrations, intake.sources.signing_keys.SigningKeys()),
        intake.api.ack.router(context, database, database, lambda: None, LINKS),
        dead_letter_routes(database, intake.store.tables.dead_letters, intake.store.tables.outbox, None),
    ]


def sla_timer_routes(database: AsyncEngine) -> list[APIRouter]:
    tables = sla_timer.store.tables
    book = sla_timer.domain.policy_history.PolicyBook()
    book.renew([read_policy(POLICIES / "policy.yaml")])
    return [
        sla_timer.api.routes.router(database, book, CLOCK, lambda partition: False),
        dead_letter_routes(database, tables.DEAD_LETTERS, tables.OUTBOX, None),
    ]


def escalator_routes(database: AsyncEngine) -> list[APIRouter]:
    directory = DirectoryFile(POLICIES / "directory.yaml")
    return [
        escalator.api.routes.router(database, directory),
        dead_letter_routes(database, escalator.store.dead_letters, escalator.store.outbox, None),
    ]


def notifier_routes(database: AsyncEngine) -> list[APIRouter]:
    tables = notifier.store.tables
    directory = DirectoryFile(POLICIES / "directory.yaml")
    return [
        notifier.api.on_call.router(directory, CLOCK),
        notifier.api.router(database, database, CLOCK, directory.current, lambda: None),
        dead_letter_routes(database, tables.DEAD_LETTERS, tables.OUTBOX, None),
    ]


KEY_USES: Mapping[str, Table] = {
    "intake": intake.store.tables.key_uses,
    "sla-timer": sla_timer.store.tables.KEY_USES,
    "escalator": escalator.store.key_uses,
    "notifier": notifier.store.tables.KEY_USES,
}
ROUTES: Mapping[str, Callable[[AsyncEngine], list[APIRouter]]] = {
    "intake": intake_routes,
    "sla-timer": sla_timer_routes,
    "escalator": escalator_routes,
    "notifier": notifier_routes,
}
