"""Reading tickets: filters, stable pages, and the facts of a ticket."""

from itertools import islice
from typing import Any

from intake.api.list_query import TicketListQuery
from support.intake_world import IntakeWorld, event, ticket


async def ids(intake: IntakeWorld, *, key: str = "default", **query: Any) -> list[str]:
    """The external ids of a page, in order."""
    return [item["external_id"] for item in (await intake.get("/v1/tickets", key=key, **query))["items"]]


async def test_the_list_is_filtered_and_paged(intake: IntakeWorld) -> None:
    for number in range(1, 8):
        await intake.post("/v1/tickets", ticket(f"T{number}", severity=1 + number % 4, source=f"s{number % 2}"), 201)
    await intake.post("/v1/tickets", ticket("T8", severity=4, customer={"id": "c" * 9000, "name": "C"}), 201)
    closed = "/v1/tickets/by-external/s1/T1/events"
    await intake.post(closed, event("resolved"), 201)

    assert await ids(intake) == ["T8", "T7", "T6", "T5", "T4", "T3", "T2", "T1"]
    assert await ids(intake, severity=4) == ["T8", "T7", "T3"]
    assert await ids(intake, state="closed") == ["T1"]
    assert await ids(intake, source="s1", state="open") == ["T7", "T5", "T3"]
    assert await ids(intake, customer="c" * 9000) == ["T8"]
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        query: dict[str, Any] = {"cursor": cursor} if cursor else {}
        page = await intake.get("/v1/tickets", limit=3, **query)
        seen += [item["external_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        assert len(page["items"]) <= 3
    assert seen == ["T8", "T7", "T6", "T5", "T4", "T3", "T2", "T1"]


async def test_an_invalid_query_names_its_parameter(intake: IntakeWorld) -> None:
    """Each kind of fault that only the HTTP request shows; test_intake_list_query.py has the others."""
    blank_zone = "has a space before its offset; in a URL, write `+` as `%2B`, or use `Z`"
    faults = [
        ("severity=1&severity=2", "severity", "is given more than once"),
        ("customer=%ED%A0%80", "customer", "must be UTF-8"),
        ("opened_from=2026-06-08T12:00:00+00:00", "opened_from", blank_zone),
        ("custmer=acme", "custmer", f"is not known here; known are {', '.join(sorted(TicketListQuery.model_fields))}"),
    ]
    for query, field, message in faults:
        answer = await intake.clients["default"].get(f"/v1/tickets?{query}")
        assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": field, "message": message}])


async def test_tickets_are_filtered_by_their_opening(intake: IntakeWorld) -> None:
    for day in range(1, 6):
        await intake.post("/v1/tickets", ticket(f"T{day}", opened_at=f"2026-06-0{day}T12:00:00Z"), 201)
    assert await ids(intake, opened_from="2026-06-03T12:00:00Z") == ["T5", "T4", "T3"]
    assert await ids(intake, opened_to="2026-06-03T12:00:00Z") == ["T2", "T1"]
    assert await ids(intake, opened_from="2026-06-02T14:00:00+02:00", opened_to="2026-06-03T12:00:00.000001Z") == [
        "T3",
        "T2",
    ]


async def test_tickets_are_found_by_words(intake: IntakeWorld) -> None:
    mail = ticket("SR-1042", summary="E-mail won't flow", affected_services=["Exchange Online", "VPN"])
    await intake.post("/v1/tickets", mail, 201)
    printer = ticket(
        "2026/17",
        summary="Drucker im Büro",
        description="Paper jam. " + "x " * 600 + "unseen",
        customer={"id": "globex", "name": "Globex Corporation"},
        contact={"name": "Zoë Ölander", "phone": "1"},
    )
    await intake.post("/v1/tickets", printer, 201)
    await intake.post("/v1/tickets", mail, 201, key="other")

    for text in ("e-mail", "MAIL flow", "sr-1042", "1042", "exch vpn", "won't", "ada", "acme"):
        assert await ids(intake, text=text) == ["SR-1042"], text
    for text in ("2026/17", "jam", "globex", "büro", "zoë öl", "\\Drucker' | 'x"):
        assert await ids(intake, text=text) == ["2026/17"], text
    for text in ("mail globex", "unseen", "ail", "👍"):
        assert await ids(intake, text=text) == [], text
    assert await ids(intake, text="a", customer="globex", state="open", severity=1) == []
    assert len(await ids(intake, text="mail", key="other")) == 1


async def test_a_ticket_with_more_words_than_an_index_entry_holds_is_stored_and_found(intake: IntakeWorld) -> None:
    words = (f"{number:x}" for number in range(1 << 16, (1 << 16) + 136_000))
    services = [" ".join(islice(words, 1600)) for _ in range(85)]
    await intake.post("/v1/tickets", ticket("SR-1", affected_services=services), 201)
    assert await ids(intake, text="10001") == ["SR-1"]


async def test_a_page_continues_where_the_last_one_ended_while_tickets_change(intake: IntakeWorld) -> None:
    for number in range(6):
        await intake.post("/v1/tickets", ticket(f"T{number}", summary="Same words"), 201)
    first = await intake.get("/v1/tickets", text="same", state="open", limit=2)
    assert [item["external_id"] for item in first["items"]] == ["T5", "T4"]
    await intake.post("/v1/tickets", ticket("T6", summary="Same words"), 201)
    for gone in ("T5", "T3"):
        await intake.post(f"/v1/tickets/by-external/connectwise/{gone}/events", event("resolved"), 201)
    rest = await intake.get("/v1/tickets", text="same", state="open", limit=2, cursor=first["next_cursor"])
    assert [item["external_id"] for item in rest["items"]] == ["T2", "T1"]


async def test_a_page_of_large_tickets_ends_after_a_megabyte(intake: IntakeWorld) -> None:
    for number in range(3):
        await intake.post("/v1/tickets", ticket(f"T{number}", affected_services=["x" * 1_000] * 400), 201)
    first = await intake.get("/v1/tickets")
    assert [item["external_id"] for item in first["items"]] == ["T2", "T1"]
    rest = await intake.get("/v1/tickets", cursor=first["next_cursor"])
    assert ([item["external_id"] for item in rest["items"]], rest["next_cursor"]) == (["T0"], None)


async def test_a_ticket_has_its_facts_with_actor_and_instants(intake: IntakeWorld) -> None:
    opened = await intake.post("/v1/tickets", ticket(opened_at="2026-06-08T10:00:00Z"), 201)
    path = f"/v1/tickets/{opened['ticket_id']}"
    await intake.post(f"{path}/events", event("paused", actor="Bob", reason="asked for the log"), 201)
    await intake.post(
        f"{path}/events", event("responded", actor="Cleo", occurred_at="2026-06-08T10:30:00Z", event_id="r-1"), 201
    )
    facts = (await intake.get(path))["facts"]
    assert [(fact["type"], fact["actor"], fact["reason"]) for fact in facts] == [
        ("opened", "connectwise", None),
        ("paused", "Bob", "asked for the log"),
        ("responded", "Cleo", None),
    ]
    assert facts[2]["occurred_at"] == "2026-06-08T10:30:00.000000Z"
    assert facts[2]["received_at"] > facts[1]["received_at"] > facts[0]["occurred_at"]
    assert (facts[2]["event_id"], facts[0]["severity"], facts[2]["severity"]) == ("r-1", 1, None)
