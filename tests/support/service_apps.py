"""The services as their own `build` makes them, on a test's database. Nothing is started."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import board.service
import board.settings
import escalator.service
import escalator.settings
import intake.service
import intake.settings
import notifier.service
import notifier.settings
import sla_timer.service
import sla_timer.settings
from pydantic import SecretStr
from tocsin.acknowledgement import LinkSigner
from tocsin.runtime.process.service import Service

POLICIES: Final = Path(__file__).parents[2] / "deploy/policy"
LINK_KEY: Final = "k" * 32
LINKS: Final = LinkSigner([LINK_KEY])


def build_service(name: str, url: str, folder: Path) -> Service:
    """The service `name` (`sla-timer`) on the database at `url`. `folder` holds keys.yaml, and integrations.yaml if
    intake has any.
    """
    common = {"database_url": url, "kafka": "127.0.0.1:1", "keys": folder / "keys.yaml"}
    return _BUILD[name](folder, common)


def _intake(folder: Path, common: Mapping[str, Any]) -> Service:
    integrations = folder / "integrations.yaml"
    settings = intake.settings.Settings(
        **common,
        policy=POLICIES / "policy.yaml",
        ack_keys=SecretStr(LINK_KEY),
        integrations=integrations if integrations.exists() else None,
        history_outbox_limit=1,
    )
    return intake.service.build(settings)


def _sla_timer(folder: Path, common: Mapping[str, Any]) -> Service:
    return sla_timer.service.build(sla_timer.settings.Settings(**common, policy=POLICIES / "policy.yaml"))


def _escalator(folder: Path, common: Mapping[str, Any]) -> Service:
    return escalator.service.build(escalator.settings.Settings(**common, directory=POLICIES / "directory.yaml"))


def _notifier(folder: Path, common: Mapping[str, Any]) -> Service:
    settings = notifier.settings.Settings(
        **common,
        directory=POLICIES / "directory.yaml",
        ack_keys=SecretStr(LINK_KEY),
        smtp="127.0.0.1:1",
        mail_from="tocsin@example.com",
        public_url="https://tocsin.example.com",
    )
    return notifier.service.build(settings)


def _board(folder: Path, common: Mapping[str, Any]) -> Service:
    upstream_keys: Any = json.dumps({"default": "tcs_00000000_unknown"})  # pydantic parses it, as from the environment
    settings = board.settings.Settings(**common, directory=POLICIES / "directory.yaml", upstream_keys=upstream_keys)
    return board.service.build(settings)


_BUILD: Final[Mapping[str, Callable[[Path, Mapping[str, Any]], Service]]] = {
    "intake": _intake,
    "sla-timer": _sla_timer,
    "escalator": _escalator,
    "notifier": _notifier,
    "board": _board,
}
SERVICES: Final = tuple(_BUILD)
