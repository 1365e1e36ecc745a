"""What is wrong with a catalogue: the line, the key, what was found and what to write instead."""

import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.catalogue import parse
from streams.cost import samples
from streams.errors import CatalogueError
from tests.catalogues import CONTRACT, FLIGHTS, HEAD, head, more, only_problem, problems_of, with_signal

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
    ("text", "found"), [("- a\n", "a list"), ("hello\n", "'hello'"), ("42", "42"), ("~", "noth")]
)
def test_a_document_that_is_no_mapping_says_how_one_begins(text: str, found: str) -> None:
    problem = only_problem(text)
    assert (problem.line, problem.key) == (1, "(document)")
    assert found in problem.found
    assert "apiVersion: molehill/v1" in problem.expected


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
