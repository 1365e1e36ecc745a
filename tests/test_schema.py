"""The schema that others validate with says what the decoder does."""

import gzip
import json

import jsonschema
import pytest

from streams.schema import json_schema
from tests import truth

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "cx.feedback",
    "time": "2026-01-01T00:00:00Z",
    "data": {"customer": "c", "survey": "csat", "score": 4, "segment": {"region": "north"}},
}


def validator() -> jsonschema.Draft202012Validator:
    """The schema, itself valid."""
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("name", ["flights-jan-apr.jsonl.gz", "olist-sample.jsonl.gz"])
def test_real_events_are_valid(name: str) -> None:
    file = truth.DATA / name
    if not file.exists():
        pytest.skip(f"{file} is missing: real records are never committed")
    check = validator()
    with gzip.open(file) as lines:
        for _, line in zip(range(2000), lines, strict=False):
            check.validate(json.loads(line))


def test_an_event_with_more_fields_than_the_contract_has_is_valid() -> None:
    validator().validate(EVENT | {"traceparent": "00-1", "data": {**EVENT["data"], "more": [1]}})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("score", 6),
        ("survey", "complaint"),
        ("customer", ""),
        ("customer", "c" * 257),
        ("moment", "No Slug"),
        ("segment", {"region": 5}),
        ("sentiment", 1.5),
        ("comment", "x" * 10_001),
        ("voice", "nobody"),
    ],
)
def test_what_the_decoder_refuses_is_invalid(path: str, value: object) -> None:
    event = json.loads(json.dumps(EVENT))
    event["data"][path] = value
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(event)


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type", "time", "data"])
def test_every_required_attribute_is_required(attribute: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator().validate({k: v for k, v in EVENT.items() if k != attribute})
