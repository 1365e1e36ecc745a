"""Durations and objectives, and what is said of those that cannot be used."""

import pytest

from streams.catalogue import parse
from tests.catalogues import only_problem, with_objective, with_signal


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
