"""`python -m notifier who` and `directory check`. They need TOCSIN_DIRECTORY; the check also reads TOCSIN_POLICY."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn

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
from tocsin.runtime.errors import ConfigurationError, FileReadError
from tocsin.runtime.http.public_address import Network
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.commands import instant_option
from tocsin.runtime.process.regular_file import read_text
from tocsin.runtime.process.settings import CalendarSettings, ClockSettings, load
from tocsin.sources.directory_file import DirectoryFile
from tocsin.sources.policy_file import configured_policy, mailboxes_of
from tocsin.yaml_document import locate_problems

from notifier.domain.on_call import on_call, rotations_of, unreadable_events
from notifier.errors import InstantOutOfRangeError, UnknownRoleError

directory_app = typer.Typer(no_args_is_help=True, help="The directory: who holds which role.")


_MAX_NOTES: Final = 5


class DirectorySettings(CalendarSettings, ClockSettings):
    """The settings of `who`."""

    directory: Path


class CheckSettings(CalendarSettings, ClockSettings):
    """The settings of `directory check`."""

    directory: Path | None = None
    policy: Path | None = None


@directory_app.callback()
def _directory() -> None:
    """Keeps `check` a subcommand although it is the only one."""


def who(
    role: Annotated[str, typer.Option(help="A role of the directory, such as service_desk_team_lead.")],
    at: Annotated[
        datetime | None, typer.Option(parser=instant_option, metavar="T", help="2026-12-24T23:30Z; default: now")
    ] = None,
    customer: Annotated[str | None, typer.Option(help="A customer's id; default: any customer.")] = None,
) -> None:
    """Show who holds a role, why, and until when. Exits 1 if nobody does, 2 if an option is invalid.

    Notes say what of the role's calendars cannot be read.
    """
    settings = load(DirectorySettings)
    instant = at or clock_from(settings).now()
    directory, calendar_problems = _load(settings.directory, instant, settings.calendar_networks)
    try:
        found = on_call(directory, role, customer, instant)
    except UnknownRoleError as error:
        _fail(f"{role} {error}.", 2)
    except InstantOutOfRangeError as error:
        _fail(f"--at {error}.", 2)
    typer.echo(f"{role} at {display_instant(instant, UTC)}" + (f", for {customer}" if customer else ""))
    typer.echo(f"  who    {_describe(found.holder)}")
    if found.holder is not None:
        typer.echo(f"  why    {found.holder.rule}")
        if found.holder.phone is not None:
            typer.echo(f"  phone  {found.holder.phone}")
    further = (*(found.holder.fallbacks if found.holder else ()), found.group_address)
    for address in filter(None, further):
        typer.echo(f"  else   {address}")
    if found.until is None:
        typer.echo("  until  no change within a year")
    else:
        typer.echo(f"  until  {display_instant(found.until, UTC)}, then {_describe(found.next_holder)}")
    rotations = rotations_of(directory, role, customer)
    broken = [f"rotation {name}: {calendar_problems[name]}" for name in rotations if name in calendar_problems]
    notes = [*broken, *unreadable_events(directory, rotations, instant)]
    for note in notes[:_MAX_NOTES]:
        typer.echo(f"  note   {note}")
    if len(notes) > _MAX_NOTES:
        typer.echo(f"  note   {len(notes) - _MAX_NOTES} more; `python -m notifier directory check` lists them")
    raise typer.Exit(0 if found.holder else 1)


@directory_app.command("check")
def check(
    file: Annotated[Path | None, typer.Option(help="Check this file instead of TOCSIN_DIRECTORY.")] = None,
) -> None:
    """Check the directory for a year ahead: gaps, unknown people, impossible addresses. Exits 1 if it finds any.

    Calendar events that overlap are listed too, and are not an error: the later one counts. Neither are events that
    cannot be read, unless they would put somebody on call.
    """
    settings = load(CheckSettings)
    path = file or settings.directory or load(DirectorySettings).directory
    now = clock_from(settings).now()
    directory, calendar_problems = _load(path, now, settings.calendar_networks)
    findings = [
        LintFinding(("rotations", name, "calendar"), f"{problem}; until then the rotation has no answer")
        for name, problem in calendar_problems.items()
    ]
    try:
        policy = configured_policy(settings.policy) if settings.policy else None
    except ConfigurationError as error:
        _fail(str(error), 2)
    findings += lint_mailboxes(directory, mailboxes_of(policy))
    findings += lint_directory(directory, now, now + LINT_PERIOD)
    for line in _lines(path, (finding for finding in findings if finding.harmless)):
        typer.echo(line)
    if errors := _lines(path, (finding for finding in findings if not finding.harmless)):
        _fail("\n".join(errors))
    period = f"{now:%Y-%m-%d} to {now + LINT_PERIOD:%Y-%m-%d}"
    typer.echo(f"{path}: {len(directory.people)} people; every role is held from {period}.")


def _load(path: Path, at: datetime, networks: Sequence[Network]) -> tuple[Directory, dict[str, str]]:
    """The directory with its calendars around an instant, and the problems of those by rotation."""
    # The commands print the problems themselves.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        load_directory(read_text(path), str(path))
    except DirectoryError as error:
        _fail(str(error))
    except FileReadError as error:
        _fail(f"{path} cannot be read: {error.reason}.")
    file = DirectoryFile(path, lambda: at, networks)
    asyncio.run(file.refresh(at_once=True))
    directory = file.current()
    if directory is None:
        _fail(f"{path}: {file.problem}")
    return directory, file.calendar_problems()


def _lines(path: Path, findings: Iterable[LintFinding]) -> list[str]:
    problems = ((finding.path, finding.message) for finding in findings)
    return locate_problems(read_text(path), str(path), problems)


def _describe(holder: Holder | None) -> str:
    return f"{holder.name} <{holder.email}> ({holder.person})" if holder else "nobody: the tier is vacant"


def _fail(message: str, status: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
