"""The filters and the page of `GET /v1/tickets`."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from tocsin.characters import NOT_IN_ID, NOT_IN_LINE, Id, Line
from tocsin.events import Flag, Severity
from tocsin.runtime.http.numbers import DIGITS

from intake.domain.schema_base import BLANK, MAX_STRING_LENGTH, RequestInstant, reject_blank
from intake.store.tables import PUNCTUATION
from intake.store.tickets import TicketFilter

MAX_PAGE_SIZE: Final = 500
MAX_TEXT_LENGTH: Final = 200
_PUNCTUATION: Final = re.compile(PUNCTUATION)
_WORD_CHARACTER: Final = rf"[^{NOT_IN_LINE}{BLANK}!-/:-@\[-`{{-~]"


def _require_words(text: str) -> str:
    if not _words(text):
        raise ValueError("must contain a letter or a digit")
    return text


def _words(text: str) -> list[str]:
    return _PUNCTUATION.sub(" ", text).split()


Name = Annotated[
    Id,
    Field(
        max_length=MAX_STRING_LENGTH,
        # As `reject_blank` does.
        json_schema_extra={"pattern": rf"^[^{NOT_IN_ID}]*[^{NOT_IN_ID}\s][^{NOT_IN_ID}]*$"},
    ),
    AfterValidator(reject_blank),
]
SearchText = Annotated[
    Line,
    Field(
        max_length=MAX_TEXT_LENGTH,
        json_schema_extra={
            "pattern": rf"^[^{NOT_IN_LINE}]*{_WORD_CHARACTER}[^{NOT_IN_LINE}]*$"
        },  # as `_require_words` does
    ),
    AfterValidator(_require_words),
]


class TicketListQuery(BaseModel):
    """The query parameters; all filters must match."""

    model_config = ConfigDict(frozen=True)

    severity: Annotated[Severity, DIGITS] | None = Field(None, description="The effective severity")
    state: Literal["open", "closed"] | None = Field(None, description="The state after all facts")
    flag: Flag | None = Field(None, description="A flag that the ticket has now")
    customer: Name | None = Field(None, description="The customer's id")
    source: Name | None = Field(None, description="The tool's name, as in its tickets")
    opened_from: RequestInstant | None = Field(
        None, description="Opened at this instant or later", examples=["2026-06-08T12:00:00Z"]
    )
    opened_to: RequestInstant | None = Field(
        None, description="Opened before this instant", examples=["2026-06-09T12:00:00Z"]
    )
    text: SearchText | None = Field(
        None,
        description="Words or beginnings of words that all occur in the ticket's external id, summary, affected "
        "services, the names of its customer and contact, or the first 1,000 characters of its description",
        examples=["mail outage", "SR-1042"],
    )
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), DIGITS] = Field(100, description="The size of the page")
    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = Field(
        None, description="The `next_cursor` of the previous page"
    )

    @field_validator("opened_to")
    @classmethod
    def require_range(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        begin = info.data.get("opened_from")
        if value is not None and begin is not None and value <= begin:
            raise ValueError("must lie after opened_from")
        return value

    def filter(self, tenant: str) -> TicketFilter:
        return TicketFilter(
            tenant=tenant,
            severity=self.severity,
            is_open=None if self.state is None else self.state == "open",
            flag=self.flag,
            customer=self.customer,
            source=self.source,
            opened_from=self.opened_from,
            opened_to=self.opened_to,
            words=_words(self.text or ""),
            before=None if self.cursor is None else int(self.cursor),
        )


TicketListParameters = Annotated[TicketListQuery, Query()]
