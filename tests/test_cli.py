"""The command line as a shell sees it: output, one line per error, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agents import cli
from agents.broker import parse_brokers
from agents.emit_command import Speed
from streams.errors import SettingsError

ROOT = Path(__file__).parents[1]
DEAD = "127.0.0.1:1"  # nobody listens on port 1

GOOD = """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
segments:
  plan: {values: [free, pro]}
moments:
  checkout-payment:
    title: Pay for the order
    tier: game-over
    signals:
      outcome: {objective: 99.5%}
"""


def molehill(*arguments: str, stdin: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[str]":
    """The real thing, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def in_process(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, arguments)


def test_check_prints_moments_by_tier_dimensions_and_the_cost(tmp_path: Path) -> None:
    path = tmp_path / "moments.yaml"
    path.write_text(GOOD)
    done = molehill("check", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "catalogue shop is valid: 1 moment\n" in done.stdout
    assert "game-over:  checkout-payment\n" in done.stdout
    assert "important:  none\n" in done.stdout
    assert "plan (free|pro)" in done.stdout
    assert "samples:" in done.stdout


def test_check_reports_all_problems_at_once_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "moments.yaml"
    path.write_text(GOOD.replace("99.5%", "100%").replace("game-over", "urgent"))
    done = molehill("check", str(path))
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split(":")[:2] for line in lines] == [[str(path), "9"], [str(path), "11"]]


def test_the_catalogue_that_ships_is_valid() -> None:
    done = molehill("check", "deploy/moments.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_check_of_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "moments.yaml"
    if content is not None:
        path.write_bytes(content)
    done = molehill("check", str(path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"molehill: {path}: ")


def test_check_imports_neither_faust_nor_kafka_nor_rich() -> None:
    code = (
        "import sys; from agents import cli\n"
        "try: cli.main(['check', 'deploy/moments.yaml'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'faust', 'aiokafka', 'kafka', 'aiohttp', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["check", "topics", "emit", "replay", "schema"])
def test_every_help_has_an_example_that_can_be_copied(name: str) -> None:
    result = in_process(name, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    molehill {name} " in result.output


def test_help_lists_the_commands_that_are_imported_late() -> None:
    result = in_process("--help")
    assert result.exit_code == 0
    for name in ("check", "demo", "emit", "replay", "schema", "topics", "worker"):
        assert f"\n  {name} " in result.output


@pytest.mark.parametrize("name", cli.ELSEWHERE)
def test_a_command_that_is_imported_late_is_a_click_command(name: str) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert isinstance(command, click.Command)


def test_the_version_is_shown() -> None:
    result = in_process("--version")
    assert result.exit_code == 0
    assert result.output.startswith("molehill, version ")


def test_the_schema_is_json() -> None:
    import orjson

    done = molehill("schema", "--format", "jsonschema")
    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout)


@pytest.mark.parametrize("arguments", [["nonsense"], ["emit", "--nonsense"], ["replay", "--speed", "fast"]])
def test_a_usage_error_exits_with_2_and_says_what_was_found(arguments: list[str]) -> None:
    done = molehill(*arguments)
    assert done.returncode == 2
    assert arguments[-1] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1000x", ""])
def test_a_speed_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a number of 0 or more, or max"):
        Speed().convert(value, None, None)


@pytest.mark.parametrize(("value", "speed"), [("max", 0.0), ("0", 0.0), ("1000", 1000.0), ("0.5", 0.5)])
def test_a_speed_is_a_number_or_max(value: str, speed: float) -> None:
    assert Speed().convert(value, None, None) == speed


def test_without_brokers_the_message_names_the_option_and_the_variable() -> None:
    done = molehill("topics")
    assert done.returncode == 2
    assert done.stderr == (
        "molehill: --brokers (or MOLEHILL_BROKERS): found nothing, expected HOST:PORT[,HOST:PORT…]\n"
    )


def test_brokers_come_from_the_environment_too_and_the_option_wins() -> None:
    assert "'from-environment'" in molehill("topics", MOLEHILL_BROKERS="from-environment").stderr
    done = molehill("topics", "--brokers", "from-option", MOLEHILL_BROKERS="from-environment")
    assert "'from-option'" in done.stderr


@pytest.mark.parametrize("brokers", ["localhost", "localhost:", ":9092", "h:0", "h:65536", "h:9092,", "h:²", ""])
def test_brokers_that_are_not_host_and_port_are_refused(brokers: str) -> None:
    with pytest.raises(SettingsError, match=r"expected HOST:PORT\[,HOST:PORT…\]"):
        parse_brokers(brokers)


def test_brokers_may_be_many_and_have_ipv6_addresses() -> None:
    assert parse_brokers("a:1, b:2,[::1]:3") == [("a", 1), ("b", 2), ("::1", 3)]


@pytest.mark.parametrize("command", ["topics", "emit"])
def test_a_dead_broker_is_one_line(command: str) -> None:
    done = molehill(command, "--brokers", DEAD)
    assert done.returncode == 1
    assert done.stderr == (f"molehill: no broker answers at {DEAD} (Connection refused): is it running?\n")


def test_a_file_that_is_not_there_is_reported_before_any_broker_is_asked(tmp_path: Path) -> None:
    done = molehill("emit", "--brokers", DEAD, str(tmp_path / "none.jsonl"))
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert DEAD not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_ends_it_without_a_word() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m agents.cli --help | true"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stderr == ""
