"""The catalogue: what parses, and what its parts may say."""

import re
from pathlib import Path

import pytest

from streams.catalogue import Catalogue, ClosedLoop, Dimension, Discovered, Journey, Moment, Signal, notes, parse
from tests.catalogues import CONTRACT, FLIGHTS, HEAD, only_problem, with_signal

EXAMPLE = Path(__file__).parent.parent / "deploy" / "moments.yaml"


def test_the_example_of_the_contract_parses_exactly() -> None:
    assert parse(CONTRACT, "moments.yaml") == Catalogue(
        name="shop",
        budget_period=28 * 86400.0,
        allowed_lateness=3600.0,
        dimensions={
            "region": Dimension("region", 20, None),
            "plan": Dimension("plan", 2, ("free", "pro")),
        },
        discovered=Discovered("tolerable", 50, 0.9),
        moments={
            "checkout-payment": Moment(
                name="checkout-payment",
                title="Pay for the order",
                tier="game-over",
                phase="during",
                owner="payments",
                runbook="https://example.com/runbooks/checkout-payment",
                signals={
                    "outcome": Signal("outcome", 0.995, None, None),
                    "need": Signal("need", 0.97, None, None),
                    "wait": Signal("wait", 0.95, 30.0, None),
                    "promise": Signal("promise", 0.97, None, None),
                    "csat": Signal("csat", 0.8, None, 4.0),
                },
            )
        },
        journeys={
            "purchase": Journey(
                "purchase", ("browse", "checkout-payment", "dispatch", "delivery"), "delivery", 14 * 86400.0
            )
        },
        closed_loop=ClosedLoop(("support-callback",), 86400.0, 30 * 86400.0),
    )


def test_the_flights_parse_with_an_alias_for_what_both_moments_share() -> None:
    flights = parse(FLIGHTS, "flights.yaml")
    both = {name: Signal(name, 0.9, None, None) for name in ("outcome", "promise")}
    assert {m.name: m.signals for m in flights.moments.values()} == {"departure": both, "arrival": both}
    assert [(d.name, d.limit) for d in flights.dimensions.values()] == [
        ("carrier", 200),
        ("origin", 200),
        ("dest", 200),
    ]
    assert flights.moments["arrival"].phase is None


def test_the_demo_catalogue_has_all_tiers_and_phases_and_declares_what_it_names() -> None:
    shop = parse(EXAMPLE.read_text("utf-8"), str(EXAMPLE))
    assert shop.name == "shop"
    assert len(shop.moments) >= 8
    assert {m.tier for m in shop.moments.values()} == {"game-over", "important", "tolerable"}
    assert {m.phase for m in shop.moments.values()} == {"before", "during", "after"}
    assert all(m.runbook for m in shop.moments.values() if m.tier != "tolerable")
    assert shop.moments["support-call"].signals["wait"].within == 30.0
    assert notes(shop) == []


def test_everything_optional_has_the_defaults_of_the_contract() -> None:
    least = parse(HEAD, "moments.yaml")
    assert (least.budget_period, least.allowed_lateness) == (28 * 86400.0, 3600.0)
    assert least.discovered == Discovered("tolerable", 50, 0.9)
    assert (least.dimensions, least.journeys, least.closed_loop) == ({}, {}, None)
    pay = least.moments["pay"]
    assert (pay.phase, pay.owner, pay.runbook) == (None, None, None)


def test_discovered_takes_a_part_of_its_keys_and_a_limit_of_nothing() -> None:
    assert parse(HEAD + "discovered: {limit: 0}\n", "f").discovered == Discovered("tolerable", 0, 0.9)


@pytest.mark.parametrize(
    ("signal", "good"),
    [
        ("csat: {objective: 80%}", 4.0),
        ("rating: {objective: 80%}", 4.0),
        ("ces: {objective: 80%}", 5.0),
        ("nps: {objective: 80%}", 9.0),
        ("sentiment: {objective: 80%}", 0.0),
        ("sentiment: {objective: 80%, good: -0.25}", -0.25),
        ("nps: {objective: 80%, good: 10}", 10.0),
        ("complaint: {objective: 80%}", None),
    ],
)
def test_a_good_score_is_the_one_given_or_the_default_of_its_scale(signal: str, good: float | None) -> None:
    (parsed,) = parse(with_signal(signal), "f").moments["pay"].signals.values()
    assert parsed.good == good


@pytest.mark.parametrize("name", ["wait", "duration"])
def test_a_wait_and_a_duration_need_within(name: str) -> None:
    problem = only_problem(with_signal(f"{name}: {{objective: 95%}}"))
    assert (problem.line, problem.key, problem.found) == (8, f"moments.pay.signals.{name}.within", "nothing")


@pytest.mark.parametrize(
    "name", ["outcome", "need", "promise", "csat", "nps", "ces", "rating", "sentiment", "complaint"]
)
def test_within_is_refused_where_nothing_is_timed(name: str) -> None:
    problem = only_problem(with_signal(f"{name}: {{objective: 95%, within: 5s}}"))
    assert (problem.line, problem.key) == (8, f"moments.pay.signals.{name}.within")
    assert problem.found == "'5s'"
    assert "only wait and duration" in problem.expected


@pytest.mark.parametrize("name", ["outcome", "need", "promise", "complaint", "wait", "duration"])
def test_good_is_refused_where_nothing_is_scored(name: str) -> None:
    within = ", within: 5s" if name in ("wait", "duration") else ""
    problem = only_problem(with_signal(f"{name}: {{objective: 95%, good: 4{within}}}"))
    assert (problem.key, problem.found) == (f"moments.pay.signals.{name}.good", "4")
    assert "only csat, nps, ces, rating, sentiment have a score" in problem.expected


@pytest.mark.parametrize(
    "case",
    [f"csat {good}" for good in ("0", "6", "four", '"4"', "yes", ".nan", "")]
    + [f"nps {good}" for good in ("-1", "11")]
    + ["rating 5.5", "ces 8", "sentiment 1.1"],
)
def test_a_good_score_outside_its_scale_is_refused(case: str) -> None:
    name, good = case.split(" ")
    problem = only_problem(with_signal(f"{name}: {{objective: 95%, good: {good}}}"))
    assert (problem.line, problem.key) == (8, f"moments.pay.signals.{name}.good")
    assert re.fullmatch(r"a number from -?\d+ to \d+", problem.expected)


def test_no_lateness_and_no_segments_are_fine() -> None:
    catalogue = parse(HEAD + "allowed_lateness: 0s\nsegments: {}\njourneys: {}\n", "f")
    assert (catalogue.allowed_lateness, catalogue.dimensions, catalogue.journeys) == (0.0, {}, {})


def test_a_route_may_name_a_moment_that_is_yet_to_be_discovered_and_a_note_says_so() -> None:
    journey = "journeys: {buy: {route: [pay, pya], goal: pay, abandon_after: 1d}}\n"
    loop = "closed_loop: {follow_up_moments: [callback], within: 1h, silent_after: 1d}\n"
    assert notes(parse(HEAD + journey + loop, "f")) == [
        "journeys.buy.route: pya is not declared and counts once it is discovered (did you mean pay?)",
        "closed_loop.follow_up_moments: callback is not declared and counts once it is discovered",
    ]
