"""deploy/prometheus, deploy/grafana and the runbooks in docs/operations.md: every expression is PromQL over metrics and
labels that the code exports, every alert has a runbook, and every command in a runbook refers to something that exists.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, Call, Expr, VectorSelector
from support.exported_metrics import exported_series

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "deploy/prometheus"
GRAFANA = REPOSITORY / "deploy/grafana"
COMPOSE = yaml.safe_load((REPOSITORY / "deploy/docker/compose.yaml").read_text())["services"]
PORTS = {"intake": 8080, "sla-timer": 8081, "escalator": 8082, "notifier": 8083, "board": 8084}
PROMETHEUS_OWN = {"up": frozenset({"job", "instance"})}
SEVERITIES = ("critical", "warning", "info")
GRAFANA_VARIABLES = {"$__rate_interval": "1m", "$__range": "24h"}

Json = dict[str, Any]


def alerts() -> list[Json]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards() -> list[Path]:
    return sorted((GRAFANA / "dashboards").glob("*.json"))


def panels(dashboard: Path) -> list[Json]:
    found: list[Json] = json.loads(dashboard.read_text())["panels"]
    return found


def queries(dashboard: Path) -> Iterator[str]:
    """The expressions of a dashboard as Prometheus receives them."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in GRAFANA_VARIABLES.items():
                expression = expression.replace(variable, value)
            yield expression


@pytest.fixture(scope="module")
def exported() -> dict[str, frozenset[str]]:
    """The series of all services by name, with their labels as Prometheus stores them."""
    own = {
        name: frozenset({"job", "instance"} | {"exported_job" if label == "job" else label for label in labels})
        for name, labels in exported_series().items()
    }
    return PROMETHEUS_OWN | own


def misused(expression: str, exported: dict[str, frozenset[str]]) -> list[str]:
    """The metrics and labels in an expression that no service exports. Raises ValueError if it is not PromQL."""
    wrong: list[str] = []
    grouped: set[str] = set()
    known: set[str] = set()

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            labels = exported.get(node.name or "")
            if labels is None:
                wrong.append(f"metric {node.name}")
                return
            known.update(labels)
            wrong.extend(
                f"label {matcher.name} of {node.name}"
                for matcher in node.matchers.matchers
                if matcher.name not in labels
            )
        elif isinstance(node, Call) and node.func.name == "label_replace":
            known.add(str(node.args[1]).strip('"'))
        elif isinstance(node, AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return wrong + [f"grouping by {label}" for label in sorted(grouped - known)]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_promql_over_metrics_that_exist(rule: Json, exported: dict[str, frozenset[str]]) -> None:
    assert misused(rule["expr"], exported) == []
    if "for" in rule:
        assert promql_parser.parse_duration(rule["for"]).total_seconds() > 0


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda path: path.stem)
def test_a_dashboard_is_promql_over_metrics_that_exist(dashboard: Path, exported: dict[str, frozenset[str]]) -> None:
    assert {expression: wrong for expression in queries(dashboard) if (wrong := misused(expression, exported))} == {}


def test_misused_metrics_and_labels_are_found(exported: dict[str, frozenset[str]]) -> None:
    assert misused("sum by (tier) (sla_outbox_pending)", exported) == ["grouping by tier"]
    assert misused('rate(sla_emails{result="sent"}[5m])', exported) == ["metric sla_emails"]
    assert misused('sla_emails_total{results="sent"}', exported) == ["label results of sla_emails_total"]
    with pytest.raises(ValueError, match="unclosed"):
        misused("sum by (sla_outbox_pending", exported)


def test_every_metric_is_on_a_dashboard_or_in_an_alert(exported: dict[str, frozenset[str]]) -> None:
    used = " ".join([*(rule["expr"] for rule in alerts()), *(e for path in dashboards() for e in queries(path))])
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported}
    assert sorted(name for name in families if name not in used) == []


def runbook() -> str:
    return (REPOSITORY / "docs/operations.md").read_text()


def section(alert: str) -> str:
    """The section of the runbook that has the alert's name."""
    return runbook().split(f"\n## {alert}\n")[1].split("\n## ")[0]


def test_every_alert_links_to_its_runbook_and_names_the_first_step() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}#{rule['alert'].lower()}"
        assert rule["labels"] in [{"severity": severity} for severity in SEVERITIES]
        assert re.search(r"\bFirst\b|At night: nothing", rule["annotations"]["description"])
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize("alert", [rule["alert"] for rule in alerts()])
def test_the_runbook_has_meaning_check_command_and_action_for_an_alert(alert: str) -> None:
    meaning, check, command, do = (
        section(alert).find(part) for part in ("**Meaning.**", "**Check", "\n    ", "**Do.**")
    )
    assert 0 < meaning < check < command < do


def test_the_runbook_lists_every_alert_with_its_severity() -> None:
    listed = re.findall(rf"^\| \[(\w+)\]\(#\w+\) \| ({'|'.join(SEVERITIES)}) \|", runbook(), flags=re.MULTILINE)
    assert listed == [(rule["alert"], rule["labels"]["severity"]) for rule in alerts()]


def test_the_runbook_greps_for_log_events_that_the_service_writes() -> None:
    searches = re.findall(r"^    logs ([\w-]+) '?([a-z_|]+)", runbook(), flags=re.MULTILINE)
    assert searches
    for service, events in searches:
        folders = (REPOSITORY / "services" / service, REPOSITORY / "shared")
        code = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
        assert [event for event in events.split("|") if f'"{event}"' not in code] == [], service


def test_alert_texts_name_log_events_that_a_service_writes() -> None:
    texts = [rule["annotations"]["description"] for rule in alerts()]
    named = {word for text in texts if "log of" in text for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", text)}
    folders = (REPOSITORY / "services", REPOSITORY / "shared")
    code = "".join(path.read_text() for folder in folders for path in folder.glob("*/**/*.py"))
    assert named
    assert [event for event in sorted(named) if f'"{event}"' not in code] == []


def test_the_runbook_queries_metrics_that_exist(exported: dict[str, frozenset[str]]) -> None:
    queries = re.findall(r"^    prom '(.+)'$", runbook(), flags=re.MULTILINE)
    assert queries
    assert {query: wrong for query in queries if (wrong := misused(query, exported))} == {}


def test_alert_texts_use_labels_of_their_expression() -> None:
    for rule in alerts():
        texts = " ".join(rule["annotations"].values())
        expression = rule["expr"]
        for label in re.findall(r"\$labels\.(\w+)", texts):
            assert label in expression or expression.startswith("up{"), f"{rule['alert']}: {label}"


def test_links_within_the_runbook_have_targets() -> None:
    headings = re.findall(r"^#+ (.+)$", runbook(), re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert {link for link in re.findall(r"\]\(#([\w-]+)\)", runbook()) if link not in slugs} == set()


def test_prometheus_scrapes_every_service_where_it_listens() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yaml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for service, port in PORTS.items():
        (found,) = jobs[service]["dns_sd_configs"]
        assert found["names"] == [service]
        assert service in COMPOSE
        assert (found["type"], found["port"]) == ("A", port)
    assert all((PROMETHEUS / name).is_file() for name in config["rule_files"])
    assert config["global"]["external_labels"]["runbooks"].startswith("https://")
    (receivers,) = config["alerting"]["alertmanagers"]
    assert receivers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert "alertmanager" in COMPOSE
    watched = next(rule for rule in alerts() if rule["alert"] == "ServiceMissing")["expr"]
    assert set(re.findall(r'job="([\w-]+)"', watched)) == set(PORTS) - {"board"}


def test_dashboards_are_provisioned_with_an_existing_datasource() -> None:
    (datasource,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/tocsin.yaml").read_text())["providers"]
    assert datasource["url"] == "http://prometheus:9090"
    assert "../grafana/dashboards:" + provider["options"]["path"] + ":ro" in COMPOSE["grafana"]["volumes"]
    assert "../grafana/provisioning:/etc/grafana/provisioning:ro" in COMPOSE["grafana"]["volumes"]
    assert [path.stem for path in dashboards()] == ["pipeline", "service-levels"]
    for dashboard in dashboards():
        for panel in panels(dashboard):
            sources = [panel, *panel.get("targets", ())] if panel["type"] != "row" else []
            assert all(source["datasource"]["uid"] == datasource["uid"] for source in sources), panel["title"]


@pytest.mark.parametrize("dashboard", dashboards(), ids=lambda path: path.stem)
def test_panels_have_unique_ids_and_do_not_overlap(dashboard: Path) -> None:
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert max(columns) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)
