"""The simulated shop: deterministic, in order, valid, and with moles whose truth is known."""

import datetime as dt
import itertools
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import simulate_moles
from agents.simulate import HISTORY, Record, Shop
from agents.simulate_moles import Mole
from streams import names

NOW = dt.datetime(2026, 3, 4, 9, 30, 17, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
Event = dict[str, Any]


def decoded(records: list[Record]) -> list[Event]:
    return [orjson.loads(value) for _, _, value in records]


def when(event: Event) -> dt.datetime:
    return dt.datetime.fromisoformat(event["time"])


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(NOW, seed=7)


@pytest.fixture(scope="module")
def history(shop: Shop) -> list[Record]:
    return list(shop.events(NOW - HISTORY, NOW))


@pytest.fixture(scope="module")
def past(history: list[Record]) -> list[Event]:
    return decoded(history)


@pytest.fixture(scope="module")
def live(shop: Shop) -> list[Event]:
    return decoded(list(shop.events(NOW, NOW + dt.timedelta(minutes=10))))


def share_bad(events: list[Event], mole: Mole, inside: bool) -> float:
    """Of the events that `mole` could spoil, the share that is bad, within or outside its time."""
    hit = [
        e
        for e in events
        if e["data"]["moment"] == mole.moment
        and e["type"] == names.TOUCHPOINT
        and not e["data"].get("probe")
        and (mole.segment is None or e["data"]["segment"][mole.segment[0]] == mole.segment[1])
        and (mole.start <= when(e) < mole.end) is inside
    ]
    return sum(is_bad(e, mole.signal) for e in hit) / len(hit)


def is_bad(event: Event, signal: str) -> bool:
    data = event["data"]
    within = {"support-call": 30, "order-confirmation": 300}
    if signal == "outcome":
        return bool(data.get("outcome", "ok") != "ok")
    if signal == "need":
        return not data["need_met"]
    if signal == "promise":
        return when(event) > dt.datetime.fromisoformat(data["promised_by"])
    return bool(data[f"{signal}_s"] > within[data["moment"]])


def test_three_days_of_history_are_some_ten_thousands_of_events(history: list[Record]) -> None:
    assert 60_000 <= len(history) <= 100_000


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(history: list[Record]) -> None:
    assert list(Shop(NOW, seed=7).events(NOW - HISTORY, NOW)) == history
    assert list(Shop(NOW, seed=8).events(NOW - HISTORY, NOW - HISTORY + HOUR)) != history[:200]


@settings(max_examples=3)
@given(st.lists(st.floats(-40, 40), min_size=2, max_size=3).map(sorted))
def test_a_span_has_the_same_events_however_it_is_cut(minutes: list[float]) -> None:
    shop = Shop(NOW, seed=7)
    cuts = [NOW + dt.timedelta(minutes=m) for m in minutes]
    whole = list(shop.events(cuts[0], cuts[-1]))
    assert [r for a, b in itertools.pairwise(cuts) for r in shop.events(a, b)] == whole
    feed = shop.feed(cuts[0])
    assert [r for cut in cuts for r in feed.until(cut)] == whole


def test_history_goes_over_into_the_present_without_a_gap_or_a_repeat(shop: Shop) -> None:
    feed = shop.feed(NOW - HOUR)
    both = [*feed.until(NOW), *feed.until(NOW + HOUR / 6)]
    assert both == list(shop.events(NOW - HOUR, NOW + HOUR / 6))


def test_events_come_in_the_order_of_their_time_and_within_the_span(history: list[Record]) -> None:
    times = [when(e) for e in decoded(history)]
    assert times == sorted(times)
    assert NOW - HISTORY - dt.timedelta(milliseconds=1) <= times[0]
    assert times[-1] < NOW


def test_ids_are_unique_and_keys_are_the_customers(history: list[Record]) -> None:
    events = decoded(history)
    assert len({e["id"] for e in events}) == len(events)
    assert all(key.decode() == e["data"]["customer"] for (_, key, _), e in zip(history, events, strict=True))


def test_every_type_goes_to_its_topic_and_has_the_fields_of_the_contract(history: list[Record]) -> None:
    scales = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "rating": (1, 5)}
    for (topic, _, _), event in zip(history, decoded(history), strict=True):
        data = event["data"]
        assert event["specversion"] == "1.0"
        assert event["source"] == "shop"
        assert (topic == names.TOUCHPOINTS) == (event["type"] == names.TOUCHPOINT)
        if event["type"] == names.ANSWER and data["survey"] in scales:
            low, high = scales[data["survey"]]
            assert low <= data["score"] <= high
        if "sentiment" in data:
            assert -1 <= data["sentiment"] <= 1


def test_every_moment_every_survey_every_voice_and_probes_occur(history: list[Record]) -> None:
    events = decoded(history)
    assert {e["data"]["moment"] for e in events} >= {
        "search-browse", "product-page", "checkout-payment", "order-confirmation", "dispatch", "delivery",
        "support-call", "support-callback", "returns-refund", "relationship", "gift-wrapping",
    }  # fmt: skip
    answers = [e["data"] for e in events if e["type"] == names.ANSWER]
    assert {a["survey"] for a in answers} == {"csat", "nps", "ces", "rating", "complaint", "praise"}
    assert {a.get("voice", "customer") for a in answers} == {"customer", "company", "probe"}
    assert any(a.get("solicited") is False for a in answers)
    assert any(e["data"].get("probe") for e in events)
    assert any(e["type"] == names.SURVEY for e in events)


def test_the_company_believes_its_calls_better_than_its_customers_find_them(history: list[Record]) -> None:
    scores: dict[str, list[int]] = {"company": [], "probe": []}
    for event in decoded(history):
        voice = event["data"].get("voice")
        if voice in scores:
            scores[voice].append(event["data"]["score"])
    assert sum(scores["company"]) / len(scores["company"]) > sum(scores["probe"]) / len(scores["probe"])


def test_the_undeclared_moment_appears_on_the_second_day(history: list[Record]) -> None:
    first = min(when(e) for e in decoded(history) if e["data"]["moment"] == "gift-wrapping")
    second_day = NOW - HISTORY + dt.timedelta(days=1)
    assert second_day - dt.timedelta(minutes=1) < first < second_day + dt.timedelta(hours=2)


def test_nights_are_quiet_and_evenings_busy(history: list[Record]) -> None:
    hours = Counter(when(e).hour for e in decoded(history) if when(e) < NOW - HOUR)
    assert hours[20] > 2 * hours[3]


def test_the_present_has_the_rate_that_was_asked_for(live: list[Event]) -> None:
    assert 5 <= len(live) / 600 <= 20
    slow = list(Shop(NOW, seed=7, per_second=2).events(NOW, NOW + dt.timedelta(minutes=10)))
    assert len(live) > 3 * len(slow)


@pytest.mark.parametrize("number", range(len(simulate_moles.PAST)))
def test_a_mole_of_the_past_spoils_what_it_says_and_the_rest_is_well(
    shop: Shop, past: list[Event], number: int
) -> None:
    mole = [m for m in shop.moles() if m.end <= NOW][number]
    assert share_bad(past, mole, inside=True) > mole.share * 0.5
    same = [m for m in shop.moles() if (m.moment, m.segment, m.signal) == (mole.moment, mole.segment, mole.signal)]
    outside = [e for e in past if not any(m.start <= when(e) < m.end for m in same)]
    assert share_bad(outside, mole, inside=False) < 0.15


def test_a_mole_of_the_past_comes_back(shop: Shop) -> None:
    kinds = Counter((m.moment, m.segment, m.signal) for m in shop.moles() if m.end <= NOW)
    assert kinds.most_common(1)[0][1] == 2


@pytest.mark.parametrize("seed", range(5))
def test_whoever_watches_sees_payments_of_the_north_fail_within_the_first_two_minutes(seed: int) -> None:
    events = decoded(list(Shop(NOW, seed=seed).events(NOW, NOW + dt.timedelta(minutes=2))))
    north = [
        e
        for e in events
        if e["data"]["moment"] == "checkout-payment"
        and e["type"] == names.TOUCHPOINT
        and e["data"]["segment"]["region"] == "north"
        and not e["data"].get("probe")
    ]
    failed = [e for e in north if e["data"].get("outcome") == "failed"]
    assert len(failed) >= 6
    assert len(failed) > len(north) / 2


def test_waits_of_support_explode_a_few_minutes_later(shop: Shop, live: list[Event]) -> None:
    mole = next(m for m in shop.moles() if m.start > NOW and m.signal == "wait")
    assert mole.start - NOW < dt.timedelta(minutes=3)
    assert share_bad(live, mole, inside=True) > 0.7
    assert share_bad(live, mole, inside=False) < 0.2
