"""signals.py, through a tally: what one event says of each signal, by the contract's table."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import names
from streams.catalogue import DISCOVERED_SIGNALS, SIGNALS
from streams.signals import WAIT_BUCKETS_S, wait_bounds
from streams.tally import Tally
from tests.core import FAR_MS, TEXT, Event, answer, catalogue, iso, records, routes, survey, touchpoint
from tests.expected import Expected
from tests.strategies import answers, distinct, touchpoints

ROUTES = routes()
KIND = {"cx.touchpoint": names.TOUCHPOINTS, "cx.feedback": names.FEEDBACK, "cx.survey": names.FEEDBACK}


def fields(*events: Event, text: str = TEXT) -> dict[tuple[str, str, str], int]:
    """(moment, segment, field) → count, after these events of one topic."""
    tally = Tally(KIND[events[0]["type"]], 0, routes(text=text))
    assert tally.run(records(events), FAR_MS * 1000) == []
    tally.flush("f", snapshot=False)
    return {lane: int(tally.ledger.totals[i]) for lane, i in tally.ledger.lanes.items() if tally.ledger.totals[i]}


def says(event: Event, text: str = TEXT) -> set[str]:
    """The good (+) and bad (-) signals of one event, under `all`."""
    return {f for (_, s, f), n in fields(event, text=text).items() if s == "all" and f[-1] in "+-" and n == 1}


def test_the_signals_are_those_of_the_contract_and_a_discovered_moment_has_all_but_the_timed_ones() -> None:
    needs, delight = "outcome need wait duration promise", "csat nps ces rating sentiment complaint"
    assert list(SIGNALS) == [*needs.split(), *delight.split()]
    assert set(SIGNALS) - set(DISCOVERED_SIGNALS) == {"wait", "duration"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, {"outcome+"}),
        ({"outcome": "ok"}, {"outcome+"}),
        ({"outcome": "failed"}, {"outcome-"}),
        ({"outcome": "abandoned"}, {"outcome-"}),
        ({"need_met": True}, {"outcome+", "need+"}),
        ({"need_met": False}, {"outcome+", "need-"}),
        ({"need_met": None}, {"outcome+"}),
        ({"need_met": True, "outcome": "failed"}, {"outcome-", "need+"}),
        ({"wait_s": 0}, {"outcome+", "wait+"}),
        ({"wait_s": 30}, {"outcome+", "wait+"}),
        ({"wait_s": 30.000001}, {"outcome+", "wait-"}),
        ({"wait_s": 1e300}, {"outcome+", "wait-"}),
        ({"duration_s": 1}, {"outcome+"}),  # pay does not declare it
        ({"promised_by": iso(1)}, {"outcome+", "promise+"}),
        ({"promised_by": iso(0)}, {"outcome+", "promise+"}),
        ({"promised_by": iso(-0.000001)}, {"outcome+", "promise-"}),
        ({"promised_by": iso(1), "outcome": "failed"}, {"outcome-", "promise-"}),
        ({"promised_by": iso(1), "outcome": "abandoned"}, {"outcome-", "promise-"}),
        ({"promised_by": "2024-03-01T05:30:00+05:30"}, {"outcome+", "promise+"}),
        ({"moment": "browse", "duration_s": 2}, {"outcome+", "duration+"}),
        ({"moment": "browse", "duration_s": 2.1}, {"outcome+", "duration-"}),
        ({"moment": "browse", "need_met": True, "wait_s": 1, "promised_by": iso(1)}, {"outcome+"}),
        ({"moment": "new", "need_met": False, "wait_s": 1, "duration_s": 1}, {"outcome+", "need-"}),
        ({"moment": "new", "promised_by": iso(-1)}, {"outcome+", "promise-"}),
    ],
)
def test_a_touchpoint_is_good_or_bad_by_the_contracts_table(data: dict[str, Any], expected: set[str]) -> None:
    assert says(touchpoint(**data)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"score": 4}, {"csat+"}),
        ({"score": 3.999}, {"csat-"}),
        ({"score": 1}, {"csat-"}),
        ({}, set()),
        ({"survey": "nps", "score": 10}, {"nps+"}),
        ({"survey": "nps", "score": 9}, {"nps+"}),
        ({"survey": "nps", "score": 8}, set()),
        ({"survey": "nps", "score": 7}, set()),
        ({"survey": "nps", "score": 6}, {"nps-"}),
        ({"survey": "nps", "score": 0}, {"nps-"}),
        ({"survey": "rating", "score": 5}, set()),  # pay does not declare it
        ({"survey": "complaint"}, set()),
        ({"sentiment": 1, "score": 5}, {"csat+"}),
        ({"moment": "browse", "survey": "rating", "score": 3}, {"rating+"}),  # good: 3
        ({"moment": "browse", "survey": "rating", "score": 2.9}, {"rating-"}),
        ({"moment": "browse", "survey": "ces", "score": 5}, {"ces+"}),
        ({"moment": "browse", "survey": "ces", "score": 4}, {"ces-"}),
        ({"moment": "browse", "survey": "complaint"}, {"complaint-"}),
        ({"moment": "browse", "survey": "praise"}, {"complaint+"}),
        ({"moment": "browse", "sentiment": 0.5}, {"sentiment+"}),  # good: 0.5
        ({"moment": "browse", "sentiment": 0.4}, {"sentiment-"}),
        ({"moment": "browse", "survey": "complaint", "sentiment": -1}, {"complaint-", "sentiment-"}),
        ({"moment": "new", "survey": "rating", "score": 4, "sentiment": 0}, {"rating+", "sentiment+"}),
        ({"moment": "new", "survey": "rating", "score": 3, "sentiment": -0.01}, {"rating-", "sentiment-"}),
        ({"moment": "new", "survey": "nps", "score": 8}, set()),
        ({"moment": "new", "survey": "praise"}, {"complaint+"}),
    ],
)
def test_an_answer_is_good_bad_or_nothing_by_the_contracts_table(data: dict[str, Any], expected: set[str]) -> None:
    assert says(answer(**data)) == expected


def test_a_survey_says_nothing_good_or_bad() -> None:
    assert fields(survey()) == {}


def test_a_good_score_can_be_set_for_nps_and_what_lies_between_it_and_six_is_neither() -> None:
    text = TEXT.replace("nps: {objective: 70%}", "nps: {objective: 70%, good: 8}")
    found = {score: says(answer(survey="nps", score=score), text) for score in (6, 7, 8, 9)}
    assert found == {6: {"nps-"}, 7: set(), 8: {"nps+"}, 9: {"nps+"}}


def test_promoters_and_detractors_stay_those_of_the_field_whatever_good_means() -> None:
    text = TEXT.replace("nps: {objective: 70%}", "nps: {objective: 70%, good: 8}")
    events = distinct([answer(survey="nps", score=s) for s in (0, 6, 7, 8, 9, 10)])
    found = fields(*events, text=text)
    assert found["pay", "all", "nps.promoters"] == 2
    assert found["pay", "all", "nps.detractors"] == 2
    assert (found["pay", "all", "nps.n"], found["pay", "all", "nps.sum"]) == (6, 40_000)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(-1, 1)), max_size=20), st.booleans())
def test_any_scores_and_sentiments_add_up_as_they_do_one_by_one(
    said: list[tuple[float, float]], browse: bool
) -> None:
    """Of `browse` sentiment counts, and a score of nps does not."""
    said += [(8.9996, 0.49999), (9.0, 0.5), (6.0, 0.5), (6.0004, -1.0)]
    events = [answer(survey="nps", score=x, sentiment=y, moment="browse" if browse else "pay") for x, y in said]
    expected: Counter[str] = Counter()
    for x, y in said:
        if browse:
            expected["sentiment+" if y >= 0.5 else "sentiment-"] += 1
        else:
            milli = round(x * 1000)
            expected += Counter({"nps.n": 1, "nps.sum": milli, "nps.squares": milli * milli})
            expected += Counter({"nps.promoters": x >= 9, "nps+": x >= 9, "nps.detractors": x <= 6, "nps-": x <= 6})
    assert {f: n for (_, _, f), n in fields(*distinct(events)).items()} == dict(expected)


def test_answers_of_any_sentiment_are_few_codes_however_many_they_are() -> None:
    """A code is worked out slowly, and remembered."""
    tally = Tally(names.FEEDBACK, 0, ROUTES)
    said = [answer(moment="browse", survey="rating", score=1 + i % 5, sentiment=i / 1000) for i in range(1000)]
    said += [answer(moment="pay", score=1 + i % 5, sentiment=i / 1000) for i in range(1000)]
    said += [answer(moment="pay", survey="ces", score=1 + i / 500) for i in range(1000)]
    assert tally.run(records(distinct(said)), FAR_MS * 1000) == []
    codes = {moment: len(measured.codes) for moment, measured in tally.coder.measured.items()}
    assert codes == {"browse": 5 * 2, "pay": 5}  # good or bad; no signal wants sentiment, or ces


@pytest.mark.parametrize(("survey", "top"), [("csat", 5), ("nps", 10)])
def test_a_score_that_its_scale_does_not_have_is_refused_however_close_to_one_that_it_has(
    survey: str, top: int
) -> None:
    tally = Tally(names.FEEDBACK, 0, ROUTES)
    said = distinct([answer(survey=survey, score=s) for s in (top, top + 1e-9, top)])
    [(_, why)] = tally.run(records(said), FAR_MS * 1000)
    assert why.reason == names.BAD_FIELD
    assert tally.accepted == 2


def test_a_customer_counts_under_all_and_under_each_of_their_declared_dimensions() -> None:
    found = fields(touchpoint(segment={"region": "eu", "plan": "gold", "shoe": "42"}))
    assert found == {
        ("pay", "all", "outcome+"): 1,
        ("pay", "region=eu", "outcome+"): 1,
        ("pay", "plan=other", "outcome+"): 1,
    }


@pytest.mark.parametrize(
    ("event", "segment"),
    [
        (touchpoint(probe=True, segment={"region": "eu"}), "voice=probe"),
        (answer(score=5, voice="probe", segment={"region": "eu"}), "voice=probe"),
        (answer(score=5, voice="company", segment={"region": "eu"}), "voice=company"),
    ],
)
def test_a_probe_and_the_companys_voice_count_under_their_own_segment_only(event: Event, segment: str) -> None:
    assert {s for _, s, _ in fields(event)} == {segment}


def test_a_customer_cannot_speak_as_another_voice_through_the_segment() -> None:
    assert {s for _, s, _ in fields(touchpoint(segment={"voice": "company"}))} == {"all"}


def test_within_is_a_bucket_of_the_waits() -> None:
    declared = catalogue(TEXT.replace("within: 30s", "within: 45s")).moments["pay"].signals["wait"]
    assert wait_bounds(declared) == tuple(sorted([*WAIT_BUCKETS_S, 45.0]))
    assert wait_bounds(None) == ()


@given(st.lists(st.one_of(st.floats(0, 5000), st.sampled_from([1.0, 30.0, 3600.0, 3600.5]), st.just(1e300))))
def test_each_wait_is_in_the_first_bucket_that_holds_it_and_a_probe_in_none(waits: list[float]) -> None:
    events = [touchpoint(wait_s=w) for w in waits] + [touchpoint(wait_s=7, probe=True)]
    found = fields(*distinct(events))
    expected: Counter[str] = Counter()
    for w in waits:
        expected[f"wait.le.{min((b for b in WAIT_BUCKETS_S if w <= b), default=float('inf')):g}"] += 1
    assert {f: n for (_, _, f), n in found.items() if f.startswith("wait.le.")} == dict(expected)
    total = sum(min(w, 1e9) for w in waits)
    assert abs(found.get(("pay", "all", "wait.sum"), 0) / 1000 - total) <= 0.0005 * len(waits) + 1e-3


@settings(max_examples=150)
@given(st.lists(touchpoints(), max_size=15) | st.lists(answers(), max_size=15))
def test_good_and_bad_and_nothing_make_up_what_was_accepted(events: list[Event]) -> None:
    if not events:
        return
    events = sorted(distinct(events), key=lambda e: str(e["time"]))
    source = (KIND[events[0]["type"]], 0)
    expected = Expected(ROUTES.catalogue)
    expected.read(source, events)
    tally = Tally(*source, ROUTES)
    tally.run(records(events), FAR_MS * 1000)
    tally.flush("f", snapshot=False)
    assert tally.accepted == len(events)
    for (moment, segment, field), i in tally.ledger.lanes.items():
        if field[-1] == "+" and segment in ("all", "voice=probe", "voice=company"):
            signal = field[:-1]
            totals = expected.totals()
            good, bad = totals[moment, segment, signal, "good"], totals[moment, segment, signal, "bad"]
            assert int(tally.ledger.totals[i]) == good
            other = tally.ledger.lanes.get((moment, segment, signal + "-"))
            assert (0 if other is None else int(tally.ledger.totals[other])) == bad
