"""`python -m notifier who` and `directory check`: they need TOCSIN_DIRECTORY; the check also looks at TOCSIN_POLICY."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
from tocsin.directory import (
    LINT_PERIOD,
    Directory,
    DirectoryError,
    Holder,
    LintFinding,
    lint_directory,
    lint_mailboxes,
    load_directory,
)
from tocsin.instants import display_instant
from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.commands import instant_option
from tocsin.runtime.process.reloaded_file import describe_read_error
from tocsin.runtime.process.settings import ClockSettings, load
from tocsin.sources.directory_file import DirectoryFile
from tocsin.sources.policy_file import mailboxes_of
from tocsin.yaml_document import locate_problems

from notifier.domain.on_call import FIRST, LAST, on_call


class DirectorySettings(ClockSettings):
    """All that these commands need."""

    directory: Path


class CheckSettings(ClockSettings):
    """What `check` looks at, where it is told."""

    directory: Path | None = None
    policy: Path | None = None


def add_commands(app: typer.Typer) -> None:
    """Add the commands to those of the service."""
    app.command("who")(who)
    directory = typer.Typer(no_args_is_help=True, help="The directory: who holds which role.")
    directory.callback()(lambda: None)  # so that `check` stays a word of its own while it is the only one
    directory.command("check")(check)
    app.add_typer(directory, name="directory")


def who(
    role: Annotated[str, typer.Option(help="A role of the directory, such as service_desk_team_lead.")],
    at: Annotated[
        datetime | None, typer.Option(parser=instant_option, metavar="T", help="2026-12-24T23:30Z; now if left out")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="A customer's id; any customer if left out.")] = None,
) -> None:
    """Say who holds a role, why, and until when. Exits 1 where nobody does, 2 where the question is wrong."""
    path = load(DirectorySettings).directory
    instant = at or clock_from(load(ClockSettings)).now()
    directory, _ = _read(path)
    if role not in directory.known_roles:
        _fail(f"{role} is no role of the directory; known are {', '.join(directory.known_roles)}.", 2)
    if not FIRST <= instant < LAST:
        _fail(f"The instant must lie in the years {FIRST.year} to {LAST.year - 1}.", 2)
    found = on_call(directory, role, customer, instant)
    group = directory.group_address(role, customer)
    typer.echo(f"{role} at {display_instant(instant, UTC)}" + (f", for {customer}" if customer else ""))
    typer.echo(f"  who    {_said(found.holder)}")
    if found.holder is not None:
        typer.echo(f"  why    {found.holder.rule}")
    for address in (*(found.holder.fallbacks if found.holder else ()), *([group] if group else [])):
        typer.echo(f"  else   {address}")
    if found.until is None:
        typer.echo("  until  no change within a year")
    else:
        typer.echo(f"  until  {display_instant(found.until, UTC)}, then {_said(found.then)}")
    raise typer.Exit(0 if found.holder else 1)


def check(
    file: Annotated[Path | None, typer.Option(help="A file to check before it takes TOCSIN_DIRECTORY's place.")] = None,
) -> None:
    """Find what is wrong, or will be within a year: gaps, unknown people, impossible addresses; then exit with 1.

    Events of a calendar that overlap are told without it: the later one counts.
    """
    settings = load(CheckSettings)
    path = file or settings.directory or load(DirectorySettings).directory
    now = clock_from(load(ClockSettings)).now()
    directory, calendars = _read(path)
    found = [
        LintFinding(("rotations", name, "calendar"), f"{problem}; until it can be read the rotation answers nothing")
        for name, problem in calendars.items()
    ]
    try:
        found += lint_mailboxes(directory, mailboxes_of(settings.policy))
    except ConfigurationError as error:
        _fail(str(error), 2)
    found += lint_directory(directory, now, now + LINT_PERIOD)
    for line in _lines(path, (finding for finding in found if finding.harmless)):
        typer.echo(line)
    if wrong := _lines(path, (finding for finding in found if not finding.harmless)):
        _fail("\n".join(wrong))
    ahead = f"{now:%Y-%m-%d} to {now + LINT_PERIOD:%Y-%m-%d}"
    typer.echo(f"{path}: {len(directory.people)} people; every role is held from {ahead}.")


def _read(path: Path) -> tuple[Directory, dict[str, str]]:
    """The directory with its calendars, and what is wrong with these by rotation."""
    # What goes wrong is told by the commands themselves.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        load_directory(path.read_text(encoding="utf-8"), str(path))
    except DirectoryError as error:
        _fail(str(error))
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path} cannot be read: {describe_read_error(error)}.")
    reading = DirectoryFile(path, clock_from(load(ClockSettings)).now)
    asyncio.run(reading.refresh(at_once=True))
    directory = reading.current()
    if directory is None:
        _fail(f"{path}: {reading.problem}")
    return directory, reading.calendar_problems()


def _lines(path: Path, found: Iterable[LintFinding]) -> list[str]:
    places = ((finding.path, finding.message) for finding in found)
    return locate_problems(path.read_text(encoding="utf-8"), str(path), places)


def _said(holder: Holder | None) -> str:
    return f"{holder.name} <{holder.email}> ({holder.person})" if holder else "nobody: the tier is vacant"


def _fail(message: str, status: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
