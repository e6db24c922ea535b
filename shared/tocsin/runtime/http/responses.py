"""The base of all response models, pages of bounded size, and JSON responses rendered by orjson."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response


class ResponseModel(BaseModel):
    """The base of every response model: frozen, and built from objects by their attributes where needed."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


PAGE_BYTES: Final = 1_000_000
"""The largest page of a list, in bytes of JSON, whatever its limit of items."""


def page_length(items: Sequence[ResponseModel], limit: int) -> int:
    """How many of the items fit on a page: at most `limit` and PAGE_BYTES in all, but at least one, if any."""
    size = 0
    for length, item in enumerate(items[:limit]):
        size += len(item.model_dump_json().encode())
        if size > PAGE_BYTES and length > 0:
            return length
    return min(limit, len(items))


class JsonResponse(Response):
    """JSON rendered by orjson. Instants must be strings already (`tocsin.instants.render_instant`)."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
