"""Calls to the services of a running stack, by its key, and what its sla-timer goes by."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx
from sla_timer.store.policies import load_policies
from sqlalchemy.ext.asyncio import create_async_engine
from tocsin.policy import Policy
from tocsin_local.errors import LocalError
from tocsin_local.running import Run

TRIES: Final = 12
LONGEST_WAIT: Final = 5.0


class Calls:
    """REST, as anybody could use it. A service that is being started again is waited for, some 45 s."""

    def __init__(self, run: Run, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._run = run
        self._transport = transport

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._run['api_key']}"}
        self._http = httpx.AsyncClient(headers=headers, timeout=120, transport=self._transport)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, service: str, path: str, **query: str | int) -> Any:
        """The answer's data; None for a 404. Raises LocalError for every other refusal."""
        answer = await self._call("GET", service, path, params=query)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _data(answer)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer's data, from intake. Raises LocalError for a refusal."""
        return _data(await self._call("POST", "intake", path, json=body))

    async def pages(self, service: str, path: str, **query: str | int) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.get(service, path, limit=500, **query, **({"cursor": cursor} if cursor else {}))
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]

    async def _call(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        url = self._run["urls"][service] + path
        trouble: object = None
        for number in range(TRIES):
            try:
                answer = await self._http.request(method, url, **more)
            except httpx.TransportError as error:
                trouble = repr(error)
            else:
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
                trouble = answer.text
            await asyncio.sleep(back_off(number))
        raise LocalError(f"{service} did not answer {method} {path}: {trouble}")


async def stored_policies(run: Run) -> Sequence[Policy]:
    """Every version of the policy that the stack's sla-timer has: what the pure function must be given."""
    engine = create_async_engine(run["databases"]["sla-timer"])
    try:
        async with engine.connect() as connection:
            return await load_policies(connection)
    finally:
        await engine.dispose()


def back_off(number: int) -> float:
    """Seconds to wait after try `number`, from 0."""
    return float(min(LONGEST_WAIT, 0.25 * 2**number))


def _data(answer: httpx.Response) -> Any:
    if not answer.is_success:
        raise LocalError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer.json()
