"""Builds the board from its settings: the only place that constructs anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import httpx
from fastapi import APIRouter
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, NOTIFICATIONS_TOPIC, TICKETS_TOPIC
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.process.bootstrap import Runtime, build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.pace import paced
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import REFRESH_SECONDS, DirectoryFile

from board.api import live, machine, on_call_page, pages, reports, ticket_page, webhook_deliveries
from board.api.access import LOGIN_BYTES, Access, TrustedProxies, add_access
from board.api.board_rows import BoardRows
from board.api.html import static_routes
from board.api.pages import Board
from board.api.session import SessionSigner
from board.domain.ticket_links import TicketLinks
from board.handlers.deadline_calendars import DeadlineCalendars
from board.handlers.machine_queries import MachineContext
from board.handlers.records import Handlers
from board.handlers.reports import ReportSlots
from board.handlers.ticket_page import TicketPages
from board.handlers.webhook_deliveries import forget, measure
from board.handlers.webhooks import WebhookQueue
from board.settings import Settings
from board.sources.upstream import Upstream
from board.sources.webhook_request import WebhookClient
from board.sources.webhooks_file import WebhooksFile
from board.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from board.workers.freshness import CHECK_SECONDS as FRESHNESS_SECONDS
from board.workers.freshness import Freshness
from board.workers.live_updates import LiveUpdates
from board.workers.open_tickets import DatabaseTickets, OpenTickets
from board.workers.refresher import OnChange, Refresher
from board.workers.report_mail import MAIL_CHECK_SECONDS, ReportMailer
from board.workers.webhook_sender import WebhookSender

_MEASURE_SECONDS: Final = 5
_GATHER_SECONDS: Final = 0.2
"""The tickets topic has sixty watermarks a second, which the board does not need."""
_REPORT_SECONDS: Final = 1800


@dataclass(frozen=True)
class OutgoingWebhooks:
    """The parts that queue and send webhooks."""

    file: WebhooksFile
    queue: WebhookQueue
    sender: WebhookSender


@dataclass(frozen=True)
class ReadModel:
    """The parts that keep the read model up to date. `listeners` are called after each commit that changed a ticket."""

    handlers: Handlers
    refresher: Refresher
    consumers: Sequence[Consumer]
    listeners: list[OnChange]


@dataclass(frozen=True)
class LivePages:
    """The first page, its tickets in memory, and its live updates."""

    tickets: OpenTickets
    updates: LiveUpdates
    first_page: Board


@dataclass(frozen=True, kw_only=True)
class BoardService(Service):
    """The board, built and not started."""

    handlers: Handlers
    upstream: Upstream
    refresher: Refresher
    webhooks: OutgoingWebhooks


def build(
    settings: Settings,
    clock: TimeSource | None = None,
    *,
    transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
) -> BoardService:
    """The service; `clock` replaces the one of the settings, `transports` the connections to other services by name."""
    runtime = build_runtime(
        settings, "board", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock, consumers=4
    )
    directory = DirectoryFile(settings.directory, runtime.clock.now, settings.calendar_networks)
    runtime.scheduler.every(5, directory.refresh, name="directory", timeout=REFRESH_SECONDS)
    links = TicketLinks(settings.public_url, settings.ticket_urls or {})
    # Reports use separate connections: the many requests of a report delay no ticket.
    upstream, reports_upstream = (_build_upstream(settings, transports) for _ in range(2))
    webhooks = _build_webhooks(runtime, settings, links)
    model = _build_read_model(runtime, upstream, webhooks.queue)
    live_pages = _build_live_pages(runtime, settings, directory, model)
    mailer = ReportMailer(
        runtime.writer, directory, runtime.clock, reports_upstream.get, settings.public_url, runtime.relay.wake
    )
    runtime.scheduler.every(MAIL_CHECK_SECONDS, mailer.mail_due, name="report_mail", timeout=_REPORT_SECONDS)
    app = runtime.create_app(
        "Open tickets, their deadlines, and reports.",
        model.consumers,
        [
            *_page_routers(runtime, settings, directory, upstream, links, live_pages),
            reports.router(reports_upstream.get, runtime.clock, settings.zone, ReportSlots()),
            machine.router(_machine_context(runtime, directory, links, live_pages.tickets)),
            webhook_deliveries.router(runtime.reader, runtime.side_writer, webhooks.sender.wake),
        ],
        notes={"directory": directory.note, "webhooks": webhooks.file.note},
        body_limits={"/login": LOGIN_BYTES, "/logout": LOGIN_BYTES},
        free_form=("/login", "/logout"),
    )
    add_access(app, _access(settings, runtime.keys))
    return BoardService(
        runtime=runtime,
        app=app,
        consumers=model.consumers,
        tasks=[model.refresher.run, live_pages.updates.run, webhooks.sender.run],
        prepare=directory.refresh,
        handlers=model.handlers,
        upstream=upstream,
        refresher=model.refresher,
        webhooks=webhooks,
    )


def _build_read_model(runtime: Runtime, upstream: Upstream, queue: WebhookQueue) -> ReadModel:
    listeners: list[OnChange] = []
    handlers, refresher = Handlers(queue), Refresher(runtime.side_writer, upstream, listeners)

    async def after_commit(topic: str, watermarks: Mapping[int, datetime | None]) -> Mapping[int, datetime | None]:
        if handlers.take_changes(topic):
            refresher.wake()
            for act in listeners:
                act()
        return dict.fromkeys(watermarks)  # nothing waits for a watermark

    consumers = [
        runtime.consumer(topic, OFFSETS, on_batch, after_commit=partial(after_commit, topic), gather_seconds=gathered)
        for topic, on_batch, gathered in (
            (TICKETS_TOPIC, handlers.on_tickets, _GATHER_SECONDS),
            (DEADLINES_TOPIC, handlers.on_deadlines, 0),
            (ESCALATIONS_TOPIC, handlers.on_escalations, 0),
            (NOTIFICATIONS_TOPIC, handlers.on_notifications, 0),
        )
    ]
    runtime.scheduler.every(
        _MEASURE_SECONDS, paced(refresher.measure), name="staleness_gauges", timeout=_MEASURE_SECONDS
    )
    return ReadModel(handlers, refresher, consumers, listeners)


def _build_live_pages(runtime: Runtime, settings: Settings, directory: DirectoryFile, model: ReadModel) -> LivePages:
    tickets = OpenTickets(DatabaseTickets(runtime.reader))
    freshness = Freshness(
        runtime.clock,
        settings.zone,
        model.refresher,
        model.consumers,
        tenants=settings.upstream_keys,
        unevaluated=tickets.unevaluated,
    )
    runtime.scheduler.every(FRESHNESS_SECONDS, freshness.check, name="freshness", timeout=FRESHNESS_SECONDS)
    rows = BoardRows(settings.zone, directory.current)
    updates = LiveUpdates(tickets, runtime.clock, rows.render, freshness.why_stale, directory.current)
    model.listeners.append(updates.wake)
    first_page = Board(tickets=tickets, rows=rows, clock=runtime.clock, zone=settings.zone, problem=freshness.why_stale)
    return LivePages(tickets, updates, first_page)


def _page_routers(
    runtime: Runtime,
    settings: Settings,
    directory: DirectoryFile,
    upstream: Upstream,
    links: TicketLinks,
    live_pages: LivePages,
) -> list[APIRouter]:
    """The routes that people use: HTML, the files that pages load, and live updates."""
    clock, zone = runtime.clock, settings.zone
    return [
        static_routes(),
        pages.router(live_pages.first_page),
        live.router(live_pages.updates),
        ticket_page.router(TicketPages(runtime.reader, upstream), clock, zone, directory.current, links),
        on_call_page.router(directory, clock, zone),
    ]


def _machine_context(
    runtime: Runtime, directory: DirectoryFile, links: TicketLinks, tickets: OpenTickets
) -> MachineContext:
    calendars = DeadlineCalendars(tickets.load, lambda: tickets.version, runtime.clock, links)
    return MachineContext(runtime.reader, tickets.load, runtime.clock, directory, links, calendars)


def _build_upstream(settings: Settings, transports: Mapping[str, httpx.AsyncBaseTransport] | None) -> Upstream:
    return Upstream(
        sla_timer_url=settings.sla_timer_url,
        escalator_url=settings.escalator_url,
        keys=settings.upstream_keys,
        transports=transports,
    )


def _build_webhooks(runtime: Runtime, settings: Settings, links: TicketLinks) -> OutgoingWebhooks:
    file = WebhooksFile(settings.webhooks)
    sender = WebhookSender(runtime.side_writer, file, runtime.clock, WebhookClient(settings.webhook_networks))
    kept_for = timedelta(days=settings.webhook_retention_days)
    scheduler = runtime.scheduler
    scheduler.every(15, lambda: measure(runtime.reader, file), name="webhook_gauges", timeout=15)
    scheduler.every(600, lambda: forget(runtime.side_writer, kept_for), name="webhook_retention", timeout=300)
    return OutgoingWebhooks(file, WebhookQueue(file, runtime.clock, links, sender.wake_soon), sender)


def _access(settings: Settings, keys: KeyRing) -> Access:
    secret = settings.board_session_keys
    return Access(
        keys=keys,
        proxies=TrustedProxies(
            networks=settings.board_proxies,
            user_header=settings.board_user_header,
            groups_header=settings.board_groups_header,
            tenants=settings.board_tenants,
        ),
        sessions=SessionSigner(secret.get_secret_value().split(",")) if secret is not None else None,
    )
