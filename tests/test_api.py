"""The API before anything is known, and who may act: a worker's pages without a broker, asked byte for byte.

What an action does is tested on real workers (tests/integration/test_api.py). Here the guard is what is asked of: who
passes it is told 503, since a desk that has not read its log knows no mole.
"""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from agents.api import STREAMS
from agents.app import Molehill
from agents.settings import Settings
from agents.web import BOARD, HEADERS, Pages
from streams.route import Routes
from tests.core import catalogue

PASSED = 503
T = TypeVar("T")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Port:
    """The pages of a worker that has not been started."""

    def __init__(self, home: Path, **changes: Any) -> None:
        self.settings = Settings("127.0.0.1:1", home, home, port=0, **changes)

    async def __aenter__(self) -> "Port":
        self.pages = Pages(Molehill(self.settings, Routes(catalogue(), 2)))
        self.number = await self.pages.start(self.settings)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.pages.stop()

    async def send(
        self, line: str, *headers: bytes, body: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Writes a request, and leaves the answer to the caller."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        if not any(h.lower().startswith(b"host:") for h in headers):
            headers = (f"Host: 127.0.0.1:{self.number}".encode(), *headers)
        writer.write(b"\r\n".join([f"{line} HTTP/1.1".encode(), *headers, b"", body]))
        await writer.drain()
        return reader, writer

    async def ask(self, line: str, *headers: bytes, body: bytes = b"") -> Answer:
        """A request and its whole answer."""
        length = f"Content-Length: {len(body)}".encode()
        reader, writer = await self.send(line, *headers, length, b"Connection: close", body=body)
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        first, *lines = head.decode().split("\r\n")
        found = dict(x.split(": ", 1) for x in lines)
        return Answer(int(first.split()[1]), found, rest)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Ends with an error where a worker's stop waits for its pages: aiohttp would give them 60 s."""
    return asyncio.run(asyncio.wait_for(coroutine, 45))


async def act(port: Port, *headers: bytes, body: bytes = b"") -> Answer:
    return await port.ask("POST /api/moles/x/ack", *headers, body=body)


def test_a_name_that_is_not_this_machines_is_refused_where_only_this_machine_listens(tmp_path: Path) -> None:
    async def asked(host: bytes) -> int:
        async with Port(tmp_path) as port:
            return (await act(port, b"Host: " + host)).status

    for host in (b"localhost", b"localhost:1234", b"127.0.0.1", b"[::1]:80", b"LOCALHOST"):
        assert run(asked(host)) == PASSED, host
    for host in (b"evil.example", b"127.0.0.1.evil.example", b"localhost.evil.example:80", b"[", b""):
        assert run(asked(host)) == 403, host


def test_a_page_of_another_site_is_refused_and_our_own_is_not(tmp_path: Path) -> None:
    async def asked() -> None:
        async with Port(tmp_path) as port:
            own = f"http://127.0.0.1:{port.number}".encode()
            assert (await act(port, b"Origin: " + own)).status == PASSED
            for origin in (b"https://evil.example", b"null", b"", b"http://[", b"http://127.0.0.1", own + b"0"):
                answer = await act(port, b"Origin: " + origin)
                assert (answer.status, "Origin" in json.loads(answer.body)["error"]) == (403, True), origin

    run(asked())


def test_without_a_token_actions_are_taken_on_loopback_only(tmp_path: Path) -> None:
    async def asked(**changes: Any) -> Answer:
        async with Port(tmp_path, **changes) as port:
            return await act(port)

    assert run(asked()).status == PASSED
    everywhere = run(asked(host="0.0.0.0"))
    assert everywhere.status == 403
    assert "MOLEHILL_TOKEN" in json.loads(everywhere.body)["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_that_is_set_must_be_borne_to_act_and_not_to_read(tmp_path: Path, host: str) -> None:
    async def asked() -> None:
        async with Port(tmp_path, host=host, token="sesame") as port:
            for good in (b"Bearer sesame", b"bearer sesame"):
                assert (await act(port, b"Authorization: " + good)).status == PASSED
            for bad in (
                b"Bearer sesam",
                b"Bearer sesamee",
                b"Bearer ",
                b"sesame",
                b"Basic sesame",
                b"Bearer \xff\xfe",
            ):
                answer = await act(port, b"Authorization: " + bad)
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), bad
            assert (await act(port)).status == 401
            assert (await port.ask("GET /api/moles")).status == PASSED

    run(asked())


def test_until_the_log_has_been_read_nothing_is_said_rather_than_that_nobody_is_hurt(tmp_path: Path) -> None:
    async def asked() -> None:
        async with Port(tmp_path) as port:
            for path in ("/api/moles", "/api/moments", "/api/moles/x"):
                answer = await port.ask(f"GET {path}")
                assert (answer.status, "error" in json.loads(answer.body)) == (503, True), path
            reader, writer = await port.send("GET /api/stream")
            await reader.readuntil(b": recovering")
            writer.close()

    run(asked())


def test_every_page_tells_the_browser_to_take_nothing_from_elsewhere(tmp_path: Path) -> None:
    async def asked() -> None:
        async with Port(tmp_path) as port:
            for path in ("/", "/board/board.js", "/board/nothing", "/api/moles", "/healthz", "/metrics"):
                answer = await port.ask(f"GET {path}")
                assert {k: answer.headers[k] for k in HEADERS} == HEADERS, path
            policy = dict(x.split(" ", 1) for x in HEADERS["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
            assert not any("unsafe" in v or "*" in v or "http" in v for v in policy.values())

    run(asked())


def test_the_boards_files_are_served_as_they_are_and_nothing_beside_them(tmp_path: Path) -> None:
    async def asked() -> None:
        async with Port(tmp_path) as port:
            files = [f for f in BOARD.rglob("*") if f.is_file()]
            assert len(files) > 5
            for file in files:
                answer = await port.ask(f"GET /board/{file.relative_to(BOARD)}")
                assert (answer.status, answer.body) == (200, file.read_bytes()), file
                kind = {".js": "javascript", ".mjs": "javascript", ".css": "text/css", ".svg": "svg"}.get(file.suffix)
                assert kind is None or kind in answer.headers["Content-Type"]
            for path in ("/board/", "/board/../web.py", "/board/%2e%2e/web.py", "/board/..%2fweb.py", "//web.py"):
                assert (await port.ask(f"GET {path}")).status in (403, 404), path

    run(asked())


def test_streams_have_a_limit_and_do_not_keep_a_worker_from_stopping(tmp_path: Path) -> None:
    async def asked() -> None:
        async with Port(tmp_path) as port:
            open_ones = [await port.send("GET /api/stream") for _ in range(STREAMS)]
            for reader, _ in open_ones:
                assert b"200 OK" in await reader.readuntil(b"retry:")
            assert (await port.ask("GET /api/stream")).status == 503
        for reader, writer in open_ones:
            await reader.read()  # to its end
            writer.close()

    run(asked())
