"""Which tiers are vacant, by the directory (docs/rules.md#5-20). Pure."""

from datetime import datetime

from tocsin.directory import Directory
from tocsin.events import Tier

from escalator.domain.tiers import IsVacant


def vacancy_check(directory: Directory | None, customer_id: str) -> IsVacant:
    """The check for one customer. Without a directory no tier is vacant: better a mail to nobody than a lost step."""

    def is_vacant(tier: Tier, at: datetime) -> bool:
        return directory is not None and directory.holder(tier.role, customer_id, at) is None

    return is_vacant
