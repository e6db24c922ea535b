"""What `GET /v1/deliveries` may be asked."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from tocsin.events import MailKind

from notifier.domain.delivery import State
from notifier.store import Filter

LARGEST_PAGE: Final = 500
_YEARS: Final = range(1990, 9000)


def _within_reach(at: datetime) -> datetime:
    if at.year not in _YEARS:
        raise ValueError(f"must lie between the years {_YEARS[0]} and {_YEARS[-1]}")
    return at


At = Annotated[
    AwareDatetime,
    AfterValidator(_within_reach),
    Field(json_schema_extra={"pattern": "^(199[0-9]|[2-8][0-9]{3})-"}),
]


class ListQuery(BaseModel):
    """The filters, all of which must hold, and the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket_id: UUID | None = None
    recipient: Annotated[str, Field(max_length=320, pattern=r"^[^\x00]+$")] | None = Field(
        None, description="An address, or a person of the directory", examples=["dana@example.com", "dana"]
    )
    state: State | None = None
    kind: MailKind | None = None
    queued_from: At | None = Field(
        None, description="`queued_at` is this instant or later", examples=["2026-06-08T12:00:00Z"]
    )
    queued_to: At | None = Field(
        None, description="`queued_at` lies before this instant", examples=["2026-06-09T12:00:00Z"]
    )
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 100
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = Field(
        None, description="`next_cursor` of the page before"
    )

    @field_validator("queued_to")
    @classmethod
    def after_its_beginning(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        """A range that holds no instant was meant otherwise."""
        begin = info.data.get("queued_from")
        if value is not None and begin is not None and value <= begin:
            raise ValueError("must lie after queued_from")
        return value

    def filter(self, tenant: str) -> Filter:
        """What the store is asked."""
        return Filter(
            tenant=tenant,
            ticket_id=self.ticket_id,
            recipient=self.recipient,
            state=self.state,
            kind=self.kind,
            queued_from=self.queued_from,
            queued_to=self.queued_to,
            after=int(self.cursor or 0),
        )


Listing = Annotated[ListQuery, Query()]
