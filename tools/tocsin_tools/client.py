"""HTTP client of a running stack: the services' APIs and metrics, and the inbox of the SMTP sink."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx
import stamina
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tocsin_local.services import BOARD

from tocsin_tools.errors import ApiError

RETRY_SECONDS: Final = 45
_RETRY: Final = stamina.AsyncRetryingCaller(attempts=None, timeout=RETRY_SECONDS, wait_initial=0.25, wait_max=5.0)


class StackClient:
    """Calls the stack that `run`, the content of run.json, describes; an async context manager.

    A call is repeated for up to 45 s while the service does not respond, or responds with 503, as during a restart.
    """

    def __init__(self, run: Mapping[str, Any], transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._urls: Mapping[str, str] = run["urls"]
        self.has_board = run.get("pids", {}).get(BOARD) is not None
        """Whether the optional board runs."""
        headers = {"Authorization": f"Bearer {run['api_key']}"}
        self._http = httpx.AsyncClient(headers=headers, timeout=120, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, service: str, path: str, **query: str | int) -> Any:
        """The JSON of a GET; None for 404. Raises ApiError for every other error."""
        response = await self._request("GET", service, path, params=query)
        return None if response.status_code == httpx.codes.NOT_FOUND else _json(response)

    async def post(self, service: str, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a POST. Raises ApiError."""
        return _json(await self._request("POST", service, path, json=body))

    async def items(self, service: str, path: str, **query: str | int) -> AsyncIterator[dict[str, Any]]:
        """Every item of a paged list."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.get(service, path, limit=500, **query, **({"cursor": cursor} if cursor else {}))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]

    async def simulate(self, facts: Sequence[Mapping[str, Any]], *, until: str, customer: str) -> dict[str, Any]:
        """The timeline of these facts, evaluated at `until`, by the policies that the stack has stored."""
        body = {"facts": facts, "until": until, "customer": customer}
        timeline: dict[str, Any] = await self.post("sla-timer", "/v1/simulate", body)
        return timeline

    async def metrics(self, service: str) -> Mapping[str, list[float]]:
        """The values of each metric of a service, one per label set."""
        values: dict[str, list[float]] = defaultdict(list)
        for sample in await self._samples(service):
            values[sample.name].append(sample.value)
        return values

    async def lags(self, service: str) -> Mapping[str, float]:
        """The largest lag of a partition, by topic, of a service."""
        found: dict[str, float] = defaultdict(float)
        for sample in await self._samples(service):
            if sample.name == "sla_consumer_lag":
                topic = sample.labels["topic"]
                found[topic] = max(found[topic], sample.value)
        return found

    async def messages(self) -> list[dict[str, Any]]:
        """Every mail in the inbox, oldest first, in the form of its `GET /messages`."""
        found: list[dict[str, Any]] = await self.get("inbox", "/messages")
        return found

    async def _samples(self, service: str) -> list[Sample]:
        response = await self._request("GET", service, "/metrics")
        return [sample for family in text_string_to_metric_families(response.text) for sample in family.samples]

    async def _request(self, method: str, service: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            response = await self._http.request(method, self._urls[service] + path, **options)
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                response.raise_for_status()
            return response

        try:
            return await _RETRY(httpx.HTTPError, send)
        except httpx.HTTPError as error:
            raise ApiError(f"{service} does not respond to {method} {path}: {error!r}") from error


def _json(response: httpx.Response) -> Any:
    if not response.is_success:
        request = response.request
        raise ApiError(f"{request.method} {request.url}: {response.status_code} {response.text}")
    return response.json()
