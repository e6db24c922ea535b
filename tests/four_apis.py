"""The four services' applications as each `__main__` puts them together, without what works behind them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import escalator.api
import escalator.store
import intake.api
import intake.api.ack
import intake.api.deliveries
import intake.api.hooks
import intake.api.mails
import intake.handlers
import intake.integrations_file
import intake.signing_keys
import intake.store
import notifier.api
import notifier.api.bouncing
import notifier.on_call_api
import notifier.tables
import sla_timer.api
import sla_timer.book
import sla_timer.store.tables
from fastapi import APIRouter, FastAPI
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.acknowledgement import Links
from tocsin.policy.files import read_policy
from tocsin.runtime.clock import BusinessClock
from tocsin.runtime.dead_letter_routes import dead_letter_routes
from tocsin.runtime.directory_file import DirectoryFile
from tocsin.runtime.http import create_app
from tocsin.runtime.key_uses import KeyUses
from tocsin.runtime.keys import KeyRing

POLICIES = Path(__file__).parents[1] / "deploy/policy"
LINKS = Links(["k" * 32])
CLOCK = BusinessClock(datetime(2026, 6, 8, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC), 1.0)
FREE_FORM = {"intake": ("/ack/", intake.api.hooks.PREFIX), "notifier": (notifier.api.bouncing.PATH,)}
LIMITS = {
    "/v1/tickets/batch": 32_000_000,
    "/v1/simulate": 4_000_000,
    intake.api.mails.MAIL_PREFIX: intake.api.mails.MAIL_BYTES,
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
    desk = intake.handlers.Desk(policy, CLOCK.business, intake.store.outbox, 1)
    integrations = intake.integrations_file.IntegrationsFile(integrations_file)
    deliveries = intake.api.deliveries.Deliveries(desk, database, database, lambda: None, integrations)
    return [
        intake.api.router(desk, database, database, lambda: None),
        intake.api.mails.router(deliveries, integrations),
        intake.api.hooks.router(database, deliveries, integrations, intake.signing_keys.SigningKeys()),
        intake.api.ack.router(desk, database, database, lambda: None, LINKS),
        dead_letter_routes(database, intake.store.dead_letters, intake.store.outbox, None),
    ]


def sla_timer_routes(database: AsyncEngine) -> list[APIRouter]:
    tables = sla_timer.store.tables
    book = sla_timer.book.PolicyBook()
    book.renew([read_policy(POLICIES / "policy.yaml")])
    return [
        sla_timer.api.router(database, book, CLOCK, lambda partition: False),
        dead_letter_routes(database, tables.DEAD_LETTERS, tables.OUTBOX, None),
    ]


def escalator_routes(database: AsyncEngine) -> list[APIRouter]:
    directory = DirectoryFile(POLICIES / "directory.yaml")
    return [
        escalator.api.router(database, directory),
        dead_letter_routes(database, escalator.store.dead_letters, escalator.store.outbox, None),
    ]


def notifier_routes(database: AsyncEngine) -> list[APIRouter]:
    tables = notifier.tables
    directory = DirectoryFile(POLICIES / "directory.yaml")
    return [
        notifier.on_call_api.router(directory, CLOCK),
        notifier.api.router(database, database, CLOCK, directory.current, lambda: None),
        dead_letter_routes(database, tables.DEAD_LETTERS, tables.OUTBOX, None),
    ]


KEY_USES: Mapping[str, Table] = {
    "intake": intake.store.key_uses,
    "sla-timer": sla_timer.store.tables.KEY_USES,
    "escalator": escalator.store.key_uses,
    "notifier": notifier.tables.KEY_USES,
}
ROUTES: Mapping[str, Callable[[AsyncEngine], list[APIRouter]]] = {
    "intake": intake_routes,
    "sla-timer": sla_timer_routes,
    "escalator": escalator_routes,
    "notifier": notifier_routes,
}
