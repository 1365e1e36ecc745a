"""`molehill moles` where there is no worker: ids by their beginning, the table, and one line for each fault.

With workers it is tested in tests/integration/test_api.py.
"""

import contextlib
import datetime as dt
import http.server
import io
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agents import cli
from agents.moles_command import ApiError, Listed, resolve, table
from streams.moles import Contributor, Mole, State

AT = dt.datetime(2026, 11, 22, 5, 15, tzinfo=dt.UTC)


def mole(name: str, state: State = "popped", tier: str = "important") -> Mole:
    return Mole(
        id=name, moment="pay", segment="all", signal="outcome", kind="burn", tier=tier, state=state, first_harm=AT,
        popped=AT, bad=1234, total=5678, burn_rate=8.04, burn_rate_low=7.5, explain=f"{name} hurts",
        contributors=(Contributor("region=north", 1, 2, 1.0),),
    )  # fmt: skip


def said(*arguments: str) -> tuple[int, list[str]]:
    """The exit code, and the lines on stderr."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), pytest.raises(SystemExit) as ended:
        cli.main(["moles", *arguments])
    return int(ended.value.code or 0), told.getvalue().splitlines()


@given(st.lists(st.text("ab.", min_size=1, max_size=4), unique=True, max_size=6), st.text("ab.", max_size=4))
def test_an_id_is_found_by_any_beginning_that_only_it_has(names: list[str], given_: str) -> None:
    some = [mole(n, "whacked" if i % 2 else "popped") for i, n in enumerate(names)]
    up = [m.id for m in some if m.state != "whacked" and m.id.startswith(given_)]
    any_ = [n for n in names if n.startswith(given_)]
    expected = [given_] if given_ in names else up if up else any_
    if len(expected) == 1:
        assert resolve(given_, some) == expected[0]
    else:
        with pytest.raises(ApiError, match=f"found {len(expected)} moles"):
            resolve(given_, some)


def test_the_table_shows_the_worst_that_is_up_first_and_ids_whole_in_80_columns() -> None:
    long = "checkout-payment.outcome.burn.20261122T051530Z"
    moles = [
        mole("b-over", "whacked", "game-over"),
        mole("a-mild", "popped", "tolerable"),
        mole(long, "acknowledged", "game-over"),
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(Listed(int(AT.timestamp()), moles)))
    text = console.export_text()
    assert text.index(long) < text.index("a-mild") < text.index("b-over")
    assert "1,234/5,678" in text
    assert "judged up to 2026-11-22 05:15:00Z" in text


def test_where_nobody_answers_one_line_says_so() -> None:
    for arguments in ((), ("list",), ("ack", "x"), ("snooze", "x", "--for", "2h")):
        code, lines = said("--url", "http://127.0.0.1:1", *arguments)
        assert (code, len(lines)) == (1, 1), lines
        assert "is a worker there?" in lines[0]


def test_what_cannot_be_used_is_named_with_what_was_expected() -> None:
    for url in ("ftp://host", "localhost:6066", "http://", "http://[", "http://host:port"):
        code, lines = said("--url", url)
        assert (code, len(lines)) == (2, 1), (url, lines)
        assert url in lines[0]
    code, lines = said("snooze", "x", "--for", "2 hours")
    assert code == 2
    assert "--for: found '2 hours', expected a duration such as" in lines[0]


@pytest.fixture
def stranger() -> Iterator[str]:
    """A web server that is no worker."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "moles" in self.path else 404)
            self.end_headers()
            self.wfile.write(b"<html>hello")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_that_is_no_worker_is_told_apart(stranger: str) -> None:
    for url in (stranger, f"{stranger}/elsewhere?"):
        code, lines = said("--url", url)
        assert (code, len(lines)) == (1, 1), lines
        assert "expected a molehill worker's API" in lines[0]
