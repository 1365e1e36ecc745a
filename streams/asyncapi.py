"""The topics as AsyncAPI 3.0: what molehill receives and what it sends, with headers, keys and examples.

Derived from the structs and names that the code runs on; only the examples are written by hand, and a test reads
them with molehill's own reader. Sources: AsyncAPI 3.0.0 and its Kafka bindings 0.5.0; CloudEvents 1.0, its JSON
format and its Kafka protocol binding. AsyncAPI's schemas are JSON Schema draft-07: what is beside a `$ref` would
not count there, so nothing is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from streams import names
from streams.moles import Kind, Mole
from streams.schema import TITLE, components

BINDINGS: Final = "0.5.0"
STRUCTURED: Final = "application/cloudevents+json"
LOG_APPEND_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
_AT: Final = "2026-03-01T09:30:00Z"
_TEXT: Final = {"type": "string"}

Json = dict[str, Any]

_SEGMENT: Final = {"region": "north", "plan": "pro"}
_EVENTS: Final[tuple[tuple[str, str, str, Json], ...]] = (  # message, type, struct, the data of the example
    (
        "touchpoint",
        names.TOUCHPOINT,
        "Touchpoint",
        {
            "moment": "checkout-payment",
            "customer": "c-1",
            "journey": "j-1",
            "segment": _SEGMENT,
            "outcome": "failed",
            "reason": "card-declined",
            "wait_s": 12.5,
            "promised_by": "2026-03-01T11:00:00+01:00",
        },
    ),
    (
        "feedback",
        names.ANSWER,
        "Answer",
        {
            "customer": "c-1",
            "survey": "csat",
            "score": 2,
            "moment": "checkout-payment",
            "segment": _SEGMENT,
            "sentiment": -0.6,
            "comment": "I was charged twice.",
        },
    ),
    ("survey", names.SURVEY, "Survey", {"customer": "c-1", "survey": "csat", "moment": "checkout-payment"}),
)
_LETTER: Final = {
    "content-type": STRUCTURED,
    names.H_REASON: names.BAD_FIELD,
    names.H_ERROR: "data.customer: Object missing required field `customer`",
    names.H_TOPIC: names.TOUCHPOINTS,
    names.H_PARTITION: "3",
    names.H_OFFSET: "81723",
}
_MOLE: Final[Json] = {
    "id": "checkout-payment.outcome.burn.20260301T093000Z",
    "moment": "checkout-payment",
    "segment": "all",
    "signal": "outcome",
    "kind": "burn",
    "tier": "game-over",
    "state": "popped",
    "first_harm": "2026-03-01T09:10:00Z",
    "popped": _AT,
    "acked": None,
    "whacked": None,
    "repop_of": None,
    "bad": 212,
    "total": 265,
    "burn_rate": 8.0,
    "burn_rate_low": 7.5,
    "contributors": [{"segment": "plan=pro", "bad": 130, "total": 160, "excess": 127.0}],
    "linked": [],
    "explain": "Pay for the order (checkout-payment): customers failed or gave up 212 of 265 times since 09:10 UTC.",
    "runbook": "https://example.com/runbooks/checkout-payment",
}


def asyncapi(version: str) -> Json:
    """The AsyncAPI document of this version of molehill."""
    _, schemas = components("#/components/schemas/{name}")
    _, moles = msgspec.json.schema_components([Mole], ref_template="#/components/schemas/{name}")
    moles["Mole"]["properties"]["kind"] = msgspec.json.schema(Kind)
    moles["Mole"]["description"] = "Something that hurts customers; null for what has not happened."
    schemas |= moles | {"MoleEvent": _mole_event()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": TITLE,
            "version": version,
            "description": "Customer-facing moments as services: their events in, refused events and moles out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": STRUCTURED,
        "channels": _channels(),
        "operations": {
            f"{action}{name[0].upper()}{name[1:]}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": summary,
            }
            for name, (action, summary) in _OPERATIONS.items()
        },
        "components": {"messages": _messages(schemas), "schemas": schemas},
    }


_OPERATIONS: Final = {
    "touchpoints": ("receive", "Counts what customers did."),
    "feedback": ("receive", "Counts what customers were asked and what they said."),
    "deadLetters": ("send", "Hands back what it had to refuse; at least once."),
    "moles": ("send", "Tells of each step in the life of a mole; at least once, repeats have the same id."),
}


def _channels() -> Json:
    return {
        "touchpoints": _channel(
            names.TOUCHPOINTS,
            "What customers did. As many partitions as the feedback has, keyed by customer.",
            ("touchpoint", "touchpointBinary"),
            LOG_APPEND_TIME,
        ),
        "feedback": _channel(
            names.FEEDBACK,
            "What customers were asked and what they said. As many partitions as the touchpoints have.",
            ("feedback", "feedbackBinary", "survey", "surveyBinary"),
            LOG_APPEND_TIME,
        ),
        "deadLetters": _channel(
            names.DEAD_LETTERS, "Refused events, byte for byte with key and headers.", ("deadLetter",)
        ),
        "moles": _channel(names.MOLES_TOPIC, "What hurts customers, from its popping to its end.", ("mole",)),
    }


def _channel(
    address: str, description: str, messages: Sequence[str], config: Mapping[str, str] | None = None
) -> Json:
    kafka: Json = {"bindingVersion": BINDINGS}
    if config:
        kafka["topicConfiguration"] = dict(config)
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": kafka},
    }


def _messages(schemas: Json) -> Json:
    out: Json = {}
    for name, kind, schema, data in _EVENTS:
        out[name] = _message(
            f"A CloudEvent of type {kind}, in structured mode.",
            STRUCTURED,
            {"$ref": f"#/components/schemas/{schema}"},
            _headers(
                {"content-type": {**_TEXT, "description": "Begins with application/cloudevents; or no such header."}}
            ),
            [_example(f"{name}-structured", {"content-type": STRUCTURED}, _event(kind, name, data))],
        )
        attributes = {k: v for k, v in _event(kind, name, data).items() if k != "data"}
        out[f"{name}Binary"] = _message(
            f"A CloudEvent of type {kind}, in binary mode: attributes are headers, the body is the data.",
            "application/json",
            {"$ref": f"#/components/schemas/{schema}Data"},
            _binary_headers(schema, schemas[schema]["required"]),
            [_example(f"{name}-binary", {f"ce_{k}": v for k, v in attributes.items()}, data)],
        )
    out["deadLetter"] = _message(
        f"A refused event: the original's bytes (of any kind), key and headers, and why. An original that cannot be "
        f"sent on is an empty value with its hash in {names.H_SHA256}. Topic, partition and offset identify it.",
        "application/octet-stream",
        {"description": "The original's bytes."},
        _letter_headers(),
        [_example("refused-for-a-field", _LETTER, _event(names.TOUCHPOINT, "no-customer", {"moment": "search"}))],
        key={"description": "The original's key."},
    )
    out["mole"] = _message(
        "A CloudEvent of type cx.mole: one step in a mole's life. The same events give the same id.",
        STRUCTURED,
        {"$ref": "#/components/schemas/MoleEvent"},
        _headers({"content-type": {"const": STRUCTURED}}),
        [_example("popped", {"content-type": STRUCTURED}, _event(names.MOLE, f"{_MOLE['id']}.popped", _MOLE))],
        key={**_TEXT, "description": "The mole's id."},
    )
    return out


def _message(
    summary: str, content: str, payload: Json, headers: Json, examples: list[Json], key: Json | None = None
) -> Json:
    customer = {"$ref": "#/components/schemas/TouchpointData/properties/customer"}
    return {
        "summary": summary,
        "contentType": content,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": key or customer, "bindingVersion": BINDINGS}},
        "examples": examples,
    }


def _headers(properties: Mapping[str, Json], required: Sequence[str] = ()) -> Json:
    out: Json = {"type": "object", "properties": dict(properties)}
    return out | ({"required": list(required)} if required else {})


def _binary_headers(schema: str, required: Sequence[str]) -> Json:
    """The CloudEvents attributes as headers in UTF-8, each by reference to the struct's."""
    known = {f"ce_{k}": {"$ref": f"#/components/schemas/{schema}/properties/{k}"} for k in required if k != "data"}
    return _headers(known, list(known))


def _letter_headers() -> Json:
    return _headers(
        {
            names.H_REASON: {"enum": list(names.REASONS)},
            names.H_ERROR: {**_TEXT, "description": "The path, and what was expected there."},
            names.H_TOPIC: _TEXT,
            names.H_PARTITION: {**_TEXT, "pattern": "^[0-9]+$"},
            names.H_OFFSET: {**_TEXT, "pattern": "^[0-9]+$"},
            names.H_SHA256: {
                **_TEXT,
                "pattern": "^[0-9a-f]{64}$",
                "description": "Only where the value is left out.",
            },
        },
        (names.H_REASON, names.H_ERROR, names.H_TOPIC, names.H_PARTITION, names.H_OFFSET),
    )


def _mole_event() -> Json:
    properties: Json = {
        "specversion": {"enum": ["1.0"]},
        "id": {**_TEXT, "minLength": 1},
        "source": {**_TEXT, "minLength": 1},
        "type": {"enum": [names.MOLE]},
        "time": {**_TEXT, "format": "date-time"},
        "data": {"$ref": "#/components/schemas/Mole"},
    }
    return {"title": "MoleEvent", "type": "object", "properties": properties, "required": list(properties)}


def _event(kind: str, identity: str, data: Json) -> Json:
    source = "molehill" if kind == names.MOLE else "shop"
    return {"specversion": "1.0", "id": identity, "source": source, "type": kind, "time": _AT, "data": data}


def _example(name: str, headers: Json, payload: Any) -> Json:
    return {"name": name, "headers": headers, "payload": payload}
