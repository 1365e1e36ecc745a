"""The AsyncAPI document: valid to the official parser, and its examples are events to molehill's own reader."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from streams import names
from streams.asyncapi import asyncapi
from streams.event_reader import Reader
from streams.events import Rejection
from streams.moles import Mole
from tests.npm import npm_packages

ROOT = Path(__file__).parents[1]
CHECK = ROOT / "tests" / "asyncapi"
DOCUMENT = asyncapi("1.2.3")
Case = tuple[str, str, dict[str, Any], dict[str, Any]]  # channel, message, its definition, one example


def examples() -> Iterator[Case]:
    """Every example of every message, with the topic that it travels on."""
    for channel in DOCUMENT["channels"].values():
        for name in channel["messages"]:
            message = DOCUMENT["components"]["messages"][name]
            for example in message["examples"]:
                yield channel["address"], name, message, example


CASES = [pytest.param(*case, id=f"{case[0]} {case[3]['name']}") for case in examples()]


def validator(schema: dict[str, Any]) -> jsonschema.Draft7Validator:
    """Of a part of the document, which AsyncAPI defines as JSON Schema draft-07."""
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}  # beside a $ref nothing counts in draft-07
    jsonschema.Draft7Validator.check_schema(whole)
    return jsonschema.Draft7Validator(whole)


def test_the_official_parser_finds_nothing_wrong(require_tools: Callable[..., None]) -> None:
    require_tools("node", "npm")
    printed = subprocess.run(
        [sys.executable, "-m", "agents.cli", "schema", "--format", "asyncapi"],
        capture_output=True, timeout=60, cwd=ROOT, check=True,
    ).stdout  # fmt: skip
    assert diagnostics(printed) == []
    broken = json.loads(printed)
    broken["channels"]["moles"]["messages"]["mole"]["$ref"] = "#/components/messages/nothing"
    assert diagnostics(json.dumps(broken).encode()) != []


def diagnostics(document: bytes) -> list[Any]:
    """What the parser says, but for advice (a newer version of AsyncAPI exists)."""
    command = ["node", str(CHECK / "check.mjs"), str(npm_packages(CHECK))]
    done = subprocess.run(command, input=document, capture_output=True, timeout=120, check=True)
    return [d for d in json.loads(done.stdout) if d["severity"] < 2]


def test_it_has_the_topics_of_the_contract_and_says_which_way_they_go() -> None:
    addresses = {f"#/channels/{name}": c["address"] for name, c in DOCUMENT["channels"].items()}
    actions = {addresses[o["channel"]["$ref"]]: o["action"] for o in DOCUMENT["operations"].values()}
    assert actions == {
        "cx.touchpoints": "receive",
        "cx.feedback": "receive",
        "cx.dead-letters": "send",
        "cx.moles": "send",
    }
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert all("key" in m["bindings"]["kafka"] for m in DOCUMENT["components"]["messages"].values())


@pytest.mark.parametrize(("topic", "name", "message", "example"), CASES)
def test_every_example_fits_the_schemas_beside_it(topic: str, name: str, message: Any, example: Any) -> None:
    validator(message["payload"]).validate(example["payload"])
    validator(message["headers"]).validate(example["headers"])


EVENTS = [c for c in CASES if c.values[0] in (names.TOUCHPOINTS, names.FEEDBACK)]


@pytest.mark.parametrize(("topic", "name", "message", "example"), EVENTS)
def test_the_reader_takes_every_example_of_an_event(topic: str, name: str, message: Any, example: Any) -> None:
    headers = [(k, str(v).encode()) for k, v in example["headers"].items()]
    event = Reader(topic).read(json.dumps(example["payload"]).encode(), headers)
    assert event.data.customer == "c-1"
    assert name.endswith("Binary") == ("ce_id" in example["headers"])


@pytest.mark.parametrize(("topic", "name", "message", "example"), EVENTS)
def test_what_the_reader_refuses_does_not_fit_either(topic: str, name: str, message: Any, example: Any) -> None:
    payload = json.loads(json.dumps(example["payload"]))
    del payload.get("data", payload)["customer"]
    with pytest.raises(jsonschema.ValidationError):
        validator(message["payload"]).validate(payload)


def test_the_example_of_a_dead_letter_was_refused_for_what_its_headers_say() -> None:
    (example,) = DOCUMENT["components"]["messages"]["deadLetter"]["examples"]
    with pytest.raises(Rejection) as refused:
        Reader(example["headers"][names.H_TOPIC]).read(json.dumps(example["payload"]).encode(), ())
    assert refused.value.reason == example["headers"][names.H_REASON]
    assert refused.value.error == example["headers"][names.H_ERROR]


def test_the_example_of_a_mole_is_one() -> None:
    (example,) = DOCUMENT["components"]["messages"]["mole"]["examples"]
    data = example["payload"]["data"]
    assert json.loads(msgspec.json.encode(msgspec.convert(data, Mole))) == data
