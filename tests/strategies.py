"""Events of any shape, for Hypothesis."""

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from streams import names
from tests.core import DAY_S, HOUR_S, Event, answer, iso, survey, touchpoint

REGIONS = ("eu", "us", "a=b", "")
MOMENTS = ("pay", "browse", "found-1", "found-2")
wide_s = st.one_of(st.integers(0, 2 * HOUR_S), st.integers(0, 6 * DAY_S)).map(float)
"""Seconds after BASE: most within reach of each other, some far ahead (and what follows them too late)."""


@st.composite
def touchpoints(draw: st.DrawFn, at_s: st.SearchStrategy[float] = wide_s) -> Event:
    """A touchpoint of any shape; ids are few, so that some repeat."""
    at = draw(at_s)
    data: dict[str, Any] = {"moment": draw(st.sampled_from(MOMENTS))}
    options: dict[str, st.SearchStrategy[Any]] = {
        "outcome": st.sampled_from(["ok", "ok", "failed", "abandoned"]),
        "need_met": st.sampled_from([True, False, None]),
        "wait_s": st.sampled_from([0, 29.999, 30, 30.001, 31, 1e300]),
        "duration_s": st.sampled_from([0, 1.5, 2, 2.5]),
        "promised_by": st.sampled_from([-1, -0.000001, 0, 1]).map(lambda late: iso(at + late)),
        "probe": st.booleans(),
        "segment": _segments,
    }
    for key, strategy in options.items():
        if draw(st.booleans()):
            data[key] = draw(strategy)
    return touchpoint(str(draw(st.integers(0, 10**9))), at, **data)


@st.composite
def answers(draw: st.DrawFn, at_s: st.SearchStrategy[float] = wide_s) -> Event:
    """An answer of any shape, or a survey."""
    kind = draw(st.sampled_from(["csat", "nps", "ces", "rating", "complaint", "praise"]))
    high = {"csat": 5, "nps": 10, "ces": 7, "rating": 5}.get(kind)
    data: dict[str, Any] = {"moment": draw(st.sampled_from(MOMENTS)), "survey": kind}
    if draw(st.integers(0, 9)) == 0:
        return survey(str(draw(st.integers(0, 10**9))), draw(at_s), **data)
    if high and draw(st.integers(0, 9)):
        data["score"] = draw(st.sampled_from([x for x in (1, 2, 3, 4, 4.5, 5, 6, 7, 8, 9, 10) if x <= high]))
    if draw(st.booleans()):
        data["sentiment"] = draw(st.sampled_from([-1, -0.1, 0, 0.4, 0.5, 1]))
    if draw(st.booleans()):
        data["voice"] = draw(st.sampled_from(["customer", "company", "probe"]))
    if draw(st.booleans()):
        data["segment"] = draw(_segments)
    return answer(str(draw(st.integers(0, 10**9))), draw(at_s), **data)


_segments = st.fixed_dictionaries(
    {},
    optional={
        "region": st.sampled_from(REGIONS),
        "plan": st.sampled_from(["free", "pro", "gold"]),
        "unknown": st.just("x"),
    },
)


def events_of(topic: str, at_s: st.SearchStrategy[float] = wide_s) -> st.SearchStrategy[Event]:
    """Events of one of the two topics."""
    return touchpoints(at_s) if topic == names.TOUCHPOINTS else answers(at_s)


def distinct(events: Iterable[Event]) -> list[Event]:
    """The same events with ids of their own."""
    return [{**e, "id": f"{i}"} for i, e in enumerate(events)]
