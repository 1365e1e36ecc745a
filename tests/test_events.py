"""Events: the fields of each type, their scales, and their time in microseconds."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import names
from streams.event_reader import Reader, segments
from streams.events import Answer, AnswerData, Rejection, Survey, SurveyKind, Touchpoint, check_answer, micros
from tests.core import answer, body, survey, touchpoint


def test_the_fields_of_each_type_arrive_as_they_were_sent() -> None:
    t = Reader(names.TOUCHPOINTS).read(
        body(touchpoint("t", 1.5, outcome="failed", reason="no-card", wait_s=3, segment={"region": "eu"})), ()
    )
    assert isinstance(t, Touchpoint)
    assert (t.id, t.source, micros(t.time)) == ("t", "test", 1709251201500000)
    assert (t.data.moment, t.data.outcome, t.data.reason, t.data.wait_s) == ("pay", "failed", "no-card", 3.0)
    assert segments(t.data.segment) == {"region": "eu"}
    a = Reader(names.FEEDBACK).read(body(answer(score=4.5, voice="company")), ())
    assert isinstance(a, Answer)
    assert (a.data.survey, a.data.score, a.data.voice, a.data.solicited) == ("csat", 4.5, "company", True)
    s = Reader(names.FEEDBACK).read(body({**survey(), "data": {"customer": "c", "survey": "nps"}}), ())
    assert isinstance(s, Survey)
    assert (s.data.moment, s.data.survey) == ("relationship", "nps")


@pytest.mark.parametrize(("kind", "low", "high"), [("csat", 1, 5), ("nps", 0, 10), ("ces", 1, 7), ("rating", 1, 5)])
def test_a_score_lies_on_the_scale_of_its_survey(kind: SurveyKind, low: int, high: int) -> None:
    for right in (None, low, high):
        check_answer(AnswerData("c", kind, right))
    for wrong in (low - 0.001, high + 0.001):
        with pytest.raises(Rejection, match=f"data.score: expected {low} to {high} for {kind}"):
            check_answer(AnswerData("c", kind, wrong))


@pytest.mark.parametrize("kind", ["complaint", "praise"])
def test_a_complaint_and_a_praise_carry_no_score(kind: SurveyKind) -> None:
    check_answer(AnswerData("c", kind))
    with pytest.raises(Rejection, match=f"data.score: a {kind} carries no score"):
        check_answer(AnswerData("c", kind, 1))


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)), st.integers(-23 * 60, 23 * 60))
def test_microseconds_are_exact_in_any_zone(naive: datetime, offset_min: int) -> None:
    hours, minutes = divmod(abs(offset_min), 60)
    text = f"{naive.isoformat(timespec='microseconds')}{'-' if offset_min < 0 else '+'}{hours:02}:{minutes:02}"
    days = naive.toordinal() - datetime(1970, 1, 1).toordinal()
    expected = ((days * 24 + naive.hour) * 60 + naive.minute - offset_min) * 60 + naive.second
    if expected < 0:
        with pytest.raises(Rejection, match="time: expected a year from 1970"):
            Reader(names.TOUCHPOINTS).read(body({**touchpoint(), "time": text}), ())
    else:
        found = Reader(names.TOUCHPOINTS).read(body({**touchpoint(), "time": text}), ())
        assert micros(found.time) == expected * 1_000_000 + naive.microsecond
