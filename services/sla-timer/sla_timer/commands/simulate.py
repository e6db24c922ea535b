"""`python -m sla_timer simulate`: stories from a file or standard input, timelines to standard output."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
from pydantic import ValidationError
from tocsin.policy import Policy, PolicyError
from tocsin.runtime.http.problems import Problem, validation_problem
from tocsin.sources.policy_file import read_policy

from sla_timer.domain.simulate import StoryRequest, simulate


def simulate_stories(name: str, policy_file: Path | None) -> int:
    """Tells the story that the file `name` holds (`-`: standard input), or, in JSON Lines, that of each line.

    The exit status: one story that makes no sense is 1, with a problem on standard error. A bad line of several is
    answered in its place.
    """
    file = policy_file or _policy()
    try:
        policies = [read_policy(file)]
    except (PolicyError, OSError) as error:
        return _fail(Problem(422, str(error)))
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return _fail(Problem(422, f"{name}: {error}"))
    if name.endswith(".jsonl") or _is_a_story_a_line(text):
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                sys.stdout.write(_answered(number, line, policies))
        return 0
    try:
        sys.stdout.write(_told(text, policies))
    except Problem as problem:
        return _fail(problem)
    return 0


def _policy() -> Path:
    """The configured policy; without one the shipped one, where the code lies in its repository."""
    configured = os.environ.get("TOCSIN_POLICY")
    return Path(configured) if configured else Path(__file__).parents[4] / "deploy" / "policy" / "policy.yaml"


def _is_a_story_a_line(text: str) -> bool:
    """Several lines that are not one document. One that was meant to be, but is broken, opens without closing."""
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


def _answered(number: int, line: str, policies: Sequence[Policy]) -> str:
    try:
        return _told(line, policies)
    except Problem as problem:
        return orjson.dumps({"line": number, "error": _sentence(problem)}).decode() + "\n"


def _told(story: str, policies: Sequence[Policy]) -> str:
    try:
        return orjson.dumps(simulate(StoryRequest.model_validate_json(story), policies)).decode() + "\n"
    except ValidationError as error:
        raise validation_problem(error) from error
    except ValueError as error:
        raise Problem(422, str(error)) from error


def _sentence(problem: Problem) -> str:
    fields = [f"{error.field}: {error.message}".removeprefix(": ") for error in problem.body.errors or ()]
    return "; ".join(fields) or problem.body.detail or problem.body.title


def _fail(problem: Problem) -> int:
    sys.stderr.write(orjson.dumps(problem.as_dict()).decode() + "\n")
    return 1
