"""The catalogue: what parses; and for what does not, the line, the key and what to write instead."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.candidates import COUNTED
from streams.catalogue import (
    Catalogue,
    ClosedLoop,
    Dimension,
    Discovered,
    Journey,
    Moment,
    Signal,
    notes,
    parse,
)
from streams.cost import by_kind, samples, segments
from streams.errors import CatalogueError, Problem
from streams.moles import Kind
from streams.yaml_tree import MAX_CHARACTERS

EXAMPLE = Path(__file__).parent.parent / "deploy" / "moments.yaml"

CONTRACT = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
budget_period: 28d             # default 28d
allowed_lateness: 1h           # default 1h
segments:                      # dimensions; label values are bounded or refused
  region: {limit: 20}
  plan: {values: [free, pro]}
discovered: {tier: tolerable, limit: 50, objective: 90%}      # optional, these defaults
moments:                       # required; in a moment: title, tier, signals; the rest optional
  checkout-payment:
    title: Pay for the order
    tier: game-over            # game-over pages · important opens a ticket · tolerable shows on the board
    phase: during              # before · during · after the transaction
    owner: payments
    runbook: https://example.com/runbooks/checkout-payment
    signals:
      outcome: {objective: 99.5%}
      need:    {objective: 97%}
      wait:    {objective: 95%, within: 30s}
      promise: {objective: 97%}
      csat:    {objective: 80%, good: 4}          # score ≥ good
journeys:                      # optional
  purchase: {route: [browse, checkout-payment, dispatch, delivery], goal: delivery, abandon_after: 14d}
closed_loop: {follow_up_moments: [support-callback], within: 24h, silent_after: 30d}      # optional
"""

FLIGHTS = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: flights}
segments:
  carrier: {limit: 200}
  origin: {limit: 200}
  dest: {limit: 200}
moments:
  departure:
    title: Leave on time
    tier: game-over
    signals: &both
      outcome: {objective: 90%}
      promise: {objective: 90%}
  arrival:
    title: Arrive when promised
    tier: game-over
    signals: *both
"""

# Ten lines, so that whatever a test adds begins on line 11.
HEAD = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
moments:
  pay:
    title: Pay
    tier: important
    signals: {outcome: {objective: 99%}}
  # the moments
  # end here
"""


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(CatalogueError) as caught:
        parse(text, "moments.yaml")
    assert str(caught.value).splitlines() == [p.render("moments.yaml") for p in caught.value.problems]
    return caught.value.problems


def only_problem(text: str) -> Problem:
    problems = problems_of(text)
    assert len(problems) == 1, problems
    return problems[0]


def head(line: str, instead: str) -> str:
    assert HEAD.count(line) == 1
    return HEAD.replace(line, instead)


def more(lines: str) -> str:
    return f"{HEAD}{lines}\n"


def with_signal(signal: str) -> str:
    return head("{outcome: {objective: 99%}}", "{" + signal + "}")


def with_objective(objective: str) -> str:
    return with_signal(f"outcome: {{objective: {objective}}}")


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


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("24h", 86400.0),
        ("28d", 28 * 86400.0),
        ("1.5h", 5400.0),
        ("0.1s", 0.1),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("2w", 14 * 86400.0),
        ('"30s"', 30.0),
    ],
)
def test_a_duration_has_a_unit(written: str, seconds: float) -> None:
    text = with_signal(f"wait: {{objective: 95%, within: {written}}}")
    assert parse(text, "f").moments["pay"].signals["wait"].within == seconds


@pytest.mark.parametrize(
    ("written", "found", "expected"),
    [
        ("30", "30 (no unit)", "unit"),
        ('"30"', "30 (no unit)", "unit"),
        ("1:30", "1:30 (no unit)", "unit"),  # to YAML 1.1 the number 90
        ("0s", "'0s'", "more than 0s"),
        ("-5m", "'-5m'", "a duration such as 30s"),
        ("soon", "'soon'", "a duration such as 30s"),
        ("30 s", "'30 s'", "a duration such as 30s"),
        ("5M", "'5M'", "a duration such as 30s"),
        ("1y", "'1y'", "a duration such as 30s"),
        ("99999d", "'99999d'", "at most 3650d"),
        (".inf", ".inf (no unit)", "unit"),
        ("", "nothing", "a duration such as 30s"),
        ("yes", "yes (to YAML a boolean)", "a duration such as 30s"),
        ("[30s]", "a list", "a duration such as 30s"),
    ],
)
def test_a_duration_that_cannot_be_used_says_what_to_write(written: str, found: str, expected: str) -> None:
    problem = only_problem(with_signal(f"wait: {{objective: 95%, within: {written}}}"))
    assert (problem.line, problem.key) == (8, "moments.pay.signals.wait.within")
    assert problem.found == found
    assert expected in problem.expected


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


@pytest.mark.parametrize(
    ("written", "share"),
    [("99.5%", 0.995), ("90%", 0.9), ('"50 %"', 0.5), ("0.01%", 0.0001), ("99.999%", 0.99999)],
)
def test_an_objective_is_the_nearest_share_to_its_percent(written: str, share: float) -> None:
    assert parse(with_objective(written), "f").moments["pay"].signals["outcome"].objective == share


@pytest.mark.parametrize("written", ["100%", "100.0%", "99.99999999999999999%", "100.00000000000000000001%"])
def test_perfection_is_refused_with_the_reason(written: str) -> None:
    problem = only_problem(with_objective(written))
    assert (problem.line, problem.key) == (8, "moments.pay.signals.outcome.objective")
    assert problem.found == f"'{written}'"
    assert "perfection leaves no error budget" in problem.expected
    assert "Perfection is a myth" in problem.expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0%", "more than 0%"),
        ("-5%", "more than 0%"),
        ("0." + "0" * 400 + "1%", "more than 0%"),
        ("100.1%", "less than 100%"),
        ("9" * 400 + "%", "less than 100%"),
        ("0.995", "a percent sign as well, such as 99.5%"),
        ("99", "a percent sign as well, such as 99.5%"),
        ('"99.5"', "a percent such as 99.5%"),
        ("99,5%", "a percent such as 99.5%"),
        ("99.5%%", "a percent such as 99.5%"),
        ("٩٩%", "a percent such as 99.5%"),
        ("true", "a percent such as 99.5%"),
        ("", "a percent such as 99.5%"),
    ],
)
def test_an_objective_that_cannot_be_used_says_what_to_write(written: str, expected: str) -> None:
    problem = only_problem(with_objective(f'"{written}"' if "," in written else written))
    assert (problem.line, problem.key) == (8, "moments.pay.signals.outcome.objective")
    assert expected in problem.expected


# Each row: what is wrong | the catalogue | line | key | in what was found | in what was expected.
# fmt: off
BEFORE_MOMENTS = HEAD[: HEAD.index("moments")]
SIGNAL = "moments.pay.signals"
PROBLEMS: list[tuple[str, str, int, str, str, str]] = [
    ("another version", head("molehill/v1", "molehill/v2"), 1, "apiVersion", "'molehill/v2'", "molehill/v1"),
    ("another kind", head("kind: Catalogue", "kind: catalogue"), 2, "kind", "'catalogue'", "Catalogue"),
    ("no kind", head("kind: Catalogue\n", ""), 1, "kind", "nothing", "required"),
    ("no name", head("{name: shop}", "{}"), 3, "metadata.name", "nothing", "required"),
    ("a spaced name", head("{name: shop}", "{name: my shop}"), 3, "metadata.name", "'my shop'", "letters"),
    ("metadata a text", head("{name: shop}", "shop"), 3, "metadata", "'shop'", "a mapping with the keys"),
    ("an unknown key", more("budget: 28d"), 11, "budget", "unknown key 'budget'", "budget_period?"),
    ("a key far from any", more("zzz: 1"), 11, "zzz", "unknown key 'zzz'", "one of apiVersion, kind"),
    ("a key that is no string", more("no: 1"), 11, "no", "no (to YAML a boolean)", "one of apiVersion"),
    ("a repeated key", more("kind: Catalogue"), 11, "kind", "the key again (first on line 2)", "once"),
    ("a repeated moment", more("  pay: {}"), 11, "moments.pay", "again (first on line 5)", "once"),
    ("no moments", BEFORE_MOMENTS, 1, "moments", "nothing", "required"),
    ("moments empty", BEFORE_MOMENTS + "moments: {}\n", 4, "moments", "none", "at least one"),
    ("moments null", BEFORE_MOMENTS + "moments:\n", 4, "moments", "nothing", "a mapping"),
    ("moments a list", BEFORE_MOMENTS + "moments: [a]\n", 4, "moments", "a list", "a mapping"),
    ("no title", head("    title: Pay\n", ""), 5, "moments.pay.title", "nothing", "required"),
    ("no tier", head("    tier: important\n", ""), 5, "moments.pay.tier", "nothing", "required"),
    ("unmeasured", head("    signals: {outcome: {objective: 99%}}\n", ""), 5, SIGNAL, "nothing", "required"),
    ("signals empty", with_signal(""), 8, SIGNAL, "none", "at least one of outcome"),
    ("a signal", with_signal("outcom: {objective: 9%}"), 8, f"{SIGNAL}.outcom", "key", "mean outcome"),
    ("a bare objective", with_signal("outcome: 99%"), 8, f"{SIGNAL}.outcome", "'99%'", "{objective: 99%}"),
    ("no objective", with_signal("need: {}"), 8, f"{SIGNAL}.need.objective", "nothing", "required"),
    ("an unquoted title", head("Pay\n", "404\n"), 6, "moments.pay.title", "404", 'quotes, "404"'),
    ("an empty title", head("Pay\n", '""\n'), 6, "moments.pay.title", "''", "one line"),
    ("two lines", head("Pay\n", '"a\\nb"\n'), 6, "moments.pay.title", r"'a\nb'", "one line"),
    ("a lone surrogate", head("Pay\n", '"\\ud800"\n'), 6, "moments.pay.title", r"'\ud800'", "printable"),
    ("a tier", head("important", "imporant"), 7, "moments.pay.tier", "'imporant'", "important?"),
    ("phase", head("    tier", "    phase: later\n    tier"), 7, "moments.pay.phase", "'later'", "before"),
    ("a path", head("    tier", "    runbook: /wiki\n    tier"), 7, "moments.pay.runbook", "'/wiki'", "http"),
    ("script", head("    tier", "    runbook: javascript:x\n    tier"), 7, "moments.pay.runbook", "", "http"),
    ("no host", head("    tier", "    runbook: https://\n    tier"), 7, "moments.pay.runbook", "", "http"),
    ("bad host", head("    tier", '    runbook: "http://["\n    tier'), 7, "moments.pay.runbook", "", "http"),
    ("port", head("    tier", "    runbook: http://h:99999\n    tier"), 7, "moments.pay.runbook", "", "http"),
    ("the moment other", head("  pay:", "  other:"), 5, "moments.other", "'other'", "reserved"),
    ("a moment in capitals", head("  pay:", "  Pay:"), 5, "moments.Pay", "'Pay'", "lower-case"),
    ("a long moment", head("  pay:", f"  {'x' * 65}:"), 5, "moments.", "xxx", "1 to 64"),
    ("a numeric moment", head("  pay:", "  404:"), 5, "moments.404", "404", 'quotes, "404"'),
    ("an unquoted yes", head("  pay:", "  yes:"), 5, "moments.yes", "to YAML a boolean", 'quotes, "yes"'),
    ("half hours", more("budget_period: 72.5h"), 11, "budget_period", "'72.5h'", "whole number"),
    ("short", more("budget_period: 2d"), 11, "budget_period", "'2d'", "at least 3d and at most 366d"),
    ("a long period", more("budget_period: 367d"), 11, "budget_period", "'367d'", "at most 366d"),
    ("a bare period", more("budget_period: 28"), 11, "budget_period", "28 (no unit)", "28d"),
    ("late", more("allowed_lateness: 32d"), 11, "allowed_lateness", "'32d'", "at most 31d"),
    ("voice", more("segments: {voice: {limit: 3}}"), 11, "segments.voice", "'voice'", "reserved"),
    ("a dash", more("segments: {a-b: {limit: 3}}"), 11, "segments.a-b", "'a-b'", "letters, digits"),
    ("unbounded", more("segments:\n  plan: {}"), 12, "segments.plan", "neither", "exactly one"),
    ("twice", more("segments: {p: {limit: 1, values: [a]}}"), 11, "segments.p", "both", "exactly one"),
    ("a limit of 0", more("segments: {p: {limit: 0}}"), 11, "segments.p.limit", "0", "from 1 to 10000"),
    ("a limit too high", more("segments: {p: {limit: 10001}}"), 11, "segments.p.limit", "10001", "to 10000"),
    ("a limit of yes", more("segments: {p: {limit: yes}}"), 11, "segments.p.limit", "boolean", "whole"),
    ("a limit with a part", more("segments: {p: {limit: 2.0}}"), 11, "segments.p.limit", "2.0", "whole"),
    ("an octal limit", more("segments: {p: {limit: 010}}"), 11, "segments.p.limit", "010", "whole"),
    ("no values", more("segments: {p: {values: []}}"), 11, "segments.p.values", "an empty list", "one"),
    ("values a text", more("segments: {p: {values: a}}"), 11, "segments.p.values", "'a'", "a list"),
    ("Norway", more("segments: {p: {values: [se, no]}}"), 11, "segments.p.values[1]", "no (to", '"no"'),
    ("a number", more("segments: {p: {values: [1]}}"), 11, "segments.p.values[0]", "1", 'quotes, "1"'),
    ("a date", more("segments: {p: {values: [2020-01-01]}}"), 11, "segments.p.values[0]", "date", "quotes"),
    ("an empty value", more('segments: {p: {values: [""]}}'), 11, "segments.p.values[0]", "''", "one line"),
    ("a padded value", more('segments: {p: {values: [" a"]}}'), 11, "segments.p.values[0]", "' a'", "spaces"),
    ("a repeat", more("segments: {p: {values:\n  [a,\n  a]}}"), 13, "segments.p.values[1]", "'a'", "line 12"),
    ("a limit below 0", more("discovered: {limit: -1}"), 11, "discovered.limit", "-1", "from 0 to 10000"),
    ("perfect", more("discovered: {objective: 100%}"), 11, "discovered.objective", "'100%'", "perfection"),
    ("a tag", more("discovered: {tier: !x a}"), 11, "discovered.tier", "a tagged value ('a')", "game-over"),
    ("segments null", more("segments:"), 11, "segments", "nothing", "a mapping of dimensions"),
    ("a merge key", more("discovered: {<<: {limit: 1}}"), 11, "discovered.<<", "a merge key", "written out"),
]
TIMES = "goal: pay, abandon_after: 1d"
JOURNEYS: list[tuple[str, str, str, str, str]] = [
    ("no goal", "route: [pay], abandon_after: 1d", "goal", "nothing", "required"),
    ("no abandon_after", "route: [pay], goal: pay", "abandon_after", "nothing", "required"),
    ("no route", TIMES, "route", "nothing", "required"),
    ("an empty route", f"route: [], {TIMES}", "route", "an empty list", "at least one"),
    ("a route of text", f"route: pay, {TIMES}", "route", "'pay'", "a list of moments"),
    ("a moment twice", f"route: [pay, pay], {TIMES}", "route[1]", "'pay'", "each one once"),
    ("far goal", "route: [pay], goal: payed, abandon_after: 1d", "goal", "'payed'", "did you mean pay?"),
    ("other on the route", f"route: [pay, other], {TIMES}", "route[1]", "'other'", "reserved"),
    ("no slug on the route", f"route: [pay, A], {TIMES}", "route[1]", "'A'", "lower-case"),
    ("a bare time", "route: [pay], goal: pay, abandon_after: 1", "abandon_after", "1 (no unit)", "unit"),
]
LOOPS: list[tuple[str, str, str, str, str]] = [
    ("no follow-ups", "within: 1h, silent_after: 1d", "follow_up_moments", "nothing", "required"),
    ("none", "follow_up_moments: [], within: 1h, silent_after: 1d", "follow_up_moments", "empty", "one"),
    ("no within", "follow_up_moments: [pay], silent_after: 1d", "within", "nothing", "required"),
    ("no silent_after", "follow_up_moments: [pay], within: 1h", "silent_after", "nothing", "required"),
]
# fmt: on
PROBLEMS += [
    (what, HEAD + f"journeys:\n  buy: {{{body}}}\n", 12, f"journeys.buy.{key}", found, expected)
    for what, body, key, found, expected in JOURNEYS
]
PROBLEMS += [
    (what, HEAD + f"closed_loop: {{{body}}}\n", 11, f"closed_loop.{key}", found, expected)
    for what, body, key, found, expected in LOOPS
]


@pytest.mark.parametrize(
    ("text", "line", "key", "found", "expected"), [p[1:] for p in PROBLEMS], ids=[p[0] for p in PROBLEMS]
)
def test_a_problem_names_its_line_its_key_what_was_found_and_what_was_expected(
    text: str, line: int, key: str, found: str, expected: str
) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.key[: len(key)]) == (line, key)
    assert problem.key == key or key.endswith(".")
    assert found in problem.found
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "an empty file"),
        ("# nothing yet\n\n", 1, "an empty file"),
        (HEAD + "---\n" + HEAD, 11, "a second document"),
        (HEAD + "segments: [\n", 12, "a syntax error"),
        (HEAD + "segments: a: b\n", 11, "mapping values are not allowed here"),
        (HEAD + "\tsegments: {}\n", 11, "'\\t' that cannot start any token"),
        (HEAD + "segments: \x00\n", 11, r"the character '\x00'"),
        (HEAD + "\r\nsegments: \x07\r\n", 12, r"the character '\x07'"),
        (HEAD + 'segments: "\\UFFFFFFFF"\n', 11, "a syntax error"),
        (HEAD + "segments: &a [*a]\n", 11, "the alias *a inside its own anchor"),
        (HEAD + "segments: *nowhere\n", 11, "the alias *nowhere without an anchor before it"),
        (HEAD + "segments: " + "[" * 100_000, 11, "deeper nesting"),
        (HEAD + "segments: " + "{a: " * 100_000, 11, "deeper nesting"),
        (HEAD + "- " * 100_000, 11, "a syntax error"),
        ("%YAML 1." + "9" * 5000 + "\n---\n", 1, "a syntax error"),
        ("x" * (MAX_CHARACTERS + 1), 1, "characters"),
    ],
)
def test_a_file_that_is_no_single_yaml_document_names_the_line(text: str, line: int, found: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.key) == (line, "(document)")
    assert found in problem.found


@pytest.mark.parametrize(
    ("text", "found"), [("- a\n", "a list"), ("hello\n", "'hello'"), ("42", "42"), ("~", "noth")]
)
def test_a_document_that_is_no_mapping_says_how_one_begins(text: str, found: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.key) == (1, "(document)")
    assert found in problem.found
    assert "apiVersion: molehill/v1" in problem.expected


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert "at most 200000 values" in only_problem("\n".join(bomb)).expected


def test_a_fault_that_an_alias_brings_is_told_where_the_alias_stands_too() -> None:
    text = more("discovered: {objective: &all 100%}\nsegments: {p: {limit: *all}}")
    assert [(p.line, p.key, p.found) for p in problems_of(text)] == [
        (11, "discovered.objective", "'100%'"),
        (12, "segments.p.limit", "'100%'"),
    ]


def test_a_dimension_has_at_most_ten_thousand_values() -> None:
    values = [f"v{i}" for i in range(10_001)]
    most = parse(more(f"segments: {{p: {{values: [{', '.join(values[1:])}]}}}}"), "f")
    assert most.dimensions["p"].limit == 10_000
    problem = only_problem(more(f"segments: {{p: {{values: [{', '.join(values)}]}}}}"))
    assert (problem.key, problem.found) == ("segments.p.values", "10001")


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
apiVersion: v1
kind: Catalogue
metadata: {name: shop}
budget_period: 28
moments:
  pay:
    title: Pay
    tier: huge
    signals:
      outcome: {objective: 100%}
      wait: {objective: 95}
journeys:
  buy: {route: [pay], goal: dispatch, abandon_after: 1d}
"""
    assert [(p.line, p.key) for p in problems_of(text)] == [
        (1, "apiVersion"),
        (4, "budget_period"),
        (8, "moments.pay.tier"),
        (10, "moments.pay.signals.outcome.objective"),
        (11, "moments.pay.signals.wait.within"),
        (11, "moments.pay.signals.wait.objective"),
        (13, "journeys.buy.goal"),
    ]


def test_a_message_is_one_line_with_the_file_even_where_a_key_is_not() -> None:
    with pytest.raises(CatalogueError) as caught:
        parse(HEAD + '"a\\nb": 1\n', "shop/moments.yaml")
    assert str(caught.value).startswith(
        r"shop/moments.yaml:11: 'a\nb': found the unknown key 'a\nb', expected one of"
    )
    assert len(str(caught.value).splitlines()) == 1


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


def test_a_route_may_not_name_an_undeclared_moment_where_nothing_is_discovered() -> None:
    text = HEAD + "discovered: {limit: 0}\n"
    text += "journeys: {buy: {route: [pay, pya], goal: pay, abandon_after: 1d}}\n"
    text += "closed_loop: {follow_up_moments: [callback], within: 1h, silent_after: 1d}\n"
    problems = problems_of(text)
    assert [(p.line, p.key, p.found) for p in problems] == [
        (12, "journeys.buy.route[1]", "'pya'"),
        (13, "closed_loop.follow_up_moments[0]", "'callback'"),
    ]
    assert problems[0].expected == "a declared moment, as discovered.limit is 0 (did you mean pay?)"


def test_samples_add_up_over_segments_and_do_not_multiply() -> None:
    # No dimensions: all, voice=probe, voice=company. One signal: 31 a segment, 1 objective; 1 info.
    text = HEAD + "discovered: {limit: 0}\n"
    alone = parse(text, "f")
    assert segments(alone) == 3
    # The moment `other` is there even where nothing is discovered, with nine signals: four of them scores, nps twice.
    assert by_kind(alone) == {
        "signals": 3 * 31 + 1 + 1 + 9 * (3 * 31 + 1) + 1,
        "scores": 3 * 5 * 21,
        "waits": 0,
        "moles": 2 * len(get_args(Kind)) * 4,
    }
    # limit 20 and `other`, two values and `other`.
    cut = parse(text + "segments: {region: {limit: 20}, plan: {values: [free, pro]}}\n", "f")
    assert segments(cut) == 3 + 21 + 3
    assert by_kind(cut)["signals"] == 27 * 31 + 1 + 1 + 9 * (27 * 31 + 1) + 1


def test_samples_of_the_contract_example_count_every_discovered_moment() -> None:
    found = by_kind(parse(CONTRACT, "f"))
    assert found["signals"] == 27 * 5 * 31 + 5 + 1 + 51 * (27 * 9 * 31 + 9 + 1)
    assert found["scores"] == 27 * 21 * (1 + 51 * 5)
    assert found["waits"] == len((1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)) + 3
    assert found["moles"] == 52 * len(get_args(Kind)) * len(COUNTED)
    assert samples(parse(CONTRACT, "f")) == sum(found.values())


def lines_of(text: str) -> int:
    return len(re.findall(r"\r\n?|\n", text)) + 1


def parses_or_raises_catalogue_error(text: str) -> None:
    try:
        catalogue = parse(text, "moments.yaml")
    except CatalogueError as error:
        problems, message = error.problems, str(error)
    else:
        assert samples(catalogue) > 0
        assert catalogue.moments
        return
    assert problems
    assert all(1 <= p.line <= lines_of(text) for p in problems)
    assert all(p.key and p.found and p.expected for p in problems)
    assert len(message.splitlines()) == len(problems)
    message.encode()


YAML_WORDS = """{ } [ ] : , - ? | > & * ! % @ ` ' " # \\ << ~ = --- ... &a *a !!str !!int !x yes 100% 0x1F .nan"""
ODDITIES = ["\n", "\n  ", "\n    ", "\t", "\r", " ", ": ", "- ", "\u2028", "\x85", "\ufeff", "\ud800", "\x00"]
ODDITIES += ["\\ud800", "{<<: *a}", "%TAG ! x\n", "!!int", "!!float x"]
FRAGMENTS = st.sampled_from([*YAML_WORDS.split(), *ODDITIES])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
WORDS = st.sampled_from(sorted(set(re.findall(r"[\w./:%-]+", CONTRACT))))
TREES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | SCALARS, inner, max_size=4),
    max_leaves=30,
)


@given(st.text() | st.lists(FRAGMENTS, max_size=40).map("".join))
def test_any_text_parses_or_raises_a_catalogue_error_on_a_line_of_the_file(text: str) -> None:
    parses_or_raises_catalogue_error(text)


@given(TREES)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_yaml_parses_or_raises_a_catalogue_error_on_a_line_of_the_file(tree: object) -> None:
    parses_or_raises_catalogue_error(yaml.safe_dump(tree, allow_unicode=True))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_damage_to_a_catalogue_is_found_or_harmless(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([CONTRACT, FLIGHTS, HEAD]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(FRAGMENTS | WORDS | st.text(max_size=3)) + text[end:]
    parses_or_raises_catalogue_error(text)
