"""`molehill try-source`, as a shell sees it."""

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from agents.cli import cli
from streams.errors import InputError, SettingsError
from tests.mapped import HEAD, ORDERS, PAID


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    path = tmp_path / "moments.yaml"
    path.write_text(HEAD + ORDERS)
    return str(path)


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, ["try-source", *arguments], input=stdin)


def test_events_are_printed_and_what_was_skipped_is_counted(catalogue: str) -> None:
    lines = [PAID, {"status": "SHIPPED"}, PAID | {"attempt": 3}]
    done = run("--catalogue", catalogue, stdin=b"\n".join(map(orjson.dumps, lines)))
    assert done.exit_code == 0, done.output
    assert [orjson.loads(x)["id"] for x in done.stdout.splitlines()] == ["81:2", "81:3"]
    assert done.stderr == "orders: 2 orders/paid, 1 skipped, 0 refused\n"


def test_refusals_name_file_line_path_and_place_and_the_exit_code_is_1(catalogue: str, tmp_path: Path) -> None:
    sample = tmp_path / "orders.jsonl"
    sample.write_bytes(b"\n".join([orjson.dumps(PAID), orjson.dumps(PAID | {"customer": {}}), b"{"]))
    done = run(str(sample), "--catalogue", catalogue, "--source", "orders")
    assert done.exit_code == 1
    first, second, summary = done.stderr.splitlines()
    assert first == (
        f"{sample}:2: bad_field: data.customer: expected text or a whole number at $.customer.id, found nothing"
    )
    assert second.startswith(f"{sample}:3: bad_json: $: ")
    assert summary == "orders: 1 orders/paid, 2 refused"


def test_what_the_contract_refuses_of_a_mapped_event_is_shown_too(catalogue: str) -> None:
    done = run("--catalogue", catalogue, stdin=orjson.dumps(PAID | {"wait_ms": -1}))
    assert done.stderr.startswith("<stdin>:1: bad_field: data.wait_s: ")


def test_records_as_kcat_prints_them_bring_key_headers_and_time(catalogue: str) -> None:
    record = {
        "topic": "shop.orders", "partition": 0, "offset": 5, "tstype": "create", "ts": 1767268800456,
        "headers": ["x", "1", "customer", "c-9"], "key": "k", "payload": '{"asked": 1}',
    }  # fmt: skip
    done = run("--kcat", "--catalogue", catalogue, stdin=orjson.dumps(record))
    event = orjson.loads(done.stdout)
    assert (event["id"], event["data"]["customer"]) == ("shop.orders:0:5", "c-9")
    assert event["time"] == "2026-01-01T12:00:00.456000+00:00"
    wrong = run("--kcat", "--catalogue", catalogue, stdin=b'{"payload": 5}')
    assert isinstance(wrong.exception, InputError)
    assert "<stdin>:1: " in str(wrong.exception)


@pytest.mark.parametrize("name", ["none", ""])
def test_the_source_must_be_one_of_the_catalogue(tmp_path: Path, name: str) -> None:
    path = tmp_path / "moments.yaml"
    path.write_text(
        HEAD + ORDERS + ORDERS.removeprefix("sources:\n").replace("  orders:", "  more:").replace("shop.", "")
    )
    done = run("--catalogue", str(path), *(["--source", name] if name else []))
    assert isinstance(done.exception, SettingsError)
    assert str(done.exception) == f"--source: found {name or 'nothing'}, expected one of orders, more"


def test_a_catalogue_without_sources_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "moments.yaml"
    path.write_text(HEAD)
    done = run("--catalogue", str(path))
    assert isinstance(done.exception, SettingsError)
    assert "found no sources" in str(done.exception)


def test_help_has_an_example_that_can_be_copied() -> None:
    assert "Example:\n    molehill try-source " in run("--help").output
