"""The README says what the code does: its metrics, commands and reasons are the code's."""

import json
import re
from pathlib import Path
from typing import Any

import click
import jsonschema
import kafka
import pytest

from agents.cli import cli
from streams import names
from streams.catalogue import parse
from streams.schema import json_schema

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)


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


def test_every_link_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]
    assert len(links) > 3
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


def test_the_catalogue_that_is_shown_is_one_that_check_takes() -> None:
    moments, sources = (text for kind, text in BLOCKS if kind == "yaml")
    shown = parse(moments + sources, "README.md")
    assert list(shown.moments) == ["checkout-payment"]
    assert [source.name for source in shown.sources] == ["orders"]


class Producer:
    """What the sample would send to Kafka."""

    sent: tuple[str, bytes, bytes] = ("", b"", b"")
    flushed = False

    def __init__(self, bootstrap_servers: str) -> None:
        Producer.flushed = False

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        Producer.sent = (topic, key, value)

    def flush(self) -> None:
        Producer.flushed = True


def test_the_sample_sends_an_event_of_the_contract_by_its_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "KafkaProducer", Producer)
    (code,) = (text for kind, text in BLOCKS if kind == "python")
    exec(compile(code, "README.md", "exec"), {})
    topic, key, value = Producer.sent
    event: dict[str, Any] = json.loads(value)
    jsonschema.validate(event, json_schema(), format_checker=jsonschema.FormatChecker())
    assert topic == names.TOUCHPOINTS
    assert key.decode() == event["data"]["customer"]
    assert Producer.flushed, "or the script would end before it is sent"


def test_every_option_that_is_shown_is_one_of_its_command() -> None:
    prose = re.sub(r"^```.*?^```", "", README, flags=re.M | re.S)
    typed = "\n".join([*re.findall(r"`[^`]+`", prose), *(text for kind, text in BLOCKS if kind == "sh")])
    shown = re.findall(r"\bmolehill ([a-z-]+)([^`\n|]*)", typed)
    seen = 0
    for name, rest in shown:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        known = {option for p in command.params for option in p.opts}
        options = re.findall(r"--[a-z-]+", rest)
        assert set(options) <= known, name
        seen += len(options)
    assert seen >= 8
