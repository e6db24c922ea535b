"""Builds the notifier from its settings: the only place that constructs anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.business_time import load_zone
from tocsin.policy import DEFAULT_SINGLE_PER_MINUTE, Policy
from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.kafka.client import ESCALATIONS_TOPIC
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import REFRESH_SECONDS, DirectoryFile
from tocsin.sources.policy_file import configured_policy, mailboxes_of

from notifier import api
from notifier.api.bounces import PATH
from notifier.api.problems import add_error_handler
from notifier.domain.message import MailSender
from notifier.domain.rendering import MailTemplates
from notifier.domain.template_check import check_templates
from notifier.errors import MailTemplateError
from notifier.handlers.notifications import Handlers
from notifier.settings import Settings
from notifier.sources.mail_templates import built_in_templates, load_templates
from notifier.store import unmatched_reports
from notifier.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from notifier.workers.composer import LinkSource, MailComposer
from notifier.workers.gauges import MailGauges
from notifier.workers.sender import Sender

_CERTIFICATE_SECONDS = 6 * 3600
_UNMATCHED_KEPT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class NotifierService(Service):
    """The notifier, built and not started."""

    handlers: Handlers
    sender: Sender


def build(settings: Settings, clock: TimeSource | None = None) -> NotifierService:
    """The service; `clock` replaces the one of the settings.

    Raises ConfigurationError if the policy or a mail template cannot be used.
    """
    runtime = build_runtime(
        settings, "notifier", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock, writer_pool=8
    )
    directory = DirectoryFile(settings.directory, runtime.clock.now, settings.calendar_networks)
    policy = configured_policy(settings.policy) if settings.policy else None
    composer = build_composer(settings, directory, policy)
    allowance = partial(_single_per_minute, policy)
    sender = Sender(runtime.writer, directory, composer, runtime.clock, settings, allowance, runtime.relay.wake)
    handlers = Handlers(runtime.clock)

    def wake() -> None:
        sender.wake()
        runtime.relay.wake()

    async def on_commit(_: Mapping[int, datetime | None]) -> Mapping[int, datetime | None]:
        wake()
        return {}

    async def directory_check() -> str | None:
        return None if directory.current() else "no usable directory is loaded; mails wait"

    gauges = MailGauges(runtime.reader, directory, runtime.clock, _ladder_roles(policy))
    runtime.scheduler.every(5, gauges.measure_queue, name="queue_gauges", timeout=5)
    runtime.scheduler.every(5, gauges.measure_holders, name="on_call", timeout=5)
    runtime.scheduler.every(60, gauges.measure_gaps, name="directory_gaps", timeout=60)
    runtime.scheduler.every(5, directory.refresh, name="directory", timeout=REFRESH_SECONDS)
    runtime.scheduler.every(15, sender.probe_failed_servers, name="mail_servers", timeout=120)
    runtime.scheduler.every(_CERTIFICATE_SECONDS, sender.read_certificates, name="certificates", timeout=120)
    forget_reports = partial(_forget_reports, runtime.writer)
    runtime.scheduler.every(3600, forget_reports, name="report_retention", timeout=60)
    return_path = settings.return_path(settings.ack_keys)
    consumer = runtime.consumer(ESCALATIONS_TOPIC, OFFSETS, handlers.on_batch, ordered=True, after_commit=on_commit)
    app = runtime.create_app(
        "Mails to the people on call, and the delivery of every mail.",
        [consumer],
        api.routers(runtime.reader, runtime.writer, runtime.clock, directory, return_path, wake),
        checks={"directory": directory_check},
        notes={"directory_file": directory.note},
        free_form=[PATH],
    )
    add_error_handler(app)
    return NotifierService(
        runtime=runtime,
        app=app,
        consumers=[consumer],
        # Prepared: otherwise the gaps of the directory are unknown for the first minute.
        prepare=directory.refresh,
        tasks=[sender.run],
        handlers=handlers,
        sender=sender,
    )


async def _forget_reports(writer: AsyncEngine) -> None:
    async with writer.begin() as connection:
        await unmatched_reports.forget(connection, _UNMATCHED_KEPT)


def _single_per_minute(policy: Policy | None, customer_id: str) -> int:
    """How many single mails a minute the terms of the customer allow (docs/rules.md#5-31)."""
    return policy.rules(customer_id).single_per_minute if policy else DEFAULT_SINGLE_PER_MINUTE


def build_composer(settings: Settings, directory: DirectoryFile, policy: Policy | None) -> MailComposer:
    """The composer of all mails. Raises ConfigurationError if a mail template cannot be used."""

    def zone_of(person: str) -> tzinfo | None:
        known = directory.current()
        zone = known.people[person].zone if known and person in known.people else None
        return load_zone(zone) if zone else None

    help_guide = str(policy.help_guide) if policy and policy.help_guide else None
    return MailComposer(
        MailSender(settings.mail_from, reply_to=settings.reply_to),
        LinkSource(settings.links, settings.public_url, settings.link_life, settings.ticket_urls or {}, help_guide),
        configured_templates(settings.mail_templates),
        settings.zone,
        zone_of,
        mailboxes_of(policy),
    )


def configured_templates(folder: Path | None) -> MailTemplates:
    """The templates at TOCSIN_MAIL_TEMPLATES, tried with every kind of mail; the built-in ones without a folder.

    Raises ConfigurationError if one does not compile or render.
    """
    if folder is None:
        return built_in_templates()
    try:
        templates = load_templates(folder)
        check_templates(templates)
    except MailTemplateError as error:
        raise ConfigurationError(f"TOCSIN_MAIL_TEMPLATES: {error}.") from error
    return templates


def _ladder_roles(policy: Policy | None) -> frozenset[str]:
    """The roles of all ladders of the policy."""
    if policy is None:
        return frozenset()
    return frozenset(tier.role for customer in (None, *policy.customers) for tier in policy.rules(customer).ladder)
