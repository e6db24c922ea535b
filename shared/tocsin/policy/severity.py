"""The criteria of the severity matrix, as the policy writes them and as a ticket tells them (RULES 1)."""

from typing import Annotated, Literal

from pydantic import Field

from tocsin.events import FrozenModel
from tocsin.yaml_document import Name, YamlModel

BusinessRisk = Literal["catastrophic", "major", "moderate", "minimal"]
WorkStoppage = Literal["full", "significant", "some", "minor"]
Workaround = Literal["none", "semi_acceptable", "acceptable"]


class SeverityCriteria(YamlModel):
    """A column of the page's table: what speaks for this severity."""

    name: Name
    business_risk: BusinessRisk | None = None
    work_stoppage: WorkStoppage | None = None
    users_affected_percent_from: Annotated[int, Field(ge=0, le=100)] | None = None
    workaround: Workaround | None = None


class Impact(FrozenModel):
    """What is known of a ticket's impact; each criterion may be missing."""

    business_risk: BusinessRisk | None = None
    work_stoppage: WorkStoppage | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    workaround: Workaround | None = None
