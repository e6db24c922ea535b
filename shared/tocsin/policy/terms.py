"""The terms of service as they are written: what may differ from customer to customer."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from tocsin.events import Channel, Severity
from tocsin.yaml_document import Duration, Identifier, YamlModel, field_error


class TargetTerms(YamlModel):
    """A target: when it is due and, where the page gives a range, when its warning is."""

    due: Duration
    warning: Duration | None = None

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.warning is not None and self.warning.business != self.due.business:
            raise field_error(
                ("warning",),
                str(self.warning),
                f"is measured on another clock than its due, {self.due}; use the same for both",
            )
        return self


def _short(value: Any) -> Any:
    return {"due": value} if isinstance(value, str) else value


Target = Annotated[TargetTerms, BeforeValidator(_short, json_schema_input_type=TargetTerms | Duration)]


class Targets(YamlModel):
    """What is promised, by severity. A customer's own replace the general ones one by one."""

    response: dict[Severity, Target] = Field(default_factory=dict)
    resolution: dict[Severity, Target] = Field(default_factory=dict)
    answer: Target | None = None


class MailTerms(YamlModel):
    """Who is told what, by role. Left out: the role of tier 1. `stand_down` is the mail that a ladder is over."""

    warnings_to: Annotated[tuple[Identifier, ...], Field(min_length=1)] | None = None
    response_missed_to: Annotated[tuple[Identifier, ...], Field(min_length=1)] | None = None
    answer_missed_to: Annotated[tuple[Identifier, ...], Field(min_length=1)] | None = None
    stand_down: bool | None = None


Share = Annotated[str, Field(pattern=r"^([1-9][0-9]?|100) ?%$", examples=["75 %"])]
Ladder = Annotated[dict[int, Identifier], Field(examples=[{1: "service_desk_team_lead"}])]


class Terms(YamlModel):
    """What may differ from customer to customer. What a customer's terms leave out is as for everybody."""

    calendar: Identifier | None = None
    targets: Targets = Targets()
    warning_share: Share | None = None
    ladder: Ladder | None = None
    mail: MailTerms = MailTerms()
    average_under: dict[Channel, Duration] = Field(default_factory=dict)


def merged(general: Terms, own: Terms) -> Terms:
    """A customer's own terms over the general ones."""
    return Terms(
        calendar=own.calendar or general.calendar,
        targets=Targets(
            response=general.targets.response | own.targets.response,
            resolution=general.targets.resolution | own.targets.resolution,
            answer=own.targets.answer or general.targets.answer,
        ),
        warning_share=own.warning_share or general.warning_share,
        ladder=own.ladder or general.ladder,
        mail=MailTerms(**{**dict(general.mail), **_given(own.mail)}),
        average_under=general.average_under | own.average_under,
    )


def _given(mail: MailTerms) -> dict[str, Any]:
    return {field: value for field, value in mail if value is not None}
