"""The APIs of sla-timer and the escalator, for everything that only they can compute."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import httpx
import orjson
from pydantic import SecretStr

from board import metrics
from board.errors import UpstreamError, UpstreamKeyError

MOST_TICKETS: Final = 200
"""The most tickets that an owner accepts in one request."""
_TIMEOUT: Final = httpx.Timeout(30, connect=5)

JsonObject = dict[str, Any]


class Upstream:
    """Both services. `keys` has an API key with `tickets:read` for each tenant.

    `transports` replaces the connections, by service. Every method raises UpstreamError: it failed, and may succeed
    later; or UpstreamKeyError: the tenant has no key.
    """

    def __init__(
        self,
        *,
        sla_timer_url: str,
        escalator_url: str,
        keys: Mapping[str, SecretStr],
        transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._keys = keys
        self._clients = {
            name: httpx.AsyncClient(
                base_url=url,
                timeout=_TIMEOUT,
                transport=(transports or {}).get(name),
                trust_env=False,  # a proxy for the internet must not see the keys
            )
            for name, url in (("sla-timer", sla_timer_url), ("escalator", escalator_url))
        }

    @property
    def tenants(self) -> frozenset[str]:
        """The tenants that have a key."""
        return frozenset(self._keys)

    async def clocks(self, tenant: str, ticket_ids: Sequence[UUID]) -> list[JsonObject]:
        """The items of sla-timer's `POST /v1/clocks` for at most MOST_TICKETS tickets. It leaves out unknown ones."""
        body = {"ticket_ids": [str(ticket_id) for ticket_id in ticket_ids]}
        return _items(await self._request("sla-timer", tenant, "POST", "/v1/clocks", body=body))

    async def ladders(self, tenant: str, events: Mapping[UUID, UUID]) -> list[JsonObject]:
        """The items of the escalator's `POST /v1/ladders`. `events` has, for each of at most MOST_TICKETS tickets, the
        event about a ladder that the escalator must have handled.
        """
        body = {
            "items": [
                {"ticket_id": str(ticket_id), "event_id": str(event_id)} for ticket_id, event_id in events.items()
            ]
        }
        return _items(await self._request("escalator", tenant, "POST", "/v1/ladders", body=body))

    async def ticket_clocks(self, tenant: str, ticket_id: UUID) -> JsonObject:
        """The body of sla-timer's `GET /v1/tickets/{id}/clocks`, which includes the ledger."""
        return await self._request("sla-timer", tenant, "GET", f"/v1/tickets/{ticket_id}/clocks")

    async def get(self, service: str, tenant: str, path: str, query: Mapping[str, str]) -> JsonObject:
        """The body of a GET of `sla-timer` or `escalator` with this query."""
        return await self._request(service, tenant, "GET", path, query=query)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _request(
        self,
        name: str,
        tenant: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
    ) -> JsonObject:
        key = self._keys.get(tenant)
        if key is None:
            raise UpstreamKeyError(tenant)
        headers = {"Authorization": f"Bearer {key.get_secret_value()}", "Content-Type": "application/json"}
        content = None if body is None else orjson.dumps(body)
        try:
            with metrics.UPSTREAM_SECONDS.labels(name).time():
                response = await self._clients[name].request(
                    method, path, params=query, content=content, headers=headers
                )
        except httpx.HTTPError as error:
            # Only its type: the text of some errors repeats a header.
            raise UpstreamError(f"{name} does not respond ({type(error).__name__})") from error
        if response.status_code != httpx.codes.OK:
            raise UpstreamError(f"{name} responded {response.status_code} to {method} {path}")
        try:
            found = orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise UpstreamError(f"{name} responded to {method} {path} without JSON") from error
        if not isinstance(found, dict):
            raise UpstreamError(f"{name} responded to {method} {path} without an object")
        return found


def _items(body: JsonObject) -> list[JsonObject]:
    items = body.get("items")
    if not isinstance(items, list):
        raise UpstreamError("The response has no list of items")
    return items
