"""`make replay`: imports a help-desk log as history and compares every ticket with the simulation."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from tocsin.policy import Policy
from tocsin.sources.policy_file import read_policy
from tocsin_local.run import print_progress, running_stack
from tocsin_local.stack import options_from
from tocsin_local.state import StateFolder

from tocsin_tools.client import StackClient
from tocsin_tools.idle import wait_until_idle
from tocsin_tools.replay.comparison import Comparison, count_historic_mails, find_miscounts, load_compliance
from tocsin_tools.replay.help_desk_log import HelpDeskLog, read_log_file
from tocsin_tools.replay.history_import import import_history
from tocsin_tools.replay.report import ReplayResult, show


def run_replay(file: Path, environment: Mapping[str, str], console: Console) -> bool:
    """Replay the file on the stack that runs on the environment's state, or on one started there for it.

    Returns whether everything was as the rules say. Raises ToolError for a file that is not a log, and LocalError or
    ToolError if the stack does not work.
    """
    log = read_log_file(file)
    options = options_from(environment)
    policy = read_policy(options.policy)
    run = StateFolder(options.state).read_run()
    if run is not None:
        return asyncio.run(replay(log, run, policy, console))
    with running_stack(options, print_progress) as stack:
        return asyncio.run(replay(log, stack.run, policy, console))


async def replay(log: HelpDeskLog, run: Mapping[str, Any], policy: Policy, console: Console) -> bool:
    """Replay the log on a running stack and print the report."""
    async with StackClient(run) as client:
        began = time.monotonic()
        print_progress(f"importing {log.rows:,} events ...")
        imported = await import_history(client, log.tickets)
        import_seconds = time.monotonic() - began
        print_progress("waiting until the pipeline is idle ...")
        seconds = await wait_until_idle(client) - began
        print_progress(f"comparing {len(imported.tickets):,} tickets with the simulation ...")
        comparison = Comparison(ZoneInfo(policy.rules(None).calendar.zone.key))
        await comparison.compare(client, imported.tickets)
        customers = {each.ticket.body["customer"]["id"] for each in imported.tickets}
        compliance = await load_compliance(client, customers)
        result = ReplayResult(
            log=log,
            imported=imported,
            seconds=seconds,
            import_seconds=import_seconds,
            compliance=compliance,
            differing=comparison.differing,
            miscounted=find_miscounts(comparison.outcomes, compliance),
            historic_mails=await count_historic_mails(client, imported.tickets),
        )
    show(console, result)
    return result.is_good
