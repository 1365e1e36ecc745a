"""The README says what the code does: its metrics, commands and reasons are the code's."""

import re
from pathlib import Path

from agents.cli import cli
from streams import names

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_two_commands_stand_in_the_readme_each_complete_in_itself() -> None:
    prefix = "python3 -m venv .venv && .venv/bin/pip install -e"
    assert f"\n{prefix} '.[demo]' && .venv/bin/molehill demo\n" in README
    assert f"\n{prefix} '.[test]' && .venv/bin/pytest\n" in README


def test_every_command_is_in_the_readme_and_no_other() -> None:
    listed = set(re.findall(r"^\| `molehill ([a-z-]+)`", README, re.M))
    assert listed == set(cli.list_commands(None))  # type: ignore[arg-type]


def test_every_metric_is_in_the_readme_and_no_other() -> None:
    listed = set(re.findall(r"`((?:cx|molehill)_[a-z_]+)`", README))
    known = {v for v in vars(names).values() if isinstance(v, str) and re.match(r"(cx|molehill)_", v)}
    known -= {v for k, v in vars(names).items() if k.startswith("H_")}
    assert {re.sub("_total$", "", x) for x in listed} == known


def test_every_reason_of_a_refusal_is_in_the_readme() -> None:
    assert all(f"`{reason}`" in README for reason in names.REASONS)
