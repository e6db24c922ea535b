"""`python -m sla_timer simulate`: JSON in and out, one simulation or many."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from sla_timer.commands.simulate import simulate_file
from support.stories import DEFAULT_POLICY, fact, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
STORY = {"facts": [OPENED], "until": "2026-06-08T12:30:00Z"}
LINE = json.dumps(STORY)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """run(text, policy) -> (exit status, standard output, standard error), with `text` on standard input."""

    def simulate(text: str, policy: Path | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        status = simulate_file("-", policy)
        return status, *capsys.readouterr()

    monkeypatch.delenv("TOCSIN_POLICY", raising=False)
    return simulate


def test_one_simulation_uses_the_shipped_policy(run: Any) -> None:
    status, out, err = run(LINE)
    assert (status, err) == (0, "")
    assert json.loads(out) == simulated(fact("opened", "06-08 12:00", severity=1), until="06-08 12:30")


@pytest.mark.rule("3.19")
def test_the_category_and_the_start_of_the_work_count(run: Any) -> None:
    starting = OPENED | {"category": "onboarding", "starts_at": "2026-07-01T12:00:00Z"}
    assert '"due_at":"2026-07-01T12:00:00.000000Z"' in run(json.dumps(STORY | {"facts": [starting]}))[1]
    assert '"clock":"resolution"' not in run(json.dumps(STORY | {"facts": [OPENED | {"category": "project"}]}))[1]


@pytest.mark.rule("3.6", "3.19")
def test_an_actor_may_be_automatic(run: Any, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text().replace("automatic_actors: []", "automatic_actors: [robot]"))
    story = json.dumps(STORY | {"facts": [OPENED, fact("responded", "06-08 12:10", actor="robot")]})
    assert json.loads(run(story, policy)[1])["first_responded_at"] is None
    assert json.loads(run(story)[1])["first_responded_at"] == "2026-06-08T12:10:00.000000Z"


def test_one_simulation_may_span_lines_and_be_in_a_file(run: Any, tmp_path: Path) -> None:
    assert run(json.dumps(STORY, indent=2))[1] == run(LINE)[1]
    (tmp_path / "story.json").write_text(json.dumps(STORY, indent=2))
    assert simulate_file(str(tmp_path / "story.json"), None) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "json"),
        ("{", "json"),
        (json.dumps(STORY, indent=2)[:-3], "json"),
        ("{}", "facts"),
        (json.dumps(STORY | {"until": "2026-06-08T11:00:00Z"}), "before the opening"),
        (json.dumps(STORY | {"facts": []}), "facts"),
        (json.dumps(STORY | {"facts": [fact("responded", "06-08 12:00")]}), "must be `opened`"),
        (json.dumps(STORY | {"facts": [OPENED, OPENED]}), "opened only once"),
        (json.dumps(STORY | {"facts": [fact("opened", "06-08 12:00")]}), "severity"),
        (json.dumps(STORY | {"facts": [fact("opened", "06-08 12:00", severity=True)]}), "severity"),
        (json.dumps(STORY | {"until": "2026-06-08T12:30:00"}), "until"),
        (json.dumps({"facts": [fact("opened", "06-08 12:00", severity=3)], "until": "2150-01-01T00:00:00Z"}), "years"),
    ],
)
def test_an_invalid_simulation_exits_1_with_a_problem(run: Any, text: str, message: str) -> None:
    status, out, err = run(text)
    assert (status, out) == (1, "")
    problem = json.loads(err)
    assert problem["status"] in (400, 422)
    assert message in err.lower() or message in err


def test_json_lines_are_simulated_in_order_with_an_error_for_a_bad_line(run: Any) -> None:
    later = json.dumps(STORY | {"until": "2026-06-08T13:00:00Z"})
    status, out, err = run(f"{LINE}\n\nnot json\n{later}\r\n{{}}\n")
    assert (status, err) == (0, "")
    first, bad, second, empty = map(json.loads, out.splitlines())
    assert (first["clocks"][0]["outcome"], second["clocks"][0]["outcome"]) == ("running", "breached")
    assert bad["line"] == 3
    assert empty["line"] == 5
    assert "facts" in empty["error"]


def test_a_broken_first_line_is_a_bad_line(run: Any) -> None:
    status, out, _ = run(f"{{\n{LINE}\n")
    assert status == 0
    assert json.loads(out.splitlines()[0])["line"] == 1


def test_a_json_lines_file_may_have_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stories.jsonl").write_text("not json\n")
    assert simulate_file(str(tmp_path / "stories.jsonl"), None) == 0
    assert json.loads(capsys.readouterr().out)["line"] == 1


def test_the_option_and_the_environment_name_another_policy(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text().replace("1: 1h", "1: 30m", 1).replace('version: "1"', 'version: "2"'))
    for text in (run(LINE, policy)[1], _configured(run, monkeypatch, policy)):
        timeline = json.loads(text)
        assert (timeline["policy_version"], timeline["clocks"][0]["outcome"]) == ("2", "breached")


def _configured(run: Any, monkeypatch: pytest.MonkeyPatch, policy: Path) -> str:
    monkeypatch.setenv("TOCSIN_POLICY", str(policy))
    text: str = run(LINE)[1]
    return text


def test_an_invalid_policy_is_a_problem_that_names_the_line(run: Any, tmp_path: Path) -> None:
    broken = tmp_path / "policy.yaml"
    broken.write_text(DEFAULT_POLICY.read_text().replace("America/New_York", "Mars/Olympus"))
    status, out, err = run(LINE, broken)
    assert (status, out) == (1, "")
    assert "policy.yaml:" in json.loads(err)["detail"]
    status, _, err = run(LINE, tmp_path / "none.yaml")
    assert status == 1
    assert "none.yaml" in json.loads(err)["detail"]


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate_file(str(tmp_path / "nothing.json"), None) == 1
    assert "nothing.json" in capsys.readouterr().err
