"""SIGNALS: what one event says, as good, bad or nothing.

An event is first *observed*: reduced to a small key that holds all that any signal could want of it. Keys repeat,
so what follows from one (`touchpoint_fields`, `answer_fields`) is worked out once a key and not once an event.
A *field* is the name of one number that is counted: `outcome+` good, `outcome-` bad, `csat.n`, `wait.le.30` …
Every field only ever grows, which is what lets the health stage merge tallies by their maximum.
"""

import datetime as dt
from bisect import bisect_left
from typing import Final

from streams.catalogue import DEFAULT_GOOD, Signal
from streams.events import AnswerData, TouchpointData

NPS_BAD: Final = 6.0  # a detractor; up to `good` lies the passive, who is neither

# Buckets of `cx_wait_seconds`; a moment's own `within` is added.
WAIT_BUCKETS_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
MAX_WAIT_S: Final = 1e9  # what one wait can add to the sum

Amounts = dict[str, int]  # field → what one event adds to it


def good(signal: str) -> str:
    """The field that counts a signal's good events."""
    return signal + "+"


def bad(signal: str) -> str:
    """The field that counts a signal's bad events."""
    return signal + "-"


# After a field: events that came late and so left the step of their time, or came in the step of their arrival.
LEFT: Final = "<"
CAME: Final = ">"


def wait_bounds(signal: Signal | None) -> tuple[float, ...]:
    """The histogram's upper bounds in seconds for a moment's `wait` signal; none without the signal."""
    if signal is None or signal.within is None:
        return ()
    return tuple(sorted({*WAIT_BUCKETS_S, signal.within}))


def observe(d: TouchpointData, time: dt.datetime, bounds: tuple[float, ...], duration_within: float | None) -> int:
    """A touchpoint's key: bit 0 failed; 1–2 need met, unmet; 3–4 promise kept, broken; 5–6 duration within,
    beyond; 7 probe; from 8 on the wait's bucket, counted from 1."""
    key = 0 if d.outcome == "ok" else 1
    if d.need_met is not None:
        key |= 2 if d.need_met else 4
    if d.promised_by is not None:
        key |= 8 if not key & 1 and time <= d.promised_by else 16
    if duration_within is not None and d.duration_s is not None:
        key |= 32 if d.duration_s <= duration_within else 64
    if d.probe:
        key |= 128
    if bounds and d.wait_s is not None:
        key |= (bisect_left(bounds, d.wait_s) + 1) << 8
    return key


def touchpoint_fields(key: int, signals: dict[str, Signal], bounds: tuple[float, ...]) -> tuple[Amounts, Amounts]:
    """What a touchpoint of this key adds to each series of its moment, and to the moment as a whole."""
    verdicts = {
        "outcome": not key & 1,
        "need": _verdict(key & 2, key & 4),
        "promise": _verdict(key & 8, key & 16),
        "duration": _verdict(key & 32, key & 64),
    }
    whole: Amounts = {}
    bucket = key >> 8
    if bucket and bounds:
        bound = bounds[bucket - 1] if bucket <= len(bounds) else float("inf")
        within = signals["wait"].within
        verdicts["wait"] = within is not None and bound <= within
        if not key & 128:
            whole[wait_field(bound)] = 1
    return {_field(s, v): 1 for s, v in verdicts.items() if v is not None and s in signals}, whole


def wait_field(bound: float) -> str:
    """The field of one histogram bucket."""
    return "wait.le." + repr(bound).removesuffix(".0")


WAIT_SUM: Final = "wait.sum"  # milliseconds


def wait_ms(wait_s: float) -> int:
    """What one wait adds to `WAIT_SUM`."""
    return round(min(wait_s, MAX_WAIT_S) * 1000)


# Survey, voice, score in thousandths, whether it is good, 1 for a promoter and -1 for a detractor, good sentiment.
AnswerKey = tuple[str, str, int | None, bool, int, bool | None]


def observe_answer(d: AnswerData, signals: dict[str, Signal]) -> AnswerKey:
    """An answer's key: what its moment's signals make of the numbers, hardly two of which are the same."""
    survey, score, sentiment = d.survey, d.score, d.sentiment
    milli, verdict, promoter, happy = None, False, 0, None
    if score is not None and (signal := signals.get(survey)) is not None:
        milli, verdict = round(score * 1000), _is_good(signal, score)
        if survey == "nps":
            promoter = (score >= DEFAULT_GOOD["nps"]) - (score <= NPS_BAD)
    if sentiment is not None and (signal := signals.get("sentiment")) is not None:
        happy = _is_good(signal, sentiment)
    return survey, d.voice, milli, verdict, promoter, happy


def answer_fields(key: AnswerKey, signals: dict[str, Signal]) -> Amounts:
    """What an answer of this key adds to each series of its moment."""
    survey, _, milli, verdict, promoter, happy = key
    out: Amounts = {}
    if survey in ("complaint", "praise"):
        if "complaint" in signals:
            out[_field("complaint", survey == "praise")] = 1
    elif milli is not None:
        if verdict or survey != "nps" or promoter < 0:
            out[_field(survey, verdict)] = 1
        out |= {f"{survey}.n": 1, f"{survey}.sum": milli, f"{survey}.squares": milli * milli}
        if survey == "nps":
            out |= {"nps.promoters": int(promoter > 0), "nps.detractors": int(promoter < 0)}
    if happy is not None:
        out[_field("sentiment", happy)] = 1
    return {f: n for f, n in out.items() if n}


def windowed(field: str) -> bool:
    """Whether a field is kept by bucket; the histogram of waits only has totals."""
    return not field.startswith("wait.")


def _is_good(signal: Signal, value: float) -> bool:
    return value >= (DEFAULT_GOOD[signal.name] if signal.good is None else signal.good)


def _verdict(yes: int, no: int) -> bool | None:
    return True if yes else False if no else None


def _field(signal: str, verdict: bool | None) -> str:
    return good(signal) if verdict else bad(signal)
