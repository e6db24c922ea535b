"""Every number of every month's report equals a second computation by SQL, on a whole help-desk log.

The log is the real one if it lies in ../shared/data beside the repository, otherwise a generated one.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from board.domain.report_month import ReportMonth
from support.report_log import import_history, read_generated_log
from support.report_sql import computed_by_sql, create_clock_times, find_differences, reported_numbers
from support.report_world import report_world
from support.servers import MakeDatabase
from tocsin.runtime.process.clock import BusinessClock
from tocsin_tools.replay.help_desk_log import read_log_file

BESIDE_THE_REPOSITORY = [folder / "shared/data/helpdesk_log.csv" for folder in Path(__file__).parents[3:5]]
NOW = datetime(2014, 6, 2, 15, tzinfo=UTC)


@pytest.mark.long
async def test_every_number_of_every_month_equals_a_second_computation(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    real = next((file for file in BESIDE_THE_REPOSITORY if file.exists()), None)
    log = read_log_file(real) if real else read_generated_log(tmp_path, seed=1, tickets=400)
    async with report_world(make_database, tmp_path, BusinessClock(NOW, NOW, 0)) as world:
        await import_history(world, log.tickets, NOW)
        clocks = 0
        async with world.timer.writer.begin() as timer:
            await create_clock_times(timer)
            month = ReportMonth.parse("2010-01")
            while month < ReportMonth.parse("2014-06"):
                report = await world.report(str(month))
                # A connection that waits while a report is built would be closed on a slow machine.
                async with world.escalator.runtime.reader.connect() as escalator:
                    expected = await computed_by_sql(timer, escalator, str(month), NOW)
                assert find_differences(reported_numbers(report.current), expected) == {}, month
                clocks += report.current.remarks.clocks
                month = month.after
        assert clocks > len(log.tickets)
