"""The base of all response models, and JSON responses rendered by orjson."""

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response


class ResponseModel(BaseModel):
    """The base of every response model: frozen, and built from objects by their attributes where needed."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class JsonResponse(Response):
    """JSON rendered by orjson. Instants must be strings already (`tocsin.instants.render_instant`)."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
