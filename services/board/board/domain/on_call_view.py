"""The content of the on-call page. Pure; a template only lays it out."""

from dataclasses import dataclass

from tocsin.directory import LINT_PERIOD, Directory, lint_directory

from board.domain.role_schedule import (
    Handover,
    RoleOnCall,
    RoleVacancy,
    handovers,
    role_weeks,
    roles_on_call,
    vacancies,
)
from board.domain.time_words import Moment, PageTime
from board.domain.week_strip import WeekStrip, draw_week


@dataclass(frozen=True, slots=True)
class OnCallView:
    """The content of the page. `is_own`: the directory is that of the reader's tenant.

    Readers of other tenants see the names of who is on call now and next, as in notifier's `GET /v1/on-call`.
    """

    is_own: bool
    roles: tuple[RoleOnCall, ...]
    handovers: tuple[Handover, ...]
    vacancies: tuple[RoleVacancy, ...]
    strip: WeekStrip | None
    lint: tuple[str, ...]
    zone: str
    now: Moment


def on_call_view(directory: Directory, time: PageTime, *, is_own: bool) -> OnCallView:
    """The content of the page at the instant."""
    roles = roles_on_call(directory, time)
    if not is_own:
        roles = [role for role in roles if role.customer is None]
    return OnCallView(
        is_own=is_own,
        roles=tuple(roles),
        handovers=tuple(handovers(directory, time)) if is_own else (),
        vacancies=tuple(vacancies(directory, time)) if is_own else (),
        strip=draw_week(role_weeks(directory, time.now), time) if is_own else None,
        lint=lint_messages(directory, time) if is_own else (),
        zone=time.zone_words,
        now=time.full(time.now),
    )


def lint_messages(directory: Directory, time: PageTime) -> tuple[str, ...]:
    """The problems of the directory within a year, except harmless ones: `roles.account_manager: never applies ...`."""
    findings = lint_directory(directory, time.now, time.now + LINT_PERIOD)
    return tuple(f"{'.'.join(map(str, found.path))}: {found.message}" for found in findings if not found.harmless)
