"""The query parameters of `GET /v1/deliveries`."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from tocsin.characters import Id
from tocsin.events import MailKind, UuidInput
from tocsin.runtime.http.numbers import DIGITS

from notifier.domain.delivery import DeliveryState
from notifier.store.deliveries import DeliveryFilter

_YEARS: Final = range(1990, 9000)


def _in_range(at: datetime) -> datetime:
    if at.year not in _YEARS:
        raise ValueError(f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return at


At = Annotated[
    AwareDatetime,
    AfterValidator(_in_range),
    Field(json_schema_extra={"pattern": "^(199[0-9]|[2-8][0-9]{3})-"}),
]


class DeliveryListRequest(BaseModel):
    """Filters, all of which must match, and the page."""

    model_config = ConfigDict(frozen=True)

    ticket_id: UuidInput | None = Field(None, description="Only deliveries of this ticket")
    recipient: Annotated[Id, Field(min_length=1, max_length=320)] | None = Field(
        None, description="An address, or a person's id in the directory", examples=["dana@example.com", "dana"]
    )
    state: DeliveryState | None = Field(None, description="Only deliveries in this state")
    kind: MailKind | None = Field(None, description="Only mails of this kind")
    queued_from: At | None = Field(
        None, description="`queued_at` is this instant or later", examples=["2026-06-08T12:00:00Z"]
    )
    queued_to: At | None = Field(
        None, description="`queued_at` is before this instant", examples=["2026-06-09T12:00:00Z"]
    )
    limit: Annotated[int, Field(ge=1, le=500), DIGITS] = Field(100, description="The size of the page")
    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = Field(
        None, description="`next_cursor` of the previous page"
    )

    @field_validator("queued_to")
    @classmethod
    def _is_after_queued_from(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        begin = info.data.get("queued_from")
        if value is not None and begin is not None and value <= begin:
            raise ValueError("must be after queued_from")
        return value

    def filter(self, tenant: str) -> DeliveryFilter:
        return DeliveryFilter(
            tenant=tenant,
            ticket_id=self.ticket_id,
            recipient=self.recipient,
            state=self.state,
            kind=self.kind,
            queued_from=self.queued_from,
            queued_to=self.queued_to,
            after=int(self.cursor or 0),
        )


ListQuery = Annotated[DeliveryListRequest, Query()]
