"""Reports of the board, with sla-timer and the escalator in this process on real databases."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from board.domain.report_month import ReportMonth
from support.report_log import import_history, read_generated_log
from support.report_sql import computed_by_sql, create_clock_times, find_differences, reported_numbers
from support.report_world import ReportWorld, report_world
from support.servers import MakeDatabase
from tocsin.runtime.process.clock import BusinessClock

NOW = datetime(2013, 9, 12, 15, tzinfo=UTC)


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[ReportWorld]:
    async with report_world(make_database, tmp_path, BusinessClock(NOW, NOW, 0)) as made:
        yield made


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_numbers_of_random_logs_equal_a_second_computation(
    world: ReportWorld, tmp_path: Path, seed: int
) -> None:
    log = read_generated_log(tmp_path, seed=seed, tickets=150)
    await import_history(world, log.tickets, NOW)
    months = [ReportMonth(2013, number) for number in range(1, 7)]
    async with world.timer.writer.begin() as timer, world.escalator.runtime.reader.connect() as escalator:
        await create_clock_times(timer)
        for month in months:
            report = await world.report(str(month))
            expected = await computed_by_sql(timer, escalator, str(month), NOW)
            assert find_differences(reported_numbers(report.current), expected) == {}, month
            assert report.current.remarks.clocks > 0
