"""Recurrence rules, compared with those of dateutil."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from support.search_budget import tries
from tocsin.directory.ical.recurrence_rule import read_rule


def random_rule(chance: random.Random) -> str:
    """A rule that RFC 5545 defines: `dateutil` reads some others in another way."""
    frequency = chance.choice(("DAILY", "WEEKLY", "MONTHLY", "YEARLY"))
    parts: dict[str, Any] = {"FREQ": frequency, "INTERVAL": chance.choice((1, 1, 2, 3, 5))}
    days = chance.sample(("MO", "TU", "WE", "TH", "FR", "SA", "SU"), chance.randint(1, 3))
    if chance.random() < 0.5:
        parts["BYDAY"] = ",".join(days)
        if frequency in ("MONTHLY", "YEARLY") and chance.random() < 0.5:
            parts["BYDAY"] = ",".join(f"{chance.choice((1, 2, 3, -1, -2))}{day}" for day in days)
    if chance.random() < 0.3:
        parts["BYMONTH"] = ",".join(map(str, chance.sample(range(1, 13), 3)))
    if frequency != "WEEKLY" and chance.random() < 0.3:
        parts["BYMONTHDAY"] = ",".join(map(str, chance.sample((1, 2, 15, 29, 31, -1, -3), 3)))
    elif frequency == "YEARLY" and chance.random() < 0.3:
        parts["BYYEARDAY"] = ",".join(map(str, chance.sample((1, 60, 100, 365, 366, -1, -200), 3)))
    if chance.random() < 0.3:
        parts["BYHOUR"] = "3,12"
    if chance.random() < 0.3:
        parts["BYSETPOS"] = ",".join(map(str, chance.sample((1, 2, -1, -2), 2)))
    if chance.random() < 0.3:
        parts["WKST"] = chance.choice(("SU", "WE"))
    end = chance.random()
    if end < 0.3:
        parts["COUNT"] = chance.randint(1, 40)
    elif end < 0.6:
        parts["UNTIL"] = f"20{chance.randint(19, 27)}0615T120000"
    return ";".join(f"{name}={value}" for name, value in parts.items())


@pytest.mark.parametrize("seed", range(tries(5)))
def test_rules_recur_as_those_of_dateutil(seed: int) -> None:
    chance = random.Random(seed)
    start = datetime(2019, 1, 1) + timedelta(days=chance.randrange(700), hours=chance.randrange(24))  # noqa: DTZ001
    for _ in range(5):
        text = random_rule(chance)
        rule = read_rule(text, start, lambda until: datetime.strptime(until, "%Y%m%dT%H%M%S"))  # noqa: DTZ007
        first = datetime(2019, 1, 1) + timedelta(days=chance.randrange(2000))  # noqa: DTZ001
        last = first + timedelta(days=chance.randrange(900))
        reference = rrulestr(text, dtstart=start)
        expected = []
        for at in reference.xafter(first, inc=True):
            if at > last:
                break
            expected.append(at)
        found = list(rule.between(first, last))
        assert found == expected, (text, start, first, last)
        assert len(list(rule.between(start, start + timedelta(days=364)))) <= rule.most_per_year
