"""The directory's word on which tiers are vacant. Pure (RULES 5)."""

from datetime import datetime

from tocsin.directory import Directory
from tocsin.events import Tier

from escalator.domain.tiers import Vacant


def vacancies(directory: Directory | None, customer_id: str) -> Vacant:
    """For one customer. Without a directory no tier is vacant: a step is rather addressed in vain than dropped."""

    def vacant(tier: Tier, at: datetime) -> bool:
        return directory is not None and directory.holder(tier.role, customer_id, at) is None

    return vacant
