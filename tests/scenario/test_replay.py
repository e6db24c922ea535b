"""A small made-up log through the whole pipeline, twice; and one with rows that nobody can read."""

import asyncio
import csv
import os
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.movable_stack import MovableStack
from support.scenario import Scenario
from tocsin_local.replay.log import COLUMNS
from tocsin_local.replay.run import read_file, replay
from tocsin_local.stack import Stack

TICKETS = 60
FIRST_DAY = datetime(2013, 1, 7, 8)  # noqa: DTZ001 - what a clock on the wall showed
ACTIVITIES = ("Take in charge ticket", "Wait", "Require upgrade", "Assign seriousness", "Resolve ticket", "Closed")


def made_up(seed: int, name: str) -> list[dict[str, str]]:
    """Rows of a log: tickets answered early or late, that wait, change, end and begin again. The last stays open."""
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
                    "Case ID": f"{name} {number}",
                    "Activity": activity,
                    "Resource": f"Value {dice.randint(1, 5)}",
                    "Complete Timestamp": f"{at}",
                    "customer": f"{name} customer {number % 7}",
                    "product": "Value 3",
                    "seriousness_2": f"Value {severity}",
                    "workgroup": "Value 1",
                }
            )
            at += timedelta(minutes=dice.choice((5, 50, 300, 3000, 9000)))
            severity = dice.choice((severity, severity, severity, dice.randint(1, 4)))
    return rows


def written(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "log.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


async def make_replay(stack: Stack, log: Path) -> tuple[int | None, str]:
    """(exit status, what it printed) of `make replay`, on the stack of the stories."""
    environment = os.environ | {"TOCSIN_STATE": str(stack.plan.state)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin_local", "replay", str(log)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_a_log_is_taken_as_history_once(
    scenario: Scenario, movable_stack: MovableStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = made_up(1, "Case")
    log = written(tmp_path, rows)
    status, printed = await make_replay(movable_stack.stack, log)
    assert status == 0, printed
    assert f"{len(rows)} events of 60 tickets: 0 bad" in printed
    assert "60 tickets new (201), 0 known already (200)" in printed
    assert "60 tickets with the pure function: 0 differ" in printed
    assert "0 for history" in printed
    assert "2013-01" in printed
    assert await replay(read_file(log), movable_stack.stack.run)
    printed = capsys.readouterr().out
    assert "0 tickets new (201), 60 known already (200)" in printed
    assert "nothing was new" in printed
    assert await scenario.mails_by_ticket() == {}


@pytest.mark.usefixtures("scenario")
async def test_bad_rows_are_told_with_their_lines_and_stop_no_other(
    movable_stack: MovableStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = made_up(2, "Bad case")
    rows[3]["Complete Timestamp"] = "soon"
    rows[5]["seriousness_2"] = "Value 11"
    rows.append(rows[0] | {"Case ID": "Too long", "product": "x" * 10_001, "Activity": "Insert ticket"})
    assert not await replay(read_file(written(tmp_path, rows)), movable_stack.stack.run)
    printed = capsys.readouterr().out
    assert "line 5: 'soon' is no date and time" in printed
    assert "line 7: seriousness_2 is 'Value 11'" in printed
    assert f"line {len(rows) + 1}: Too long was refused (422): summary" in printed
    assert "60 tickets new (201), 0 known already (200), 1 refused" in printed
    assert "60 tickets with the pure function: 0 differ" in printed
