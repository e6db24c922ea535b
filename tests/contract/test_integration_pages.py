"""docs/integrations: its examples of integrations.yaml are valid, and its curl recipes send a valid signature.

The webhook commands in it and in intake's README exist, and work as described.
"""

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent, indent

import pytest
from intake.commands.app import app
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import Defaults, Integration, Integrations, load_integrations
from intake.domain.webhooks.dry_run import DryRun
from support.webhook_recordings import PROVIDERS, ROOT, SECRET, SHIPPED, recordings, shipped, story
from typer.testing import CliRunner, Result

PAGES = ROOT / "docs" / "integrations"
README = ROOT / "services" / "intake" / "README.md"
CURL = 'curl() { printf "%s\\0" "$@"; }\n'


def blocks(page: str, heading: str) -> Iterator[str]:
    """The code blocks below a heading of a page."""
    text = (PAGES / f"{page}.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for block in re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE):
        if block.strip():
            yield dedent(block).strip() + "\n"


def example(page: str) -> Integrations:
    """The integrations.yaml that a page describes."""
    section = next(block for block in blocks(page, "integrations.yaml") if block.startswith(f"{page}:"))
    below = "tenants: {}\n" + section if page == "email" else "tenants:\n  default:\n" + indent(section, "    ")
    return load_integrations('version: "1"\n' + below, f"{page}.md")


@pytest.mark.parametrize("page", [*PROVIDERS, "email"])
def test_the_example_of_a_page_is_valid(page: str) -> None:
    integrations = example(page)
    assert (integrations.find("default", page) is not None) == (page != "email")


@pytest.mark.parametrize("page", PROVIDERS)
def test_the_example_of_a_page_reads_every_recorded_webhook(page: str) -> None:
    integration = example(page).find("default", page)
    assert integration is not None
    for body in recordings(page):
        ADAPTERS[integration.adapter].read(body, integration)


@pytest.mark.parametrize("page", PROVIDERS)
def test_the_example_of_a_page_maps_every_update_of_a_recorded_ticket(page: str) -> None:
    integration = example(page).find("default", page)
    assert integration is not None
    trial = DryRun(integration, page, datetime(2026, 6, 12, tzinfo=UTC))
    results = [result for body in story(page) for result in trial.deliver(body)]
    assert [result["unmapped"] for result in results if "unmapped" in result] == []
    assert "ticket" in results[0]


@pytest.mark.parametrize("page", PROVIDERS)
def test_the_recipe_of_a_page_sends_a_valid_signature(page: str) -> None:
    (recipe,) = blocks(page, "Try it")
    environment = {"INTAKE": "http://intake", "SECRET": SECRET.decode(), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    ran = subprocess.run(["bash", "-euc", CURL + recipe], cwd=ROOT, env=environment, capture_output=True, check=True)
    url, *options = ran.stdout.decode().split("\0")[:-1]
    assert url == f"http://intake/v1/hooks/{page}/default"
    arguments = dict(zip(options[::2], options[1::2], strict=True))
    headers = {
        name.lower(): value
        for option, text in zip(options[::2], options[1::2], strict=True)
        if option == "-H"
        for name, _, value in [text.partition(": ")]
    }
    if "-u" in arguments:
        headers["authorization"] = "Basic " + base64.b64encode(arguments["-u"].encode()).decode()
    body = (ROOT / arguments["--data-binary"].removeprefix("@")).read_bytes()
    json.loads(body)
    integration = example(page).find("default", page)
    assert integration is not None
    adapter = ADAPTERS[integration.adapter]
    assert adapter.is_genuine(integration.auth, [SECRET], headers, body, datetime.now(UTC))
    assert not adapter.is_genuine(integration.auth, [b"another"], headers, body, datetime.now(UTC))


def test_the_content_to_configure_in_freshdesk_has_the_fields_of_the_shipped_mapping() -> None:
    content = next(block for block in blocks("freshdesk", "In Freshdesk") if "{{ticket.id}}" in block)
    fields = json.loads(content[content.index("{") :])["freshdesk_webhook"]
    reading = shipped("freshdesk").generic
    assert reading is not None
    expressions = [str(value) for name, value in reading if name not in ("tickets", "instants", "actions") and value]
    read = {expression.partition(" ")[0] for expression in expressions}
    assert read - set(fields) == {"ticket_product_name", "ticket_description"}  # of accounts with products; of *Simple*


def commands(page: Path) -> list[list[str]]:
    """The arguments of each line `python -m intake hooks ...` of a page."""
    lines = re.findall(r"^ +python -m intake (hooks .*)$", page.read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def invoked(arguments: list[str]) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("page", [README, PAGES / "README.md"], ids=["intake", "docs"])
def test_every_webhook_command_of_a_page_exists(page: Path) -> None:
    described = commands(page)
    assert {"check", "try", "unmapped", "replay", "dismiss", "ignored"} <= {arguments[1] for arguments in described}
    for arguments in described:
        assert invoked([*arguments, "--help"]).exit_code == 0, arguments


@pytest.mark.parametrize(
    ("page", "providers"), [(README, PROVIDERS), (PAGES / "README.md", ["jira"])], ids=["intake", "docs"]
)
def test_the_check_and_try_commands_of_a_page_work_for_each_provider(
    page: Path, providers: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TOCSIN_STATE", str(tmp_path))  # where no stack is running
    monkeypatch.setenv("TOCSIN_INTEGRATIONS", str(SHIPPED))
    (check,) = [arguments for arguments in commands(page) if arguments[1] == "check"]
    checked = invoked(check).output.splitlines()
    assert [line.split()[1] for line in checked] == [f"/v1/hooks/{provider}/default" for provider in PROVIDERS]
    (attempt,) = [arguments for arguments in commands(page) if arguments[1] == "try"]
    of_jira = [word.replace("FILE...", "tests/recorded/hooks/jira/*.json") for word in attempt]
    for provider in providers:
        words = [word.replace("jira", provider) for word in of_jira]
        expanded = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words]
        tried = invoked([argument for arguments in expanded for argument in arguments])
        results = [json.loads(line) for line in tried.output.splitlines()]
        assert results[0]["ticket"]["source"] == provider
        assert not [result for result in results if "unmapped" in result]


def test_intakes_readme_lists_the_settings_of_each_provider() -> None:
    row = r"^\| \[.*\]\(\S*/docs/integrations/(\w+)\.md\) \| .* \| (.*)\|$"
    rows = dict(re.findall(row, README.read_text(), re.MULTILINE))
    assert set(rows) == {*PROVIDERS, "email", "rest"}
    for provider in PROVIDERS:
        for field, _, default in (name.partition(": ") for name in re.findall("`(.*?)`", rows[provider])):
            assert field in Integration.model_fields
            assert not default or default in Defaults.model_fields


def test_every_link_has_a_target_and_every_provider_a_page() -> None:
    for page in PAGES.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    assert {page.stem for page in PAGES.glob("*.md")} == {*PROVIDERS, "rest", "email", "webhooks", "README"}
