"""The filters of `GET /v1/deliveries`: what is valid, and which field an error names."""

from urllib.parse import parse_qsl

import pytest
from notifier.api.list_query import DeliveryListRequest
from pydantic import ValidationError


@pytest.mark.parametrize(
    "query",
    [
        "ticket_id=x", "state=new", "state=", "kind=mail", "limit=0", "limit=501", "cursor=x", "cursor=-1",
        "recipient=%00", "recipient=", "queued_from=now", "queued_from=2026-06-08T12:00:00",
        "queued_to=0001-01-01T00:00:00%2B14:00", "queued_to=9999-12-31T23:59:59-14:00",
        "queued_to=2026-06-08T12:00:00Z&queued_from=2026-06-08T12:00:00Z",
    ],
)  # fmt: skip
def test_invalid_filters_are_refused(query: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DeliveryListRequest.model_validate(dict(parse_qsl(query, keep_blank_values=True)))
    assert refused.value.errors()[0]["loc"] == (query.partition("=")[0],)
