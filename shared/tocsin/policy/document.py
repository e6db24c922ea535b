"""The models of policy.yaml: the general terms of service, and the terms of single customers."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, EmailStr, Field, HttpUrl, model_validator

from tocsin.business_time import Business
from tocsin.events import Category, Channel, Mailbox, Severity
from tocsin.instants import Instant
from tocsin.policy.calendar import Calendar
from tocsin.policy.severity import SeverityCriteria
from tocsin.yaml_document import Duration, Identifier, Name, YamlModel, field_error


class TargetTerms(YamlModel):
    """The target of a clock. A target without a warning may be written as its `due` alone, such as `1h`."""

    due: Duration
    """The time within which the clock must be met. Inclusive."""
    warning: Duration | None = None
    """The time after which the clock warns. Defaults to `warning_share` of `due`."""

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.warning is not None and self.warning.business != self.due.business:
            message = f"is not measured on the same clock as due, {self.due}; use elapsed or business time for both"
            raise field_error(("warning",), str(self.warning), message)
        return self


def _expanded(value: Any) -> Any:
    return {"due": value} if isinstance(value, str) else value


_Target = Annotated[TargetTerms, BeforeValidator(_expanded, json_schema_input_type=TargetTerms | Duration)]


class Targets(YamlModel):
    """The targets by severity. A customer's own targets replace the general ones one by one."""

    response: dict[Severity, _Target] = Field(default_factory=dict)
    """From the opening to the first human response, by severity."""
    resolution: dict[Severity, _Target] = Field(default_factory=dict)
    """From the first response to the solution or a workaround, by severity."""
    answer: _Target | None = None
    """From the opening to the first human response of a ticket that came by e-mail, whatever its severity."""


ASSIGNEE: Final = "assignee"
"""The recipient that stands for the assignee of the ticket."""

_Recipient = Annotated[
    str, Field(pattern=r"^([a-z][a-z0-9_]*|tier [1-9][0-9]?)$", examples=["assignee", "tier 1", "account_manager"])
]
_Recipients = Annotated[tuple[_Recipient, ...], Field(min_length=1)]


class MailTerms(YamlModel):
    """The recipients of mails, and which mails are sent.

    A recipient is a role, a tier of the ladder such as `tier 1`, or `assignee`. If a ticket has no assignee with an
    e-mail address, and no other recipient is named, tier 1 gets the mail.
    """

    warnings_to: _Recipients | None = None
    """The recipients of warnings. Defaults to tier 1."""
    response_missed_to: _Recipients | None = None
    """The recipients of mails about a missed response. Defaults to tier 1."""
    answer_missed_to: _Recipients | None = None
    """The recipients of mails about a missed answer. Defaults to tier 1."""
    stand_down: bool | None = None
    """Whether everyone whom a ladder mailed gets a mail when it ends. Defaults to true."""
    exhausted: bool | None = None
    """Whether everyone whom a ladder mailed gets a mail when it is exhausted. Defaults to true."""
    single_per_minute: Annotated[int, Field(ge=1)] | None = None
    """How many warnings and mails for information on severities 3 and 4 a person gets in a minute before further ones
    are joined into a digest. Defaults to 5."""


_Share = Annotated[str, Field(pattern=r"^([1-9][0-9]?|100) ?%$", examples=["75 %"])]
_Ladder = Annotated[dict[int, Identifier], Field(examples=[{1: "service_desk_team_lead"}])]


ResolutionMeasure = Literal["target", "by_start", "none"]
"""What the resolution clock of a category measures (docs/rules.md#3-16)."""


class Terms(YamlModel):
    """Terms that may differ from customer to customer. Fields that a customer omits keep their general value."""

    calendar: Identifier | None = None
    """The calendar on which business time runs, by its name in `calendars`."""
    targets: Targets = Targets()
    """The targets of the response, resolution and answer clocks."""
    warning_share: _Share | None = None
    """The share of a target after which a clock warns, unless the target states a warning."""
    categories: dict[Category, ResolutionMeasure] = Field(default_factory=dict)
    """What the resolution clock of a category measures: `target`, the default; `by_start`, the ticket's `starts_at` if
    that is later, the default of onboarding and offboarding; or `none`, no resolution clock, the default of project."""
    start_warning: Duration | None = None
    """How long before `starts_at` a clock measured `by_start` warns. Elapsed time. Defaults to 24h."""
    ladder: _Ladder | None = None
    """The role of each tier of the escalation ladder. A customer's own ladder replaces the general one as a whole."""
    service_delivery: Identifier | None = None
    """The role that is informed of each request to the escalations mailbox. Defaults to tier 1."""
    mail: MailTerms = MailTerms()
    """The recipients of mails."""
    average_under: dict[Channel, Duration] = Field(default_factory=dict)
    """The mean time to the first response that a channel must stay under in a calendar month. Elapsed time."""


def merge_terms(general: Terms, own: Terms) -> Terms:
    """Return the general terms with a customer's own terms applied (docs/rules.md#2-9)."""
    own_mail = {field: value for field, value in own.mail if value is not None}
    return Terms(
        calendar=own.calendar or general.calendar,
        targets=Targets(
            response=general.targets.response | own.targets.response,
            resolution=general.targets.resolution | own.targets.resolution,
            answer=own.targets.answer or general.targets.answer,
        ),
        warning_share=own.warning_share or general.warning_share,
        categories=general.categories | own.categories,
        start_warning=own.start_warning or general.start_warning,
        ladder=own.ladder or general.ladder,
        service_delivery=own.service_delivery or general.service_delivery,
        mail=general.mail.model_copy(update=own_mail),
        average_under=general.average_under | own.average_under,
    )


class MailboxRule(YamlModel):
    """A mailbox for requests."""

    address: EmailStr
    """The e-mail address of the mailbox."""
    purposes: Annotated[tuple[Category, ...], Field(min_length=1)]
    """The categories of requests that the mailbox is for."""
    it_contact_only: bool = False
    """Whether only the customer's IT contact may use the mailbox."""
    otherwise: Mailbox | None = None
    """The mailbox to which a request is rerouted if `it_contact_only` or `purposes` do not allow it."""


class PolicyDocument(Terms):
    """The fields of a policy, each valid on its own. `tocsin.policy.validation` checks them together."""

    version: Annotated[Name, Field(examples=["2026-1"])]
    """The name of this version of the policy. A version that is stored never changes: give each change a new name."""
    in_force_from: Instant
    """The instant from which this version is in force. The oldest version also governs earlier instants."""
    severities: dict[Severity, SeverityCriteria]
    """The severity matrix. It suggests a severity and never sets it."""
    roles: dict[Identifier, Name]
    """The roles that ladders and mails use, each with its title. The directory says who holds a role."""
    calendars: dict[Identifier, Calendar]
    """The business calendars by name."""
    mailboxes: dict[Mailbox, MailboxRule]
    """The mailboxes for requests and their purposes."""
    help_guide: HttpUrl | None = None
    """The address of the How to Get Help Guide, for the mail to the sender of a rerouted request."""
    notice: dict[Category, Duration] = Field(default_factory=dict)
    """The notice that a category needs between the request and its start. Elapsed time."""
    machine_sources: dict[Name, Severity] = Field(default_factory=dict)
    """The sources that may omit a severity, each with the severity that its tickets get."""
    automatic_actors: tuple[Name, ...] = Field(default=(), examples=[["autoresponder", "*@noreply.example.com"]])
    """The actors whose `responded` facts are automatic receipts, not responses; `*` matches any characters."""
    customers: dict[Name, Terms] = Field(default_factory=dict)
    """The terms of single customers, by customer id."""

    calendar: Identifier
    """The calendar on which business time runs, by its name in `calendars`."""
    targets: Targets
    """The targets of the response, resolution and answer clocks. All severities are required."""
    warning_share: _Share
    """The share of a target after which a clock warns, unless the target states a warning."""
    ladder: _Ladder
    """The role of each tier of the escalation ladder. Tiers are numbered 1, 2, 3 ... without a gap."""

    @cached_property
    def clocks(self) -> Mapping[str, Business]:
        """The clock of each calendar, by the calendar's name."""
        return {name: calendar.business(name) for name, calendar in self.calendars.items()}
