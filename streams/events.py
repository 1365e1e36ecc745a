"""What an event is: the types of the contract, their fields and ranges, and why one is refused.

Sources of the rules: CloudEvents 1.0 and its JSON format; the contract. `streams.event_reader` makes them of bytes.
"""

import datetime as dt
import re
from typing import Annotated, Literal

import msgspec

from streams import names

SCALES: dict[str, tuple[float, float]] = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "rating": (1, 5)}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
YEAR_10000 = 253_402_300_800_000_000
SECOND = 1_000_000  # event time is an int of microseconds since 1970

Identity = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
SLUG = "^[a-z0-9-]{1,64}$(?!\\n)"  # the look-ahead: Python's $ also matches before a last newline
Slug = Annotated[str, msgspec.Meta(pattern=SLUG)]
# A regular expression for each event costs more than the rest of its decoding: whoever meets a moment's name for
# the first time calls `check_moment` on it.
Moment = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra_json_schema={"pattern": SLUG})]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
SurveyKind = Literal["csat", "nps", "ces", "rating", "complaint", "praise"]


def _no_segment() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class TouchpointData(msgspec.Struct, gc=False):
    """What a customer did. `wait_s` and `duration_s` in seconds."""

    moment: Moment
    customer: Identity
    journey: str | None = None
    segment: msgspec.Raw = msgspec.field(default_factory=_no_segment)
    outcome: Literal["ok", "failed", "abandoned"] = "ok"
    reason: Slug | None = None
    need_met: bool | None = None
    wait_s: Seconds | None = None
    duration_s: Seconds | None = None
    promised_by: Time | None = None
    probe: bool = False


class AnswerData(msgspec.Struct, gc=False):
    """What a customer (or the company, or a probe) said."""

    customer: Identity
    survey: SurveyKind
    score: float | None = None
    moment: Moment = names.RELATIONSHIP
    journey: str | None = None
    segment: msgspec.Raw = msgspec.field(default_factory=_no_segment)
    solicited: bool = True
    sentiment: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    comment: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    voice: Literal["customer", "company", "probe"] = "customer"


class SurveyData(msgspec.Struct, gc=False):
    """A customer was asked."""

    customer: Identity
    survey: SurveyKind
    moment: Moment = names.RELATIONSHIP
    journey: str | None = None
    segment: msgspec.Raw = msgspec.field(default_factory=_no_segment)


class Touchpoint(msgspec.Struct, gc=False, tag_field="type", tag=names.TOUCHPOINT):
    """A CloudEvent of type `cx.touchpoint`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Text
    time: Time
    data: TouchpointData


class Answer(msgspec.Struct, gc=False, tag_field="type", tag=names.ANSWER):
    """A CloudEvent of type `cx.feedback`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Text
    time: Time
    data: AnswerData


class Survey(msgspec.Struct, gc=False, tag_field="type", tag=names.SURVEY):
    """A CloudEvent of type `cx.survey`."""

    specversion: Literal["1.0"]
    id: Identity
    source: Text
    time: Time
    data: SurveyData


Event = Touchpoint | Answer | Survey
BY_TYPE: dict[str, type[Event]] = {names.TOUCHPOINT: Touchpoint, names.ANSWER: Answer, names.SURVEY: Survey}
TYPES_OF: dict[str, tuple[str, ...]] = {
    names.TOUCHPOINTS: (names.TOUCHPOINT,),
    names.FEEDBACK: (names.ANSWER, names.SURVEY),
}


_slug = re.compile(SLUG)


class Rejection(Exception):
    """Why an event was refused: `reason` is one of `names.REASONS`, `error` says path and expectation."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason = reason
        self.error = error


def micros(time: dt.datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    t = time - EPOCH
    return (t.days * 86_400 + t.seconds) * SECOND + t.microseconds


def check_years(time: int) -> None:
    """A time of the contract, in microseconds."""
    if not 0 <= time < YEAR_10000:
        raise Rejection(names.BAD_ENVELOPE, "time: expected a year from 1970 to 9999")


def check_moment(moment: str) -> None:
    """A moment's name is a slug."""
    if _slug.search(moment) is None:
        raise Rejection(names.BAD_FIELD, f"data.moment: expected {SLUG}")


def check_answer(data: AnswerData) -> None:
    """The score fits its survey's scale; a complaint and a praise carry none."""
    if data.score is None:
        return
    scale = SCALES.get(data.survey)
    if scale is None:
        raise Rejection(names.BAD_FIELD, f"data.score: a {data.survey} carries no score")
    low, high = scale
    if not low <= data.score <= high:
        raise Rejection(names.BAD_FIELD, f"data.score: expected {low} to {high} for {data.survey}")
