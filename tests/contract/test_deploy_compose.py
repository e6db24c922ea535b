"""deploy/docker/compose.yaml: valid, starts in the right order, gives every service the settings of its Settings class,
and no file contains a secret.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from board.settings import Settings as Board
from escalator.settings import Settings as Escalator
from intake.commands.keys import KeysSettings
from intake.settings import Settings as Intake
from notifier.settings import Settings as Notifier
from pydantic_settings import BaseSettings
from sla_timer.settings import Settings as SlaTimer
from tocsin.runtime.process.settings import ClockSettings, DatabaseSettings, KafkaSettings

DOCKER = Path(__file__).parents[2] / "deploy/docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS: dict[str, type[BaseSettings]] = {
    "intake": Intake,
    "sla-timer": SlaTimer,
    "escalator": Escalator,
    "notifier": Notifier,
    "board": Board,
}
JOBS: dict[str, type[BaseSettings]] = {
    "topics": KafkaSettings,
    "keys": KeysSettings,
    **{f"migrate-{service}": DatabaseSettings for service in OURS},
}
SERVICE_KEYS = {
    *("build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports", "profiles"),
    *("pull_policy", "restart", "shm_size", "stop_grace_period", "tmpfs", "volumes"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|DATABASE_URL|ACK_KEYS|UPSTREAM_KEYS|SESSION_KEYS")
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
TEST_ONLY = {f"TOCSIN_{name.upper()}" for name in ClockSettings.model_fields}
IN_ENV = {
    "TOCSIN_ACK_KEYS": "1025" * 8,
    "TOCSIN_MAIL_FROM": "it@example.com",
    "TOCSIN_PUBLIC_URL": "https://sla.example.com",
    "TOCSIN_SMTP": "mail-sink:1025",
    "TOCSIN_SMTP_TLS": "none",
    "TOCSIN_UPSTREAM_KEYS": '{"default": "tcs_00001025_1025"}',
}
HOOK_SECRETS = {
    f"TOCSIN_HOOK_{tool}" for tool in ("CONNECTWISE", "AUTOTASK", "HALOPSA", "ZENDESK", "FRESHDESK", "JIRA")
}
EXTRA_VARIABLES = {
    "intake": HOOK_SECRETS | {"TOCSIN_HOOK_EMAIL"},
    "escalator": {"SSL_CERT_FILE"},
    "notifier": {"SSL_CERT_FILE"},
    "board": {"SSL_CERT_FILE"},
}
SET_IN_IMAGE = {"TOCSIN_HOST", "TOCSIN_PORT"}


def variables(settings: type[BaseSettings]) -> set[str]:
    """The environment variables that the settings read."""
    return {f"TOCSIN_{name.upper()}" for name in settings.model_fields}


def required(settings: type[BaseSettings]) -> set[str]:
    """The environment variables without which the settings are invalid."""
    return {f"TOCSIN_{name.upper()}" for name, field in settings.model_fields.items() if field.is_required()}


def resolved(value: str | None) -> str:
    """The value that compose passes to the container if .env contains the required variables only.

    These have the value in `IN_ENV`, or else 1025, which is valid as a port, a name and a password.
    """

    def replacement(found: re.Match[str]) -> str:
        return found[3] if found[2] == ":-" else IN_ENV.get(found[1], "1025")

    return VARIABLE.sub(replacement, value or "")


def test_only_keys_of_the_compose_specification_are_used() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?:([\w.-]*\d[\w.-]*|\$\{TOCSIN_VERSION:-local\})", service["image"]), (
            name
        )
        for seconds in (service.get("stop_grace_period"), service.get("healthcheck", {}).get("interval")):
            assert seconds is None or re.fullmatch(r"\d+s", seconds), name
        for command in (service.get("command"), service.get("entrypoint")):
            assert command is None or isinstance(command, list), f"{name}: use the exec form, which forwards signals"


def test_every_dependency_exists_and_can_reach_its_condition() -> None:
    for name, service in SERVICES.items():
        for other, dependency in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            assert dependency["condition"] in CONDITIONS
            if dependency["condition"] == "service_healthy":
                assert SERVICES[other]["healthcheck"]["test"], other
            if dependency["condition"] == "service_completed_successfully":
                assert other in JOBS, f"{name} would wait forever for {other}"
                assert "restart" not in SERVICES[other]


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_after_its_servers_the_topics_and_its_migration(name: str) -> None:
    dependencies = {other: each["condition"] for other, each in SERVICES[name]["depends_on"].items()}
    assert dependencies == {
        "postgres": "service_healthy",
        "kafka": "service_healthy",
        "topics": "service_completed_successfully",
        f"migrate-{name}": "service_completed_successfully",
    }
    assert set(SERVICES[f"migrate-{name}"]["depends_on"]) == {"postgres"}
    assert SERVICES[f"migrate-{name}"]["command"] == ["python", "-m", name.replace("-", "_"), "migrate"]
    assert SERVICES[f"migrate-{name}"]["image"] == SERVICES[name]["image"]


def test_every_mount_is_a_named_volume_or_an_existing_file() -> None:
    used = set()
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).exists(), f"{name}: {source}"
                assert mount.endswith(":ro"), f"{name}: {mount}"
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_every_build_uses_the_services_dockerfile() -> None:
    assert {name for name, service in SERVICES.items() if "build" in service} == set(OURS)
    for name in OURS:
        build = SERVICES[name]["build"]
        assert (DOCKER / build["context"] / build["dockerfile"]).resolve().is_file()
        assert build["dockerfile"] == f"services/{name}/Dockerfile"


@pytest.mark.parametrize(("name", "settings"), [*OURS.items(), *JOBS.items()])
def test_a_container_gets_every_required_setting_and_no_unknown_one(name: str, settings: type[BaseSettings]) -> None:
    given = set(SERVICES[name]["environment"])
    assert given - variables(settings) - EXTRA_VARIABLES.get(name, set()) == set()
    assert required(settings) - given == set()


def test_intake_gets_every_secret_of_the_shipped_integrations() -> None:
    named = set(re.findall(r"secret_env: (\w+)", (DOCKER.parent / "policy/integrations.yaml").read_text()))
    assert named >= HOOK_SECRETS
    assert named - set(SERVICES["intake"]["environment"]) == set()


@pytest.mark.parametrize(("name", "settings"), OURS.items())
def test_every_setting_can_be_set_in_env(name: str, settings: type[BaseSettings]) -> None:
    given = set(SERVICES[name]["environment"])
    assert variables(settings) - given - TEST_ONLY - SET_IN_IMAGE == set()


@pytest.mark.parametrize(("name", "settings"), [*OURS.items(), *JOBS.items()])
def test_the_settings_accept_the_values_of_compose(
    name: str, settings: type[BaseSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        if (value := IN_ENV.get(variable) if value is None else resolved(value)) is not None:
            monkeypatch.setenv(variable, value)
    settings()


def test_the_files_of_a_service_are_mounted_where_it_reads_them() -> None:
    for name in OURS:
        mounts = [mount.split(":") for mount in SERVICES[name]["volumes"]]
        for variable in ("TOCSIN_POLICY", "TOCSIN_DIRECTORY", "TOCSIN_INTEGRATIONS", "TOCSIN_WEBHOOKS"):
            if path := SERVICES[name]["environment"].get(variable):
                source, target, _ = next(mount for mount in mounts if path.startswith(mount[1] + "/"))
                assert (DOCKER / source / path.removeprefix(target + "/")).is_file()
        keys = Path(SERVICES[name]["environment"]["TOCSIN_KEYS"])
        assert ["keys", str(keys.parent), "ro"] in mounts
    assert SERVICES["keys"]["volumes"] == [f"keys:{keys.parent}"]


def test_no_file_contains_a_secret() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and value is not None:
                from_env = [found for found in VARIABLE.finditer(value) if found[2] == ":?"]
                assert len(from_env) == 1, f"{name}: {variable} must come from .env only"
    example = (DOCKER / "env.example").read_text()
    assert re.findall(r"^\w*(?:PASSWORD|SECRET)\w*=(?!$).*", example, re.MULTILINE) == []
    assert ".env" in (DOCKER / ".gitignore").read_text().splitlines()


def test_env_example_lists_the_required_variables() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    required_in_env = {found[1] for found in VARIABLE.finditer(text) if found[2] == ":?"}
    assert set(re.findall(r"^(\w+)=$", (DOCKER / "env.example").read_text(), re.MULTILINE)) == required_in_env


def test_only_the_proxy_can_listen_on_a_public_address() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            public = port.startswith("${TOCSIN_BIND:-127.0.0.1}:")
            assert public or port.startswith("127.0.0.1:"), f"{name}: {port}"
            assert not public or name == "proxy"
    assert not any(SERVICES[name].get("ports") for name in (*OURS, *JOBS, "kafka", "postgres"))


def test_the_proxy_forwards_the_api_and_nothing_else() -> None:
    text = (DOCKER / "Caddyfile").read_text()
    (forwarded,) = re.findall(r"@api path (.+)", text)
    assert forwarded.split() == ["/v1/*", "/ack/*", "/docs", "/docs/*", "/openapi.json"]
    ports = {"intake": 8080, "sla-timer": 8081, "escalator": 8082, "notifier": 8083, "board": 8084}
    *imported, board = (f"{name}:{port}" for name, port in ports.items())
    assert re.findall(r"import service (\S+)", text) == imported
    (pages,) = re.findall(r"^:8084 \{\n(.+?)^\}", text, re.MULTILINE | re.DOTALL)
    assert "@inside path /metrics /livez /readyz" in pages
    assert f"reverse_proxy {board}" in pages
    for header in (Board.model_fields[f"board_{name}_header"].default for name in ("user", "groups")):
        assert f"request_header -{header}\n" in pages, "anybody could say who they are"
    assert {name: settings.model_fields["port"].default for name, settings in OURS.items()} == ports
    assert text.count("{") == text.count("}")
