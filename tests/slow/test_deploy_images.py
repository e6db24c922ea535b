"""services/*/Dockerfile, without a Docker engine: its instructions are followed in folders and empty venvs, as written
but for their absolute paths. What is left out are instructions that only a container can follow (useradd, USER ...).
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from escalator.settings import Settings as Escalator
from intake.settings import Settings as Intake
from notifier.settings import Settings as Notifier
from sla_timer.settings import Settings as SlaTimer
from support.servers import MakeDatabase
from tocsin.runtime.process.settings import ServiceSettings
from uv import find_uv_bin

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {"intake": "intake", "sla-timer": "sla_timer", "escalator": "escalator", "notifier": "notifier"}
SETTINGS: dict[str, type[ServiceSettings]] = {
    "intake": Intake,
    "sla-timer": SlaTimer,
    "escalator": Escalator,
    "notifier": Notifier,
}


_QUICK = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1"}
"""Takes nothing away from what is tested: bytecode is made when something is imported."""


@dataclass(frozen=True)
class Instruction:
    word: str
    rest: str


@dataclass
class Stage:
    """One FROM of a Dockerfile: its name (the last one's is empty) and what follows."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        return [instruction.rest for instruction in self.instructions if instruction.word == word]


def stages(service: str) -> list[Stage]:
    text = (REPOSITORY / "services" / service / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found: list[Stage] = []
    for word, _, rest in (line.partition(" ") for line in lines if line):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(name, base))
        else:
            found[-1].instructions.append(Instruction(word, rest))
    return found


def copies(service: str) -> list[str]:
    """What a Dockerfile copies out of the repository."""
    return [rest.split()[0] for stage in stages(service) for rest in stage.of("COPY") if "--from=" not in rest]


class Builder:
    """Follows the instructions of a stage. Each stage's name has one venv; a RUN is not repeated in it where everything
    before it was the same, as Docker's layers are not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._layers: set[tuple[str, ...]] = set()

    def build(self, service: str) -> tuple[Path, Path, dict[str, str]]:
        """Python, root folder and environment of the image."""
        for stage in stages(service):
            python, root, environment = self._build(service, stage)
        return python, root, environment

    def _build(self, service: str, stage: Stage) -> tuple[Path, Path, dict[str, str]]:
        venv = self.folder / f"venv-{stage.name}"
        if not venv.exists():
            subprocess.run([find_uv_bin(), "venv", "--quiet", "--seed", "--python", sys.executable, venv], check=True)
        root = self._root(service, stage.name)
        root.mkdir(parents=True)
        before: tuple[str, ...] = (stage.name,)
        place = Path("/")
        environment: dict[str, str] = {}
        for instruction in stage.instructions:
            before = (*before, f"{instruction.word} {instruction.rest}")
            if instruction.word == "WORKDIR":
                place = place / instruction.rest
                _inside(root, place).mkdir(parents=True, exist_ok=True)
            elif instruction.word == "COPY":
                self._copy(service, instruction.rest, _inside(root, place))
            elif instruction.word == "ENV":
                environment |= dict(pair.split("=", 1) for pair in shlex.split(instruction.rest))
                environment.pop("PYTHONDONTWRITEBYTECODE", None)
            elif instruction.word == "RUN" and "pip" in instruction.rest and before not in self._layers:
                _run(_translated(instruction.rest, root), venv, _inside(root, place))
                self._layers.add(before)
        return venv / "bin" / "python", root, {name: _translated(v, root) for name, v in environment.items()}

    def _copy(self, service: str, rest: str, place: Path) -> None:
        source, target = rest.split()[-2:]
        root = self._root(service, "")
        origin = REPOSITORY / source
        if stage := re.match(r"--from=(\S+)", rest):
            origin = _inside(self._root(service, stage[1]), Path(source))
        goal = _inside(root, Path(target)) if target.startswith("/") else place / target
        if origin.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
            shutil.copytree(origin, goal, dirs_exist_ok=True, ignore=unwanted)
        else:
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, goal)

    def _root(self, service: str, stage: str) -> Path:
        return self.folder / service / (stage or "image")


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _translated(text: str, root: Path) -> str:
    return re.sub(r"(?<![\w.])/(?=srv|opt)", f"{root}/", text)


def _run(command: str, venv: Path, place: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", **_QUICK}
    done = subprocess.run(command, shell=True, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """image("intake", "-c", "import intake", TOCSIN_X="y"): Python in the image of a service, built when first used."""
    builder = Builder(tmp_path_factory.mktemp("images"))
    built: dict[str, tuple[Path, Path, dict[str, str]]] = {}

    def python(service: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        if service not in built:
            built[service] = builder.build(service)
        interpreter, root, environment = built[service]
        place = _inside(root, Path(stages(service)[-1].of("WORKDIR")[-1]))
        environment = {"PATH": os.defpath, **environment, **settings}
        command = [str(interpreter), *arguments]
        return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)

    yield python
    shutil.rmtree(builder.folder)


@pytest.mark.long
@pytest.mark.parametrize(("service", "package"), PACKAGES.items())
def test_an_image_builds_and_migrates_its_database(
    service: str,
    package: str,
    image: Callable[..., subprocess.CompletedProcess[str]],
    make_database: MakeDatabase,
) -> None:
    imported = image(service, "-c", f"import {package}, tocsin; print({package}.__file__, tocsin.__file__)")
    assert imported.stderr == ""
    assert str(REPOSITORY) not in imported.stdout
    _, *command = json.loads(stages(service)[-1].of("CMD")[0])
    migrated = image(service, *command, "migrate", TOCSIN_DATABASE_URL=make_database())
    assert (migrated.returncode, migrated.stderr) == (0, "")


@pytest.mark.parametrize("service", PACKAGES)
def test_everything_that_is_copied_is_there_and_reaches_the_builder(service: str) -> None:
    let_in = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copies(service)
    for source in copies(service):
        assert (REPOSITORY / source).exists()
        assert any(source == path or source.startswith(path + "/") for path in let_in), source


@pytest.mark.parametrize("service", PACKAGES)
def test_a_container_is_nobody_special_and_tells_its_health(service: str) -> None:
    last = stages(service)[-1]
    port = SETTINGS[service].model_fields["port"].default
    assert all(stage.base == "python:3.11-slim" for stage in stages(service))
    assert int(last.of("USER")[-1]) > 0
    assert json.loads(last.of("CMD")[0]) == ["python", "-m", PACKAGES[service]]
    assert last.of("EXPOSE") == [str(port)]
    (health,) = last.of("HEALTHCHECK")
    assert f"C('127.0.0.1', {port}, timeout=3)" in health
    assert "/livez" in health
    compile(json.loads(health[health.index("[") :])[2], "HEALTHCHECK", "exec")
    assert "TOCSIN_HOST=0.0.0.0" in " ".join(last.of("ENV"))


def test_the_four_share_all_layers_up_to_what_is_installed_from_the_lock() -> None:
    firsts = []
    for service in PACKAGES:
        instructions = stages(service)[-1].instructions
        end = next(n for n, found in enumerate(instructions) if found.word == "RUN" and "pip" in found.rest)
        firsts.append(instructions[: end + 1])
    assert all(first == firsts[0] for first in firsts)


def test_the_build_backend_is_the_one_that_development_uses() -> None:
    """deploy/docker/build.lock is a part of deploy/requirements-dev.lock; `make lock` makes both."""
    locked = (REPOSITORY / "deploy/requirements-dev.lock").read_text()
    for name, version in re.findall(
        r"^(\S+)==(\S+)", (REPOSITORY / "deploy/docker/build.lock").read_text(), re.MULTILINE
    ):
        found = re.search(rf"^{re.escape(name)}==(\S+)", locked, re.MULTILINE)
        assert found is not None, name
        assert found[1] == version, f"{name}: deploy/docker/build.lock has {version}, the development lock {found[1]}"
