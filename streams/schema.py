"""The event contract as JSON Schema, derived from the structs that the decoder uses."""

from typing import Any, get_args

import msgspec

from streams import names
from streams.events import SCALES, Answer, Survey, SurveyKind, Touchpoint

TITLE = "molehill: CloudEvents of customer experience"


def components(template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the schema of one event, any of the three types; the definitions that it refers to by `template`)."""
    (ref,), definitions = msgspec.json.schema_components([Touchpoint | Answer | Survey], ref_template=template)
    segment = {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "dimension → value; dimensions that the catalogue lacks are ignored",
    }
    for name in ("TouchpointData", "AnswerData", "SurveyData"):
        definitions[name]["properties"]["segment"] = segment
    data = definitions["AnswerData"]
    data["allOf"] = [
        {
            "if": {"properties": {"survey": {"const": survey}}},
            "then": {"properties": {"score": {"anyOf": [{"type": "null"}, _scale(survey)]}}},
        }
        for survey in get_args(SurveyKind)
    ]
    return ref, definitions


def json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of one event: any of the three types. Unknown fields are accepted."""
    ref, definitions = components("#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "description": (
            f"{names.TOUCHPOINT} travels on {names.TOUCHPOINTS}, {names.ANSWER} and {names.SURVEY} on "
            f"{names.FEEDBACK}; the Kafka key is the customer. `time` is event time, with an offset."
        ),
        **ref,
        "$defs": definitions,
    }


def _scale(survey: str) -> Any:
    if survey not in SCALES:
        return False
    low, high = SCALES[survey]
    return {"type": "number", "minimum": low, "maximum": high}
