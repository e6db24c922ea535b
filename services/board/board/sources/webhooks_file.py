"""webhooks.yaml and its templates, reloaded when they change; while one is invalid, the last valid ones are active."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import structlog
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.regular_file import read_text
from tocsin.runtime.process.reloaded_file import ReloadedFile
from tocsin.sources.secrets import read_secret
from tocsin.yaml_document import FieldPath, locate_problems

from board import metrics
from board.domain.webhooks.config import WebhookEndpoint, Webhooks, check_url, load_webhooks
from board.domain.webhooks.rendering import WebhookTemplate
from board.domain.webhooks.signature import check_secret
from board.errors import WebhooksFileError, WebhookTemplateError

log = structlog.get_logger(__name__)

_CHAT_FORMATS: Final = ("teams", "slack")


@dataclass(frozen=True)
class LoadedWebhooks:
    """The endpoints of a file, with the templates that it names, by path."""

    webhooks: Webhooks
    own_templates: Mapping[str, WebhookTemplate] = field(default_factory=dict)

    def template_of(self, endpoint: WebhookEndpoint) -> WebhookTemplate | None:
        """The template that writes the endpoint's bodies; None for the standard format."""
        if endpoint.template is not None:
            return self.own_templates[endpoint.template]
        return chat_templates().get(endpoint.format)


class WebhooksFile:
    """The webhooks in a file; without a file there are none. Every call checks whether the files have changed."""

    def __init__(self, path: Path | None) -> None:
        self._file: ReloadedFile[LoadedWebhooks] | None = None
        self._templates: Mapping[Path, tuple[int, int] | None] = {}
        if path is not None:
            self._folder = path.parent
            self._file = ReloadedFile(
                path, self._load, WebhooksFileError, event="webhooks_broken", broken=metrics.WEBHOOKS_BROKEN
            )
        self.current()

    def current(self) -> LoadedWebhooks:
        """The last valid webhooks; none before the first valid file."""
        if self._file is not None:
            are_changed = any(_version(path) != known for path, known in self._templates.items())
            found = self._file.reload(again=are_changed)
            if found is not None:
                metrics.declare_endpoints(endpoint.id for endpoint in found.webhooks.endpoints)
                log.info("webhooks_loaded", endpoints=[endpoint.id for endpoint in found.webhooks.endpoints])
            if self._file.content is not None:
                return self._file.content
        return _NO_WEBHOOKS

    @property
    def problem(self) -> str | None:
        """What is wrong with the file, or None."""
        return self._file.problem if self._file is not None else None

    async def note(self) -> str | None:
        """What is wrong with the file, without its values, or None; for `/readyz`."""
        self.current()
        return self._file.public_problem if self._file is not None else None

    def _load(self, text: str, name: str) -> LoadedWebhooks:
        webhooks = load_webhooks(text, name)
        paths = {self._folder / each.template for each in webhooks.endpoints if each.template is not None}
        # Before they are read, so that an edit in the meantime is noticed.
        self._templates = {path: _version(path) for path in paths}
        return _with_templates(webhooks, text, name, self._folder)


def read_webhooks(path: Path) -> LoadedWebhooks:
    """The webhooks in a file, for a command. Raises WebhooksFileError and FileReadError."""
    text = read_text(path)
    return _with_templates(load_webhooks(text, path.name), text, path.name, path.parent)


def _with_templates(webhooks: Webhooks, text: str, name: str, folder: Path) -> LoadedWebhooks:
    templates: dict[str, WebhookTemplate] = {}
    problems: list[tuple[FieldPath, str]] = []
    for number, endpoint in enumerate(webhooks.endpoints):
        if endpoint.template is None or endpoint.template in templates:
            continue
        try:
            templates[endpoint.template] = _read_template(folder / endpoint.template)
        except WebhookTemplateError as error:
            problems.append((("endpoints", number, "template"), str(error)))
    if problems:
        lines = locate_problems(text, name, problems)
        raise WebhooksFileError(lines, [": ".join(line.split(": ")[:2]) for line in lines])
    return LoadedWebhooks(webhooks, templates)


def read_url(endpoint: WebhookEndpoint) -> str:
    """The URL of the endpoint. Raises ValueError, without the URL, if its variable or file has no valid one."""
    if endpoint.url is not None:
        return endpoint.url
    assert endpoint.url_from is not None  # `WebhookEndpoint` requires one of the two
    found = read_secret(endpoint.url_from)
    if found is None:
        raise ValueError(f"{endpoint.url_from.name} with the URL is not set")
    try:
        return check_url(found.decode(errors="replace"))
    except ValueError as error:
        raise ValueError(f"{endpoint.url_from.name} {error}") from None


def read_secrets(endpoint: WebhookEndpoint) -> list[str]:
    """The secrets that sign. Raises ValueError, without the secret, if one is invalid, or if none of them is set."""
    found: list[str] = []
    for location in endpoint.secrets:
        secret = read_secret(location)
        if secret is None:
            continue
        try:
            found.append(check_secret(secret.decode(errors="replace")))
        except ValueError as error:
            raise ValueError(f"{location.name} {error}") from None
    if endpoint.secrets and not found:
        raise ValueError(f"{', '.join(location.name for location in endpoint.secrets)} with the secret is not set")
    return found


@cache
def chat_templates() -> Mapping[str, WebhookTemplate]:
    """The templates of this package, by format."""
    folder = resources.files("board") / "templates" / "webhooks"
    names = {name: f"{name}.json.j2" for name in _CHAT_FORMATS}
    return {name: WebhookTemplate(file, (folder / file).read_text("utf-8")) for name, file in names.items()}


def _read_template(path: Path) -> WebhookTemplate:
    try:
        template = WebhookTemplate(path.name, read_text(path))
    except FileReadError as error:
        raise WebhookTemplateError(f"{path.name} cannot be read: {error.reason}") from None
    template.check()
    return template


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


_NO_WEBHOOKS: Final = LoadedWebhooks(Webhooks(version="none"))
