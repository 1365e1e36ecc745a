"""tally.py: what is from the future or too late, and what moves the watermark."""

from collections import Counter

import pytest

from streams import names
from streams.tally import Tally
from tests.core import FAR_MS, HOUR_S, TEXT, Record, body, records, routes, touchpoint
from tests.expected import micros_of
from tests.pipeline import Pipeline

ROUTES = routes()


@pytest.mark.parametrize(
    ("ahead_s", "timestamp_type", "broker_s", "wall_s", "reason"),
    [
        (300, 1, 0, 0, None),
        (300.000001, 1, 0, 0, "from_future"),
        (300.000001, 1, 0, 10**6, "from_future"),  # LogAppendTime: the wall does not count
        (300, 1, 0, -(10**6), None),
        (300, 0, 0, 0, None),
        (300.000001, 0, 10**6, 0, "from_future"),  # CreateTime: the record's timestamp does not count
        (300, 0, -(10**6), 0, None),
    ],
)
def test_an_event_over_five_minutes_ahead_is_from_the_future(
    ahead_s: float, timestamp_type: int, broker_s: int, wall_s: int, reason: str | None
) -> None:
    base_ms = 1709251200000
    record = Record(
        0, body(touchpoint("1", ahead_s)), timestamp=base_ms + broker_s * 1000, timestamp_type=timestamp_type
    )
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    refused = tally.run([record], (base_ms + wall_s * 1000) * 1000)
    assert [why.reason for _, why in refused] == ([] if reason is None else [reason])
    assert (tally.watermark is None) == (reason is not None)


def test_refused_and_repeated_events_do_not_move_the_watermark() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = [touchpoint("1", 0), touchpoint("1", 500), touchpoint("2", 9 * HOUR_S, moment="Not a slug")]
    tally.run(records(some), FAR_MS * 1000)
    assert tally.watermark == micros_of(some[0]["time"])


def test_from_the_future_comes_before_too_late_and_too_late_before_a_duplicate() -> None:
    tally = Tally(names.TOUCHPOINTS, 0, ROUTES)
    some = records([touchpoint("1", 0), touchpoint("2", 2 * HOUR_S), touchpoint("1", 0)])
    future = Record(3, body(touchpoint("1", 0)), timestamp=0)
    refused = tally.run([*some, future], 0)
    assert [why.reason for _, why in refused] == ["too_late", "from_future"]


def test_what_was_too_late_stays_so_after_the_allowed_lateness_has_grown() -> None:
    source = (names.TOUCHPOINTS, 0)
    p = Pipeline(ROUTES, {source: records([touchpoint("1", 0), touchpoint("2", 3 * HOUR_S), touchpoint("1", 0)])})
    p.feed(source, 2)
    p.flush(source)
    p.routes = routes(text=TEXT.replace("allowed_lateness: 1h", "allowed_lateness: 12h"))
    p.restart(source)
    p.finish()
    assert p.counts()[source] == Counter(received=3, accepted=2, too_late=1)
