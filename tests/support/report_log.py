"""Help-desk logs for reports: a generated one, and the import of a log as history or as if it happened live."""

import csv
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tocsin_tools.replay.help_desk_log import COLUMNS, HelpDeskLog, read_log_file
from tocsin_tools.replay.logged_ticket import LoggedTicket

from support.report_world import ReportWorld
from support.timer_world import facts_of, imported

_ACTIVITIES: Final = (
    "Take in charge ticket", "Take in charge ticket", "Wait", "Require upgrade", "Assign seriousness", "Resolve ticket",
    "Closed",
)  # fmt: skip
_CHANNELS: Final = ("portal", "email", "voicemail", "chat")
_CHUNK: Final = 250


def read_generated_log(folder: Path, *, seed: int, tickets: int) -> HelpDeskLog:
    """A log of tickets of several months that are answered early or late, wait, change, close and reopen."""
    dice = random.Random(seed)
    path = folder / "generated.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for number in range(tickets):
            at = datetime(2013, 1, 7, 8) + timedelta(hours=number * 24, minutes=dice.randrange(2000))  # noqa: DTZ001
            severity = dice.randint(1, 4)
            activities = ["Insert ticket", *dice.choices(_ACTIVITIES, k=dice.randrange(7))]
            activities += dice.choice((["Closed"], ["Closed"], ["DUPLICATE"], []))
            for activity in activities:
                writer.writerow(
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
    return read_log_file(path)


async def import_history(world: ReportWorld, tickets: Sequence[LoggedTicket], received_at: datetime) -> None:
    """Import the tickets as history, evaluate them up to their receipt, and let the escalator handle the results.

    Tickets of generated logs have different channels; those of a real log have one.
    """
    events = []
    for number, ticket in enumerate(tickets):
        facts = facts_of({"facts": ticket.facts})
        received = [fact.model_copy(update={"received_at": received_at}) for fact in facts]
        channel = _CHANNELS[number % len(_CHANNELS)]
        name = str(ticket.body["external_id"])
        events.append(imported(name, received, received_at, customer=ticket.body["customer"], channel=channel))
    for begin in range(0, len(events), _CHUNK):
        await world.timer.receive(*events[begin : begin + _CHUNK])
    await world.timer.advance(received_at)
    await world.escalate()
