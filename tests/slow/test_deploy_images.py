"""services/*/Dockerfile, without Docker: the tests execute its instructions in folders and empty virtual environments,
with other absolute paths. Instructions that only a container can execute (useradd, USER ...) are left out.
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
from board.settings import Settings as Board
from escalator.settings import Settings as Escalator
from intake.settings import Settings as Intake
from notifier.settings import Settings as Notifier
from sla_timer.settings import Settings as SlaTimer
from support.servers import MakeDatabase
from tocsin.runtime.process.settings import ServiceSettings
from tocsin_local.services import PACKAGES
from uv import find_uv_bin

REPOSITORY = Path(__file__).parents[2]
SETTINGS: dict[str, type[ServiceSettings]] = {
    "intake": Intake,
    "sla-timer": SlaTimer,
    "escalator": Escalator,
    "notifier": Notifier,
    "board": Board,
}


PIP_SETTINGS = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COMPILE": "1"}
"""Faster; Python writes the bytecode at import anyway."""


@dataclass(frozen=True)
class Instruction:
    """A line of a Dockerfile: COPY and its arguments."""

    keyword: str
    arguments: str


@dataclass
class Stage:
    """A stage of a Dockerfile: its name (empty for the last one), its base image and its instructions."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def arguments(self, keyword: str) -> list[str]:
        """The arguments of each instruction with this keyword."""
        return [each.arguments for each in self.instructions if each.keyword == keyword]


def stages(service: str) -> list[Stage]:
    """The stages of the service's Dockerfile."""
    text = (REPOSITORY / "services" / service / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found: list[Stage] = []
    for keyword, _, arguments in (line.partition(" ") for line in lines if line):
        if keyword == "FROM":
            base, _, name = arguments.partition(" AS ")
            found.append(Stage(name, base))
        else:
            found[-1].instructions.append(Instruction(keyword, arguments))
    return found


def copied_paths(service: str) -> list[str]:
    """The paths that a Dockerfile copies from the repository."""
    copies = [arguments for stage in stages(service) for arguments in stage.arguments("COPY")]
    return [arguments.split()[0] for arguments in copies if "--from=" not in arguments]


class Builder:
    """Executes the instructions of Dockerfiles in `folder`, with one virtual environment for each stage's name.

    A RUN is not repeated if everything before it is the same, as with Docker's layers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._layers: set[tuple[str, ...]] = set()

    def build(self, service: str) -> tuple[Path, Path, dict[str, str]]:
        """The Python, the root folder and the environment of the service's image."""
        for stage in stages(service):
            python, root, environment = self._build(service, stage)
        return python, root, environment

    def _build(self, service: str, stage: Stage) -> tuple[Path, Path, dict[str, str]]:
        venv = self.folder / f"venv-{stage.name}"
        if not venv.exists():
            subprocess.run([find_uv_bin(), "venv", "--quiet", "--seed", "--python", sys.executable, venv], check=True)
        root = self._root(service, stage.name)
        root.mkdir(parents=True)
        layer: tuple[str, ...] = (stage.name,)
        workdir = Path("/")
        environment: dict[str, str] = {}
        for instruction in stage.instructions:
            layer = (*layer, f"{instruction.keyword} {instruction.arguments}")
            match instruction.keyword:
                case "WORKDIR":
                    workdir = workdir / instruction.arguments
                    _inside(root, workdir).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(service, instruction.arguments, _inside(root, workdir))
                case "ENV":
                    environment |= dict(pair.split("=", 1) for pair in shlex.split(instruction.arguments))
                    environment.pop("PYTHONDONTWRITEBYTECODE", None)
                case "RUN" if "pip" in instruction.arguments and layer not in self._layers:
                    _run(_relocate(instruction.arguments, root), venv, _inside(root, workdir))
                    self._layers.add(layer)
        return venv / "bin" / "python", root, {name: _relocate(v, root) for name, v in environment.items()}

    def _copy(self, service: str, arguments: str, workdir: Path) -> None:
        source, target = arguments.split()[-2:]
        root = self._root(service, "")
        origin = REPOSITORY / source
        if stage := re.match(r"--from=(\S+)", arguments):
            origin = _inside(self._root(service, stage[1]), Path(source))
        goal = _inside(root, Path(target)) if target.startswith("/") else workdir / target
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


def _relocate(text: str, root: Path) -> str:
    """The text with the image's absolute paths moved below `root`."""
    return re.sub(r"(?<![\w.])/(?=srv|opt)", f"{root}/", text)


def _run(command: str, venv: Path, workdir: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", **PIP_SETTINGS}
    done = subprocess.run(
        command, shell=True, cwd=workdir, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """image("intake", "-c", "import intake", TOCSIN_X="y") runs Python in the service's image, built at first use."""
    builder = Builder(tmp_path_factory.mktemp("images"))
    built: dict[str, tuple[Path, Path, dict[str, str]]] = {}

    def python(service: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        if service not in built:
            built[service] = builder.build(service)
        interpreter, root, environment = built[service]
        workdir = _inside(root, Path(stages(service)[-1].arguments("WORKDIR")[-1]))
        environment = {"PATH": os.defpath, **environment, **settings}
        command = [str(interpreter), *arguments]
        return subprocess.run(command, cwd=workdir, env=environment, capture_output=True, text=True, check=False)

    yield python
    shutil.rmtree(builder.folder)


@pytest.mark.long
@pytest.mark.parametrize(("service", "package"), PACKAGES.items())
def test_an_image_can_be_built_and_migrates_a_database(
    service: str,
    package: str,
    image: Callable[..., subprocess.CompletedProcess[str]],
    make_database: MakeDatabase,
) -> None:
    imported = image(service, "-c", f"import {package}, tocsin; print({package}.__file__, tocsin.__file__)")
    assert imported.stderr == ""
    assert str(REPOSITORY) not in imported.stdout
    _, *command = json.loads(stages(service)[-1].arguments("CMD")[0])
    migrated = image(service, *command, "migrate", TOCSIN_DATABASE_URL=make_database())
    assert (migrated.returncode, migrated.stderr) == (0, "")


@pytest.mark.parametrize("service", PACKAGES)
def test_every_copied_path_exists_and_is_not_in_dockerignore(service: str) -> None:
    included = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copied_paths(service)
    for source in copied_paths(service):
        assert (REPOSITORY / source).exists()
        assert any(source == path or source.startswith(path + "/") for path in included), source


@pytest.mark.parametrize("service", PACKAGES)
def test_a_container_runs_unprivileged_and_has_a_health_check(service: str) -> None:
    last = stages(service)[-1]
    port = SETTINGS[service].model_fields["port"].default
    assert all(stage.base == "python:3.11-slim" for stage in stages(service))
    assert int(last.arguments("USER")[-1]) > 0
    assert json.loads(last.arguments("CMD")[0]) == ["python", "-m", PACKAGES[service]]
    assert last.arguments("EXPOSE") == [str(port)]
    (health,) = last.arguments("HEALTHCHECK")
    assert f"C('127.0.0.1', {port}, timeout=3)" in health
    assert "/livez" in health
    compile(json.loads(health[health.index("[") :])[2], "HEALTHCHECK", "exec")
    assert "TOCSIN_HOST=0.0.0.0" in " ".join(last.arguments("ENV"))


def test_the_images_share_all_layers_up_to_the_locked_packages() -> None:
    shared_layers = []
    for service in PACKAGES:
        instructions = stages(service)[-1].instructions
        end = next(n for n, each in enumerate(instructions) if each.keyword == "RUN" and "pip" in each.arguments)
        shared_layers.append(instructions[: end + 1])
    assert all(layers == shared_layers[0] for layers in shared_layers)


def test_the_images_use_the_build_backend_of_the_development_lock() -> None:
    """deploy/docker/build.lock is a subset of deploy/requirements-dev.lock; `make lock` writes both."""
    locked = (REPOSITORY / "deploy/requirements-dev.lock").read_text()
    for name, version in re.findall(
        r"^(\S+)==(\S+)", (REPOSITORY / "deploy/docker/build.lock").read_text(), re.MULTILINE
    ):
        found = re.search(rf"^{re.escape(name)}==(\S+)", locked, re.MULTILINE)
        assert found is not None, name
        assert found[1] == version, f"{name}: deploy/docker/build.lock has {version}, the development lock {found[1]}"
