"""The pipeline counts as idle only if every number is idle for long enough to have been measured anew."""

import time
from collections.abc import Callable

import httpx
import pytest
from tocsin_tools import idle
from tocsin_tools.client import StackClient
from tocsin_tools.errors import NotIdleError

Gauges = dict[str, dict[str, float]]
SERVICES = ("intake", "sla-timer", "escalator", "notifier")
RUN = {"api_key": "k", "urls": {service: f"http://{service}" for service in (*SERVICES, "board")}}
WITH_BOARD = RUN | {"pids": {"board": 1}}
GAUGES = {
    "intake": {"sla_outbox_pending": 0.0},
    "sla-timer": {
        "sla_outbox_pending": 0.0,
        'sla_progress_age_seconds{partition="0"}': 0.01,
        'sla_progress_age_seconds{partition="1"}': 0.02,
        "sla_oldest_overdue_seconds": 0.0,
    },
    "escalator": {"sla_outbox_pending": 0.0, 'sla_consumer_lag{topic="t",partition="0"}': 0.0},
    "notifier": {"sla_outbox_pending": 0.0, 'sla_consumer_lag{topic="t",partition="0"}': 0.0},
    "board": {
        'sla_consumer_lag{topic="tocsin.tickets.v1",partition="0"}': 9.0,
        'sla_consumer_lag{topic="tocsin.deadlines.v1",partition="0"}': 0.0,
        "sla_board_stale_tickets": 0.0,
    },
}


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "GAUGE_SECONDS", 0.3)
    monkeypatch.setattr(idle, "MAX_READING_SECONDS", 0.01)
    monkeypatch.setattr(idle, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(idle, "STALLED_SECONDS", 0.3)


def stack(change: Callable[[Gauges], None], open_state: str | None = None) -> httpx.MockTransport:
    """A stack whose numbers are idle, except as `change` makes them at each reading."""

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/deliveries":
            items: list[object] = [{}] if request.url.params["state"] == open_state else []
            return httpx.Response(200, json={"items": items, "next_cursor": None})
        gauges = {service: dict(values) for service, values in GAUGES.items()}
        change(gauges)
        return httpx.Response(200, text="".join(f"{k} {v}\n" for k, v in gauges[request.url.host].items()))

    return httpx.MockTransport(respond)


async def test_an_idle_pipeline_is_watched_until_every_gauge_was_measured_anew() -> None:
    began = time.monotonic()
    async with StackClient(WITH_BOARD, stack(lambda gauges: None)) as client:
        await idle.wait_until_idle(client)
    assert time.monotonic() - began >= idle.GAUGE_SECONDS


async def test_the_wait_begins_anew_after_something_was_busy() -> None:
    began = time.monotonic()

    def busy_for_a_while(gauges: Gauges) -> None:
        gauges["escalator"]["sla_outbox_pending"] = float(time.monotonic() < began + 0.2)

    async with StackClient(RUN, stack(busy_for_a_while)) as client:
        await idle.wait_until_idle(client)
    assert time.monotonic() - began >= 0.2 + idle.GAUGE_SECONDS


@pytest.mark.parametrize(
    ("service", "gauge", "value", "message"),
    [
        ("intake", "sla_outbox_pending", 2.0, "intake has 2 events in its outbox"),
        ("sla-timer", 'sla_progress_age_seconds{partition="1"}', 9999.0, "sla-timer has not received everything"),
        ("sla-timer", "sla_oldest_overdue_seconds", 9999.0, "sla-timer has overdue deadlines"),
        ("notifier", 'sla_consumer_lag{topic="t",partition="0"}', 4.0, "notifier is 4 records behind"),
    ],
)
async def test_a_pipeline_that_stays_busy_is_an_error(service: str, gauge: str, value: float, message: str) -> None:
    async with StackClient(RUN, stack(lambda gauges: gauges[service].update({gauge: value}))) as client:
        with pytest.raises(NotIdleError, match=message):
            await idle.wait_until_idle(client)


@pytest.mark.parametrize(
    ("gauge", "value", "message"),
    [
        ('sla_consumer_lag{topic="tocsin.tickets.v1",partition="0"}', 90.0, "90 records behind on tocsin.tickets.v1"),
        ('sla_consumer_lag{topic="tocsin.deadlines.v1",partition="0"}', 1.0, "1 records behind"),
        ("sla_board_stale_tickets", 3.0, "old clocks of 3 tickets"),
        ("sla_board_stale_tickets", float("nan"), "old clocks of nan tickets"),
    ],
)
async def test_a_board_that_still_reads_is_busy_where_it_runs(
    gauge: str, value: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = stack(lambda gauges: gauges["board"].update({gauge: value}))
    async with StackClient(WITH_BOARD, transport) as client:
        with pytest.raises(NotIdleError, match=message):
            await idle.wait_until_idle(client)
    monkeypatch.setattr(idle, "STALLED_SECONDS", 60.0)  # a busy machine can pause this process for a moment
    async with StackClient(RUN, transport) as client:
        await idle.wait_until_idle(client)


async def test_an_open_delivery_is_busy() -> None:
    async with StackClient(RUN, stack(lambda gauges: None, open_state="deferred")) as client:
        with pytest.raises(NotIdleError, match="deliveries in state deferred"):
            await idle.wait_until_idle(client)
