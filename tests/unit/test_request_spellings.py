"""Parameters and bodies of all services: control characters are rejected by field; numbers and ids are canonical."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notifier.api.list_query import DeliveryListRequest
from notifier.api.schemas import RedeliveryRequest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from sla_timer.domain.simulate import SimulationRequest
from tocsin.events import UuidInput
from tocsin.runtime.http.numbers import DIGITS

OPENED = {"type": "opened", "occurred_at": "2026-06-08T12:00:00Z", "severity": 1, "actor": "Bob"}
SIMULATION = {"facts": [OPENED], "until": "2026-06-09T12:00:00Z", "customer": "acme"}
BODIES: list[tuple[type[BaseModel], Mapping[str, Any], str]] = [
    (SimulationRequest, SIMULATION, "customer"),
    (SimulationRequest, OPENED, "actor"),
    (RedeliveryRequest, {"by": "Kim", "reason": "lost"}, "by"),
    (RedeliveryRequest, {"by": "Kim", "reason": "lost"}, "reason"),
    (DeliveryListRequest, {"recipient": "dana"}, "recipient"),
]
CONTROLS = st.characters(categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from("\u202e\u2066")


@pytest.mark.rule("1.12")
@given(st.sampled_from(BODIES), CONTROLS)
def test_a_control_character_is_rejected_by_the_name_of_its_field(
    body: tuple[type[BaseModel], Mapping[str, Any], str], control: str
) -> None:
    model, valid, field = body
    changed: Any = {**valid, field: f"a{control}b"}
    with pytest.raises(ValidationError) as rejected:
        model.model_validate({**SIMULATION, "facts": [changed]} if valid is OPENED else changed)
    assert [error["loc"][-1] for error in rejected.value.errors()] == [field]


UUID_TEXT = "1f2179db-15df-5301-954e-79cce3c08d79"


@pytest.mark.parametrize(
    "text",
    [
        UUID_TEXT.upper(),
        UUID_TEXT.replace("-", ""),
        f"{{{UUID_TEXT}}}",
        f"urn:uuid:{UUID_TEXT}",
        f" {UUID_TEXT}",
        f"{UUID_TEXT}\n",
        UUID_TEXT.replace("1", "１"),
    ],
)
def test_a_uuid_has_one_spelling(text: str) -> None:
    uuids = TypeAdapter(UuidInput)
    assert str(uuids.validate_python(UUID_TEXT)) == UUID_TEXT
    with pytest.raises(ValidationError, match="must be a UUID in lower case with hyphens"):
        uuids.validate_python(text)


@pytest.mark.parametrize("text", [" 5", "5 ", "+5", "-5", "05", "5.0", "1_0", "5e0", "٥", "", "5\n"])
def test_a_number_in_a_path_has_one_spelling(text: str) -> None:
    numbers = TypeAdapter(Annotated[int, Field(ge=0), DIGITS])
    assert [numbers.validate_python(each) for each in ("0", "5", "10")] == [0, 5, 10]
    with pytest.raises(ValidationError, match="must be a whole number"):
        numbers.validate_python(text)
