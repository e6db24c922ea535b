"""What `GET /v1/tickets` may be asked, and its cursor."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import Depends, Query, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from tocsin.events import Severity
from tocsin.runtime.http.problems import Problem
from tocsin.validation import FieldError

from intake.domain.schema_base import BLANKS, Given, Instant, Text, not_blank
from intake.store import PUNCTUATION, Filter

LARGEST_PAGE: Final = 500
LONGEST_TEXT: Final = 200
_PUNCTUATION = re.compile(PUNCTUATION)
_WORD = rf"[^\x00{BLANKS}!-/:-@\[-`{{-~]"


def _digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"0|[1-9][0-9]{0,8}", value, re.ASCII):
        raise ValueError("must be a whole number")
    return value


def _with_words(text: str) -> str:
    if not _words(text):
        raise ValueError("must hold a letter or a digit")
    return text


def _words(text: str) -> list[str]:
    return _PUNCTUATION.sub(" ", text).split()


Name = Annotated[Given, AfterValidator(not_blank)]


class ListQuery(BaseModel):
    """The filters, all of which must hold, and the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Annotated[Severity, BeforeValidator(_digits)] | None = Field(None, description="The effective severity")
    state: Literal["open", "closed"] | None = None
    customer: Name | None = Field(None, description="The customer's id")
    source: Name | None = None
    opened_from: Instant | None = Field(
        None, description="Opened at this instant or later", examples=["2026-06-08T12:00:00Z"]
    )
    opened_to: Instant | None = Field(None, description="Opened before this instant", examples=["2026-06-09T12:00:00Z"])
    text: (
        Annotated[
            Text,
            Field(
                max_length=LONGEST_TEXT,
                json_schema_extra={"pattern": rf"^[^\x00]*{_WORD}[^\x00]*$"},  # what `_with_words` asks for
            ),
            AfterValidator(_with_words),
        ]
        | None
    ) = Field(
        None,
        description="Words, or beginnings of words, that all occur in the ticket's external id, summary, affected "
        "services, the names of its customer and contact, or the first 1,000 characters of its description",
        examples=["mail outage", "SR-1042"],
    )
    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)] = 100
    cursor: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,17}$")] | None = Field(
        None, description="`next_cursor` of the page before, as it was given"
    )

    @field_validator("opened_to")
    @classmethod
    def after_its_beginning(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        """A range that holds no instant was meant otherwise."""
        begin = info.data.get("opened_from")
        if value is not None and begin is not None and value <= begin:
            raise ValueError("must lie after opened_from")
        return value

    def filter(self, tenant: str) -> Filter:
        """What the store is asked."""
        return Filter(
            tenant=tenant,
            severity=self.severity,
            is_open=None if self.state is None else self.state == "open",
            customer=self.customer,
            source=self.source,
            opened_from=self.opened_from,
            opened_to=self.opened_to,
            words=_words(self.text or ""),
            before=None if self.cursor is None else int(self.cursor),
        )


def _query(request: Request, query: Annotated[ListQuery, Query()]) -> ListQuery:
    names = [name for name, _ in request.query_params.multi_items()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        errors = [FieldError(field=name, message="is given more than once") for name in twice]
        raise Problem(422, "Some fields are wrong.", errors=errors)
    return query


Listing = Annotated[ListQuery, Depends(_query)]
