"""Generates docs/asyncapi.yaml from the models of tocsin.events: `make asyncapi`."""

import re
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from tocsin.events import EVENT_TYPES, TicketChanged, Watermark
from tocsin.runtime.kafka.client import (
    DEADLINES_TOPIC,
    ESCALATIONS_TOPIC,
    NOTIFICATIONS_TOPIC,
    PARTITIONS,
    TICKETS_TOPIC,
)

PATH: Final = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
HEAD: Final = "# Generated from the models of tocsin.events by `make asyncapi`. Do not edit.\n"

CHANNELS: Final = {
    "tickets": (
        TICKETS_TOPIC,
        "Facts of tickets in the order of their receipt, and watermarks.",
        ("ticket.", "progress"),
    ),
    "deadlines": (
        DEADLINES_TOPIC,
        "Outcomes of clocks, steps of escalation ladders, and notices about new requests.",
        ("clock.", "ladder.", "escalation.", "request."),
    ),
    "escalations": (
        ESCALATIONS_TOPIC,
        "Notifications of roles, and monthly reports for people.",
        ("notify", "withdraw", "stand_down", "exhausted", "report."),
    ),
    "notifications": (NOTIFICATIONS_TOPIC, "The state of each mail.", ("delivery.",)),
}
_REPORTS: Final = ("report.",)
SENDERS: Final = {
    "intake": "tickets",
    "sla-timer": "deadlines",
    "escalator": "escalations",
    "notifier": "notifications",
    "board": "escalations",
}
RECEIVERS: Final = {
    "sla-timer": ("tickets",),
    "escalator": ("deadlines",),
    "notifier": ("escalations",),
    "board": tuple(CHANNELS),
}


def document() -> dict[str, Any]:
    """The whole document, AsyncAPI 3.0."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tocsin",
            "version": "1.0.0",
            "description": (
                "Service-level deadlines, escalations and notifications. Events are CloudEvents 1.0 in the binary mode "
                "of the Kafka binding. The key of each record is the ticket's id, so the events of a ticket stay in "
                "order; the key of a report is its id. Within a version of a topic, fields are only added, and are "
                "optional: ignore unknown fields."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in CHANNELS},
        "operations": {
            **{
                f"{_word(service)}-sends": _operation("send", service, channel, _sent_by(service, channel))
                for service, channel in SENDERS.items()
            },
            **{
                f"{_word(service)}-receives{f'-{channel}' if len(channels) > 1 else ''}": _operation(
                    "receive", service, channel, types_of(channel)
                )
                for service, channels in RECEIVERS.items()
                for channel in channels
            },
        },
        "components": {
            "messages": {name: _message(name, model) for name, model in EVENT_TYPES.items()},
            "schemas": _schemas(),
        },
    }


def text() -> str:
    """The document as YAML."""
    return HEAD + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=118)


def types_of(channel: str) -> list[str]:
    """The event types of the channel."""
    return [name for name in EVENT_TYPES if name.startswith(CHANNELS[channel][2])]


def _sent_by(service: str, channel: str) -> list[str]:
    """The event types that the service publishes. Two services publish escalations."""
    return [name for name in types_of(channel) if name.startswith(_REPORTS) == (service == "board")]


def _channel(name: str) -> dict[str, Any]:
    topic, description, _ = CHANNELS[name]
    return {
        "address": topic,
        "description": description,
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in types_of(name)},
        "bindings": {"kafka": {"topic": topic, "partitions": PARTITIONS, "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, service: str, channel: str, types: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"{service} {'publishes' if action == 'send' else 'consumes'} {channel}.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in types],
    }


def _message(name: str, model: type[BaseModel]) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "summary": _first_sentence(model)}
    if model is Watermark:
        return {
            **described,
            "description": "Headers only, and not a CloudEvent, because each partition gets ten per second.",
            "headers": {
                "type": "object",
                "required": ["ce_type", "ce_acceptedthrough"],
                "properties": {
                    "ce_type": {"const": "progress"},
                    "ce_acceptedthrough": {"type": "string", "format": "date-time"},
                },
            },
        }
    return {
        **described,
        "contentType": "application/json",
        "headers": {
            "allOf": [{"$ref": "#/components/schemas/CloudEvent"}, {"properties": {"ce_type": {"const": name}}}]
        },
        "payload": _payload(name, model),
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}, "bindingVersion": "0.5.0"}},
    }


def _payload(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """The schema of the model, narrowed to one type if the model serves several."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    if sum(other is model for other in EVENT_TYPES.values()) == 1:
        return schema
    kind = {"const": name.partition(".")[2]}
    discriminator = {"fact": {"properties": {"type": kind}}} if model is TicketChanged else {"state": kind}
    return {"allOf": [schema, {"properties": discriminator}]}


def _schemas() -> dict[str, Any]:
    models = dict.fromkeys(model for model in EVENT_TYPES.values() if model is not Watermark)
    _, made = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_WithoutTitles,
    )
    return {"CloudEvent": _CLOUD_EVENT, **dict(sorted(made["$defs"].items()))}


class _WithoutTitles(GenerateJsonSchema):
    """Omits the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _first_sentence(model: type[BaseModel]) -> str:
    """The first paragraph of the docstring, without the event type at its start."""
    words = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    words = re.sub(r"^`[^:]*: ", "", words)
    return words[0].upper() + words[1:]


def _word(service: str) -> str:
    return service.replace("-", "_")


_CLOUD_EVENT: Final = {
    "type": "object",
    "description": "The headers of a CloudEvent in binary mode. `ce_subject` is the id of the ticket or of the report.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid"},
        "ce_type": {"type": "string"},
        "ce_source": {"enum": [f"/tocsin/{service}" for service in SENDERS]},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "format": "uuid"},
        "content-type": {"const": "application/json"},
    },
}

if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
