"""The numbers of reports computed a second time: by SQL over sla-timer's and the escalator's tables.

Net times come from the facts alone, by PostgreSQL's multiranges. The SQL holds for logs whose facts are possible
(docs/rules.md#0-8), with the shipped policy: `create_clock_times` reads them once, and `computed_by_sql` aggregates.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import holidays
from board.domain.report_numbers import MonthNumbers
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_ROUNDING: Final = 0.001
ZONE: Final = "America/New_York"
_TARGET_SECONDS: Final = {
    "response": {1: 3600, 2: 7200, 3: 9 * 3600, 4: 9 * 3600},
    "resolution": {1: 24 * 3600, 2: 36 * 3600, 3: 45 * 3600, 4: 63 * 3600},
    "answer": dict.fromkeys((1, 2, 3, 4), 24 * 3600),
}
_HOLIDAYS: Final = "CREATE TEMP TABLE closed_days AS SELECT unnest(CAST(:days AS date[])) AS day"
_BUSINESS: Final = f"""
CREATE TEMP TABLE business AS
SELECT range_agg(tstzrange(
  (day + time '08:00') AT TIME ZONE '{ZONE}', (day + time '17:00') AT TIME ZONE '{ZONE}')) AS open
FROM (SELECT CAST(generate_series(timestamp '2009-01-01', timestamp '2028-01-01', '1 day') AS date) AS day) AS days
WHERE extract(isodow FROM day) < 6 AND day NOT IN (SELECT day FROM closed_days)
"""
_EVENTS: Final = """
CREATE TEMP TABLE events AS
SELECT ticket_id, number, j->>'type' AS type, CAST(j->>'occurred_at' AS timestamptz) AS at,
  CAST(extract(epoch FROM CAST(j->>'occurred_at' AS timestamptz)) * 1000000 AS bigint) * 1000 + number AS key,
  CAST(j->>'severity' AS int) AS severity,
  1 + count(*) FILTER (WHERE j->>'type' = 'reopened') OVER (
    PARTITION BY ticket_id ORDER BY CAST(j->>'occurred_at' AS timestamptz), number) AS cycle
FROM (SELECT ticket_id, number, CAST(convert_from(fact, 'UTF8') AS jsonb) AS j FROM facts) AS f
"""
_CYCLES: Final = """
CREATE TEMP TABLE cycles AS
SELECT ticket_id, cycle, min(at) FILTER (WHERE type IN ('resolved', 'cancelled')) AS closed_at,
  min(at) FILTER (WHERE type IN ('responded', 'resolved')) AS responded_at, min(at) AS begun_at,
  min(key) FILTER (WHERE type IN ('resolved', 'cancelled')) AS closed_key,
  min(key) FILTER (WHERE type IN ('responded', 'resolved')) AS responded_key
FROM events GROUP BY ticket_id, cycle
"""
_EXCLUDED: Final = """
CREATE TEMP TABLE excluded AS
SELECT t.ticket_id, coalesce(c.closed, '{}') AS closed, coalesce(p.paused, '{}') AS paused
FROM tickets t
LEFT JOIN (
  SELECT a.ticket_id, range_agg(tstzrange(a.closed_at, b.begun_at)) AS closed
  FROM cycles a JOIN cycles b ON b.ticket_id = a.ticket_id AND b.cycle = a.cycle + 1 GROUP BY a.ticket_id
) AS c USING (ticket_id)
LEFT JOIN (
  SELECT ticket_id, range_agg(tstzrange(at, ended_at)) AS paused FROM (
    SELECT p.ticket_id, p.at, (
      SELECT min(e.at) FROM events e WHERE e.ticket_id = p.ticket_id AND e.key > p.key
        AND e.type IN ('resumed', 'resolved', 'cancelled')) AS ended_at
    FROM events p WHERE p.type = 'paused') AS pauses GROUP BY ticket_id
) AS p USING (ticket_id)
"""
_TIMES: Final = """
CREATE TEMP TABLE clock_times AS
WITH spans AS (
  SELECT c.*, t.opened_at, t.channel, CASE WHEN c.clock = 'resolution' THEN first.at ELSE t.opened_at END AS start,
    CASE WHEN c.clock = 'resolution' THEN y.closed_at ELSE least(y.responded_at, y.closed_at) END AS stop,
    CASE WHEN c.clock = 'resolution' THEN y.closed_key ELSE least(y.responded_key, y.closed_key) END AS stop_key
  FROM clocks c JOIN tickets t USING (ticket_id) JOIN cycles y USING (ticket_id, cycle)
  LEFT JOIN (SELECT ticket_id, min(responded_at) AS at FROM cycles GROUP BY ticket_id) AS first USING (ticket_id)
  WHERE c.outcome_at IS NOT NULL
), governed AS (
  SELECT s.*, (SELECT e.severity FROM events e WHERE e.ticket_id = s.ticket_id AND e.severity IS NOT NULL
    AND e.key <= s.stop_key ORDER BY e.key DESC LIMIT 1) AS last_severity
  FROM spans s
), ranges AS (
  SELECT g.*, x.closed, CASE WHEN clock = 'resolution' THEN x.paused ELSE '{}' END AS paused,
    CASE WHEN stop IS NULL OR start IS NULL OR start = stop THEN CAST('{}' AS tstzmultirange)
      ELSE tstzmultirange(tstzrange(start, stop)) END AS gross
  FROM governed g JOIN excluded x USING (ticket_id)
)
SELECT ticket_id, cycle, clock, severity, state, historic, outcome_at, opened_at,
  to_char(timezone(:zone, outcome_at), 'YYYY-MM') AS month,
  state <> 'cancelled' AND stop IS NOT NULL
    AND NOT (clock = 'resolution' AND state = 'breached' AND start = stop AND stop = outcome_at) AS measured,
  clock = 'resolution' AND state = 'breached' AND start = stop AND stop = outcome_at AS silent,
  state = 'breached' AND stop IS NULL AS running,
  pg_temp.seconds(gross) AS gross, pg_temp.seconds(gross * paused) AS paused, pg_temp.seconds(gross * closed) AS closed,
  pg_temp.seconds(CASE WHEN clock <> 'answer' AND last_severity > 2 THEN (gross - paused - closed) * b.open
    ELSE gross - paused - closed END) AS net,
  CAST(CAST(:targets AS jsonb)->clock->>CAST(last_severity AS text) AS numeric) AS target
FROM ranges, business b
"""
_SECONDS: Final = """
CREATE FUNCTION pg_temp.seconds(tstzmultirange) RETURNS numeric LANGUAGE sql IMMUTABLE AS
$$ SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) FROM unnest($1) AS r $$
"""

_LEVELS: Final = """
SELECT clock, severity,
  count(*) FILTER (WHERE state = 'met') AS met, count(*) FILTER (WHERE state = 'breached') AS breached,
  count(*) FILTER (WHERE state = 'cancelled') AS cancelled, count(*) FILTER (WHERE measured) AS durations,
  percentile_cont(0.5) WITHIN GROUP (ORDER BY net) FILTER (WHERE measured) AS median,
  percentile_disc(0.9) WITHIN GROUP (ORDER BY net) FILTER (WHERE measured) AS p90
FROM clock_times WHERE month = :month
GROUP BY GROUPING SETS ((clock, severity), (clock)) HAVING clock <> 'answer' OR severity IS NULL
"""
_DISTRIBUTION: Final = """
SELECT clock, width_bucket(net / target, ARRAY[0.25, 0.5, 0.75, 1, 1.5, 2])
    - CASE WHEN net / target IN (0.25, 0.5, 0.75, 1, 1.5, 2) THEN 1 ELSE 0 END AS bin,
  count(*) FILTER (WHERE state = 'met') AS met, count(*) FILTER (WHERE state = 'breached') AS breached
FROM clock_times WHERE month = :month AND measured GROUP BY 1, 2
"""
_TIME: Final = """
SELECT clock, count(*) AS clocks, sum(gross) AS gross, sum(net) AS ours, sum(paused) AS customer, sum(closed) AS closed
FROM clock_times WHERE month = :month AND measured GROUP BY clock
"""
_OPENINGS: Final = """
SELECT extract(isodow FROM timezone(:zone, opened_at)) - 1 AS day,
  extract(hour FROM timezone(:zone, opened_at)) AS hour, count(*) AS number
FROM clock_times WHERE month = :month AND clock = 'response' AND cycle = 1 GROUP BY 1, 2
"""
_BREACHES: Final = """
SELECT extract(isodow FROM timezone(:zone, outcome_at)) - 1 AS day,
  extract(hour FROM timezone(:zone, outcome_at)) AS hour, count(*) AS number
FROM clock_times WHERE month = :month AND state = 'breached' GROUP BY 1, 2
"""
_REMARKS: Final = """
SELECT count(*) AS clocks, count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
  count(*) FILTER (WHERE historic) AS historic, count(*) FILTER (WHERE running) AS running,
  count(*) FILTER (WHERE silent) AS silent
FROM clock_times WHERE month = :month
"""
_CHANNELS: Final = """
SELECT channel, count(*) AS tickets, count(*) FILTER (WHERE responded_at IS NULL AND closed_at IS NULL) AS unanswered,
  avg(extract(epoch FROM coalesce(responded_at, closed_at, :now) - opened_at)) AS mean
FROM tickets WHERE channel IN ('voicemail', 'chat') AND to_char(timezone(:zone, opened_at), 'YYYY-MM') = :month
GROUP BY channel
"""
_TIERS: Final = """
WITH notified AS (
  SELECT ticket_id, CAST(steps.tier->>'number' AS int) AS tier FROM steps JOIN ladders USING (ticket_id, cycle, run)
  WHERE NOT voided AND end_reason IS DISTINCT FROM 'voided' AND to_char(timezone(:zone, at), 'YYYY-MM') = :month
), highest AS (SELECT ticket_id, max(tier) AS tier FROM notified GROUP BY ticket_id)
SELECT n.tier, count(DISTINCT n.ticket_id) AS tickets,
  count(DISTINCT h.ticket_id) AS highest
FROM notified n LEFT JOIN highest h ON h.tier = n.tier AND h.ticket_id = n.ticket_id GROUP BY n.tier
"""


async def create_clock_times(connection: AsyncConnection) -> None:
    """Create the temporary table `clock_times` on this connection to sla-timer's database."""
    days = sorted(holidays.country_holidays("US", years=range(2009, 2029)))
    targets = {name: {str(severity): target for severity, target in by.items()} for name, by in _TARGET_SECONDS.items()}
    await connection.execute(text(_SECONDS))
    await connection.execute(text(_HOLIDAYS), {"days": days})
    for statement in (_BUSINESS, _EVENTS, "CREATE INDEX ON events (ticket_id)", _CYCLES, _EXCLUDED):
        await connection.execute(text(statement))
    await connection.execute(text(_TIMES), {"zone": ZONE, "targets": json.dumps(targets)})


Numbers = dict[tuple[object, ...], Any]
"""A number of a report by what it is of. Zero and null are left out."""


def find_differences(reported: Numbers, expected: Numbers) -> dict[tuple[object, ...], tuple[float, float]]:
    """The numbers that differ by more than rounding: what is reported, and what is expected."""
    pairs = {key: (reported.get(key, 0.0), expected.get(key, 0.0)) for key in reported.keys() | expected.keys()}
    return {key: pair for key, pair in pairs.items() if abs(pair[0] - pair[1]) > _ROUNDING}


async def computed_by_sql(timer: AsyncConnection, escalator: AsyncConnection, month: str, now: datetime) -> Numbers:
    """The numbers of a month; `now` is business time."""
    found: Numbers = {}

    async def rows(query: str, connection: AsyncConnection = timer) -> Iterator[Row[Any]]:
        parameters = {"month": month, "zone": ZONE, "now": now}
        used = {name: value for name, value in parameters.items() if f":{name}" in query}
        return iter((await connection.execute(text(query), used)).all())

    for row in await rows(_LEVELS):
        decided = row.met + row.breached
        found |= {
            ("level", row.clock, row.severity, name): getattr(row, name)
            for name in ("met", "breached", "cancelled", "durations", "median", "p90")
        }
        found["level", row.clock, row.severity, "percent"] = 100 * row.met / decided if decided else None
    for row in await rows(_DISTRIBUTION):
        found["bin", row.clock, row.bin, "met"] = row.met
        found["bin", row.clock, row.bin, "breached"] = row.breached
    for row in await rows(_TIME):
        found |= {
            ("time", row.clock, name): getattr(row, name) for name in ("clocks", "gross", "ours", "customer", "closed")
        }
    for name, query in (("openings", _OPENINGS), ("breaches", _BREACHES)):
        found |= {(name, int(row.day), int(row.hour)): row.number for row in await rows(query)}
    for row in await rows(_REMARKS):
        found |= {("remark", name): getattr(row, name) for name in row._fields}
    for row in await rows(_CHANNELS):
        found |= {("channel", row.channel, name): getattr(row, name) for name in ("tickets", "unanswered", "mean")}
    for row in await rows(_TIERS, escalator):
        found |= {("tier", row.tier, "tickets"): row.tickets, ("tier", row.tier, "highest"): row.highest}
    return {key: float(value) for key, value in found.items() if value}


def reported_numbers(numbers: MonthNumbers) -> Numbers:
    """The same numbers of a report."""
    found: Numbers = {}
    by_severity = [level for level in numbers.levels if level.severity is not None]
    for level in (*by_severity, *numbers.totals):
        found |= {
            ("level", level.clock, level.severity, name): value
            for name, value in (
                ("met", level.met),
                ("breached", level.breached),
                ("cancelled", level.cancelled),
                ("durations", level.durations),
                ("median", level.median_seconds),
                ("p90", level.p90_seconds),
                ("percent", level.percent_met),
            )
        }
    for distribution in numbers.distributions:
        for index, one in enumerate(distribution.bins):
            found["bin", distribution.clock, index, "met"] = one.met
            found["bin", distribution.clock, index, "breached"] = one.breached
    for spent in numbers.time:
        found["time", spent.clock, "clocks"] = spent.clocks
        for name in ("gross", "ours", "customer", "closed"):
            found["time", spent.clock, name] = getattr(spent, f"{name}_seconds")
    for name, counts in (("openings", numbers.openings), ("breaches", numbers.breaches)):
        found |= {(name, day, hour): count for day, row in enumerate(counts) for hour, count in enumerate(row)}
    for name in ("clocks", "cancelled", "historic", "running", "silent"):
        found["remark", name] = getattr(numbers.remarks, name)
    for channel in numbers.channels:
        found["channel", channel.channel, "tickets"] = channel.tickets
        found["channel", channel.channel, "unanswered"] = channel.unanswered
        found["channel", channel.channel, "mean"] = channel.mean_seconds
    for tier in numbers.tiers:
        found |= {("tier", tier.tier, "tickets"): tier.tickets, ("tier", tier.tier, "highest"): tier.highest}
    return {key: float(value) for key, value in found.items() if value}
