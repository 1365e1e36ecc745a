"""board.py, what is told of a moment; and facts.js, what the page makes of it; each against a truth of its own."""

import itertools
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.api import ACTIONS
from agents.web import BOARD
from streams.board import SEGMENTS, hours, summaries
from streams.health import Health
from streams.moles import STATES, TRANSITIONS
from streams.view import view
from tests.core import HOUR_S, Event, touchpoint
from tests.npm import npm_packages
from tests.test_view import ONE, health_of

PACKAGES = Path(__file__).parent / "board"


def told(health: Health) -> dict[str, dict[str, Any]]:
    """Every moment's summary."""
    v = view(health)
    recent = {(m, g): hours(health, m, g) for m, segment, g in v.series if segment == "all"}
    return {m: orjson.loads(s) for m, s in summaries(v, ONE.catalogue, recent).items()}


def signal(summary: dict[str, Any], name: str) -> dict[str, Any]:
    return next(s for s in summary["signals"] if s["signal"] == name)


@given(st.lists(st.tuples(st.integers(0, 30 * HOUR_S), st.booleans()), max_size=60))
@settings(max_examples=30)
def test_the_hours_of_a_signal_are_the_last_24_of_the_clock(seen: list[tuple[int, bool]]) -> None:
    seen = sorted(seen)  # so that none is too late
    health = health_of([touchpoint(at_s=at, outcome="ok" if good else "failed") for at, good in seen])
    if not seen:
        return
    newest = seen[-1][0] // HOUR_S
    #   hour  newest−23  …  newest      each [good, bad]
    expected = [
        [sum(g is want for at, g in seen if at // HOUR_S == h) for want in (True, False)]
        for h in range(newest - 23, newest + 1)
    ]
    assert signal(told(health)["pay"], "outcome")["hours"] == expected


def test_a_declared_moment_brings_its_catalogue_and_a_discovered_one_says_that_nobody_declared_it() -> None:
    found = told(health_of([touchpoint(), touchpoint(moment="new")]))
    assert (found["pay"]["title"], found["pay"]["tier"], found["pay"]["declared"]) == ("Pay", "game-over", True)
    assert (found["new"]["title"], found["new"]["tier"], found["new"]["declared"]) == ("new", "tolerable", False)
    assert [s["signal"] for s in found["new"]["signals"]] == ["outcome"]


def test_segments_are_those_that_hurt_the_worst_first_and_at_most_ten() -> None:
    def customers(region: str, bad: int) -> list[Event]:
        return [touchpoint(segment={"region": region}, outcome="failed" if i < bad else "ok") for i in range(20)]

    found = told(health_of(customers("eu", 2) + customers("us", 9) + customers("asia", 0)))["pay"]
    shown = [(s["segment"], s["bad"]) for s in found["segments"]]
    assert shown == [("region=us", 9), ("region=eu", 2)]
    wide = [touchpoint(moment=f"m{i}", outcome="failed", need_met=False, segment={"region": "eu"}) for i in range(3)]
    assert all(len(m["segments"]) <= SEGMENTS for m in told(health_of(wide)).values())


def test_the_vendored_modules_are_the_packages_of_the_lock_file_byte_for_byte(
    require_tools: Callable[..., None],
) -> None:
    require_tools("npm")
    packages = npm_packages(PACKAGES) / "node_modules"
    for name in ("preact", "htm"):
        for mine, theirs in ((f"{name}.mjs", f"dist/{name}.mjs"), (f"{name}.LICENSE", "LICENSE")):
            assert (BOARD / "vendor" / mine).read_bytes() == (packages / name / theirs).read_bytes()


def test_the_page_asks_for_nothing_from_elsewhere_and_makes_no_markup_of_text() -> None:
    ours = [f for f in BOARD.glob("*") if f.suffix in (".js", ".html", ".css")]
    assert len(ours) >= 5
    for file in ours:
        text = file.read_text()
        assert not re.search(r"""(?:src|href|url|import|fetch|from)\W{1,3}(?:https?:)?//""", text), file
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|style=", text), file


# What the page makes of it

EVALUATE = """
import * as facts from %s;
import { readFileSync } from "node:fs";
const asked = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(asked.map(([name, ...args]) =>
  typeof facts[name] === "function" ? facts[name](...args) : facts[name])));
"""


@pytest.fixture(scope="module")
def facts(require_tools: Callable[..., None]) -> Callable[..., list[Any]]:
    """Calls functions of facts.js, all in one process: [name, argument…] each."""
    require_tools("node")

    def call(*asked: list[Any]) -> list[Any]:
        script = EVALUATE % json.dumps((BOARD / "facts.js").as_uri())
        done = subprocess.run(
            ["node", "--input-type=module", "-e", script],
            input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    return call


def test_the_page_offers_just_what_a_moles_state_allows(facts: Callable[..., list[Any]]) -> None:
    (offered,) = facts(["ACTIONS"])
    assert set(offered) == set(STATES)
    for state in STATES:
        allowed = set(TRANSITIONS[state]) & set(ACTIONS)
        assert set(offered[state]) == allowed, state


def mole(tier: str, state: str, popped: int, moment: str = "pay") -> dict[str, Any]:
    at = f"2026-11-22T05:{popped:02}:00Z"
    whacked = at if state == "whacked" else None
    return {"id": f"{tier}{state}{popped}", "tier": tier, "state": state, "popped": at, "whacked": whacked,
            "moment": moment, "linked": []}  # fmt: skip


def test_moles_come_worst_tier_first_then_those_that_nobody_looks_after_then_the_newest(
    facts: Callable[..., list[Any]],
) -> None:
    tiers, states = ("game-over", "important", "tolerable"), ("popped", "acknowledged", "whacked")
    all_of_them = [mole(*x) for x in itertools.product(reversed(tiers), reversed(states), (1, 2))]
    up, lately = facts(["up", all_of_them], ["lately", all_of_them])
    assert [(m["tier"], m["state"], m["popped"][14:16]) for m in up] == [
        (tier, state, popped) for tier in tiers for state in states[:2] for popped in ("02", "01")
    ]
    assert {m["state"] for m in lately} == {"whacked"}
    assert [m["popped"] for m in lately] == sorted((m["popped"] for m in lately), reverse=True)


def test_a_moment_with_a_mole_comes_before_one_that_burns_and_that_before_the_calm_ones(
    facts: Callable[..., list[Any]],
) -> None:
    def moment(name: str, low: float) -> dict[str, Any]:
        return {"moment": name, "title": name, "tier": "important", "signals": [{"burn_rate_low": {"1h": low}}]}

    moments = [moment("a-calm", 0), moment("b-calm", 0.9), moment("c-burning", 1), moment("d-hurt", 0)]
    ((found,),) = facts(["tiers", moments, [mole("important", "popped", 1, "d-hurt")]])
    assert found[0] == "important"
    assert [m["moment"] for m in found[1]] == ["d-hurt", "c-burning", "a-calm", "b-calm"]


SPANS = {0: "0 s", 59: "59 s", 60: "1 min", 119: "1 min", 3600: "1 h", 4800: "1 h 20 min", 86_399: "23 h 59 min",
         86_400: "1 d", 97_200: "1 d 3 h", -5: "0 s"}  # fmt: skip


def test_spans_and_shares_are_said_as_people_say_them(facts: Callable[..., list[Any]]) -> None:
    assert facts(*(["span", s] for s in SPANS)) == list(SPANS.values())
    said = facts(["objective", 0.995], ["objective", 0.9], ["percent", 0.5], ["percent", 0.004], ["percent", 0])
    assert said == ["99.5 %", "90 %", "50 %", "0.4 %", "0 %"]


def test_numbers_have_their_thousands_apart(facts: Callable[..., list[Any]]) -> None:
    numbers = [0, 7, 999, 1000, 12_345, 1_234_567, 10**12]
    assert facts(*(["number", n] for n in numbers)) == [f"{n:,}" for n in numbers]


def test_a_sparkline_has_a_bar_for_each_hour_with_events_above_the_line_where_it_burns(
    facts: Callable[..., list[Any]],
) -> None:
    rows = [[0, 0], [99, 1], [94, 6], [0, 0], [0, 40]]  # at 95 %: none, 0.2, 1.2, none, 20 (drawn as 10)
    found, nothing = facts(["spark", rows, 0.95], ["spark", [[0, 0]] * 24, 0.95])
    bars = {name: re.findall(r"M([\d.]+) 24V([\d.]+)", found[name]) for name in ("within", "beyond")}
    assert [float(x) for x, _ in bars["within"]] == [5.5]
    assert [float(x) for x, _ in bars["beyond"]] == [9.5, 17.5]
    top = {float(x): float(y) for x, y in bars["within"] + bars["beyond"]}
    assert top[17.5] == 0
    assert 0 < top[9.5] < found["allowed"]
    assert top[5.5] > found["allowed"]
    assert found["words"] == "Burn rate by hour: at most 20.0×, now"
    assert nothing is None
