"""A small generated log through the whole pipeline, twice: the second time with bad rows at its end."""

import asyncio
import csv
import os
import random
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from support.movable_stack import MovableStack
from support.scenario import Scenario
from support.stories import shipped_policy
from tocsin_tools.replay import run
from tocsin_tools.replay.help_desk_log import COLUMNS, read_log_file

TICKETS = 60
FIRST_DAY = datetime(2013, 1, 7, 8)  # noqa: DTZ001 - a local time, as in a log
ACTIVITIES = ("Take in charge ticket", "Wait", "Require upgrade", "Assign seriousness", "Resolve ticket", "Closed")


def generate_log(seed: int) -> list[dict[str, str]]:
    """Rows of tickets that are answered early or late, wait, change, close and reopen. The last stays open."""
    dice = random.Random(seed)
    rows = []
    for number in range(TICKETS):
        at = FIRST_DAY + timedelta(days=number * 5, minutes=dice.randrange(600))
        severity = dice.randint(1, 4)
        activities = ["Insert ticket", *dice.choices(ACTIVITIES, k=dice.randrange(6))]
        if number < TICKETS - 1:
            activities.append("DUPLICATE" if number % 20 == 7 else "Closed")
        for activity in activities:
            rows.append(
                {
                    "Case ID": f"Case {number}",
                    "Activity": activity,
                    "Resource": f"Value {dice.randint(1, 5)}",
                    "Complete Timestamp": f"{at}",
                    "customer": f"customer {number % 7}",
                    "product": "Value 3",
                    "seriousness_2": f"Value {severity}",
                    "workgroup": "Value 1",
                }
            )
            at += timedelta(minutes=dice.choice((5, 50, 300, 3000, 9000)))
            severity = dice.choice((severity, severity, severity, dice.randint(1, 4)))
    return rows


def write_log(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "log.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


async def make_replay(movable_stack: MovableStack, log: Path) -> tuple[int | None, str]:
    """(exit status, output) of `make replay` on the scenarios' stack."""
    environment = os.environ | {"TOCSIN_STATE": str(movable_stack.stack.options.state)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin_tools", "replay", str(log)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_a_log_is_imported_as_history_once(
    scenario: Scenario, movable_stack: MovableStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = generate_log(1)
    status, printed = await make_replay(movable_stack, write_log(tmp_path, rows))
    assert status == 0, printed
    assert f"{len(rows)} events of 60 tickets: 0 bad" in printed
    assert "60 tickets new (201), 0 known already (200)" in printed
    assert "60 tickets with the simulation: 0 differ" in printed
    assert "0 for history" in printed
    assert "2013-01" in printed

    async def quick_wait(_client: object) -> float:
        """Exact, while the tool's own wait takes 6 s."""
        await scenario.wait_until_idle()
        return time.monotonic()

    monkeypatch.setattr(run, "wait_until_idle", quick_wait)
    last = len(rows) + 1
    rows.append(rows[0] | {"Complete Timestamp": "soon"})
    rows.append(rows[0] | {"seriousness_2": "Value 11"})
    rows.append(rows[0] | {"Case ID": "Too long", "product": "x" * 10_001})
    console = Console(record=True, width=120)
    log = read_log_file(write_log(tmp_path, rows))
    assert not await run.replay(log, movable_stack.stack.run, shipped_policy(), console)
    printed = console.export_text()
    assert f"line {last + 1}: 'soon' is not a date and time" in printed
    assert f"line {last + 2}: seriousness_2 is 'Value 11'" in printed
    assert f"line {last + 3}: Too long was rejected (422): summary" in printed
    assert "0 tickets new (201), 60 known already (200), 1 rejected" in printed
    assert "60 tickets with the simulation: 0 differ" in printed
    assert "nothing was new" in printed
    assert await scenario.mails_by_ticket() == {}
