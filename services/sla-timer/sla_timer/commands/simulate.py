"""`python -m sla_timer simulate`: simulations from a file or standard input, timelines to standard output."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
from pydantic import ValidationError
from tocsin.policy import Policy, PolicyError
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.http.problems import Problem, validation_problem
from tocsin.sources.policy_file import read_policy

from sla_timer.api.problems import problem_of
from sla_timer.domain.simulate import SimulationRequest, simulate
from sla_timer.errors import SimulationError


def simulate_file(name: str, policy_file: Path | None) -> int:
    """Run the simulation in the file `name` (`-`: standard input), or, in JSON Lines, the one of each line.

    Returns the exit status: 1 if a single simulation cannot be run, with a problem on standard error. In JSON Lines, a
    bad line gets a line with its error, and the status is 0.
    """
    try:
        policies = [read_policy(policy_file or _default_policy_file())]
    except (PolicyError, FileReadError) as error:
        return _fail(Problem(422, str(error)))
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return _fail(Problem(422, f"{name}: {error}"))
    if name.endswith(".jsonl") or _is_json_lines(text):
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                sys.stdout.write(_simulate_line(number, line, policies))
        return 0
    try:
        sys.stdout.write(_simulate(text, policies))
    except Problem as problem:
        return _fail(problem)
    return 0


def _default_policy_file() -> Path:
    """The configured policy; without one the shipped one, where the code lies in its repository."""
    configured = os.environ.get("TOCSIN_POLICY")
    return Path(configured) if configured else Path(__file__).parents[4] / "deploy" / "policy" / "policy.yaml"


def _is_json_lines(text: str) -> bool:
    """Whether the text is several lines that are not one document.

    A broken document of several lines is not JSON Lines: its first line opens without closing.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if len(lines) < 2 or _is_json(text):
        return False
    return not lines[0].endswith(("{", "[", ",")) or any('"facts"' in line and _is_json(line) for line in lines)


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _simulate_line(number: int, line: str, policies: Sequence[Policy]) -> str:
    try:
        return _simulate(line, policies)
    except Problem as problem:
        return orjson.dumps({"line": number, "error": _sentence(problem)}).decode() + "\n"


def _simulate(text: str, policies: Sequence[Policy]) -> str:
    """The timeline as a line of JSON. Raises Problem."""
    try:
        return orjson.dumps(simulate(SimulationRequest.model_validate_json(text), policies)).decode() + "\n"
    except ValidationError as error:
        raise validation_problem(error) from error
    except SimulationError as error:
        raise problem_of(error) from error


def _sentence(problem: Problem) -> str:
    return "; ".join(map(str, problem.body.errors or ())) or problem.body.detail or problem.body.title


def _fail(problem: Problem) -> int:
    sys.stderr.write(orjson.dumps(problem.as_dict()).decode() + "\n")
    return 1
