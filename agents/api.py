"""The API: moments and moles for reading, and what people do with a mole. Any worker answers for all.

Reading needs no more than the port does; until the desk has read its log there is nothing to say, which is a 503 and
not an empty list. Acting is guarded: a Host that is not ours (a page that rebinds its name to this machine) and an
Origin that is not the Host (another site's page) are refused; with a token set it must be borne; without one, actions
are taken on loopback only.
"""

import asyncio
import datetime as dt
import hmac
import ipaddress
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import orjson
from aiohttp import web

from agents.app import Molehill
from agents.desk import Unanswered
from streams.durations import seconds_of
from streams.moles import Action, Command, IllegalTransition, Mole, moment_of

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
TIERS = ("game-over", "important", "tolerable")
STREAMS = 64  # open at a time; a board is one
BEAT_S = 15.0  # a word for the proxies between, and for a page that looks whether we live
STEP_S = 0.5  # between two looks at what has changed
RETRY_MS = 1000  # how long a page waits before it connects again
DEFAULT_SNOOZE_S = 3600.0
ACTIONS: Final[dict[str, Action]] = {"ack": "ack", "whack": "whack", "snooze": "snooze"}
MAX_BODY = 4096  # bytes
Parts = list[tuple[str, str, bytes]]  # event, what it is of, data


def refused(status: int, error: str) -> web.Response:
    """An error as the API says it."""
    return web.json_response({"error": error}, status=status)


def not_ready() -> web.Response:
    """What is said until the desk has read its log."""
    return refused(503, "not ready: recovering; ask again in a moment")


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Api:
    """The routes under /api."""

    def __init__(self, molehill: Molehill) -> None:
        self.molehill = molehill
        self.desk = molehill.desk
        self.local = is_loopback(molehill.settings.host)
        self._streams: set[asyncio.Task[Any]] = set()
        self._parts_of = (-1, Parts())  # the version of the desk, and all that it has to say

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/moments", self._moments),
            web.get("/api/moles", self._moles),
            web.get("/api/moles/{id}", self._mole),
            web.post("/api/moles/{id}/{action}", self._act),
            web.get("/api/stream", self._stream),
        ]

    # Reading

    def moles(self) -> bytes:
        """Those that are up and those that ended lately, newest first; a JSON array."""
        return msgspec.json.encode(self.desk.moles())

    def moments(self) -> list[tuple[str, bytes]]:
        """Names and summaries of the moments of all workers, by tier and name; not those that were undeclared."""
        declared = self.molehill.routes.catalogue.moments
        rows = [(orjson.loads(s), s) for s in self.desk.board.values()]
        rows = [row for row in rows if row[0]["moment"] in declared or not row[0]["declared"]]
        rows.sort(key=lambda row: (TIERS.index(row[0]["tier"]), row[0]["moment"]))
        return [(row["moment"], summary) for row, summary in rows]

    def unspent(self) -> dict[str, float]:
        """Overinvestment: tolerable moments and the share of a whole period's budget that they left."""
        return {m: round(share, 4) for m, share in self.desk.fold.desk.unspent().items()}

    def snoozed(self) -> dict[str, dt.datetime]:
        """Ids of the moles that sleep, and when they wake, in event time. Not in a mole, which is as the contract."""
        return {name: moment_of(until) for name, until in self.desk.fold.desk.snoozed().items()}

    def _clock(self) -> int:
        return self.desk.fold.at

    async def _moments(self, request: web.Request) -> web.Response:
        if not self.desk.loaded:
            return not_ready()
        rows = [orjson.Fragment(data) for event, _, data in self._all() if event == "moment"]
        return _json(_dumps({"clock": self._clock(), "moments": rows, "unspent_budget": self.unspent()}))

    async def _moles(self, request: web.Request) -> web.Response:
        if not self.desk.loaded:
            return not_ready()
        found = orjson.Fragment(self.moles())
        return _json(_dumps({"clock": self._clock(), "moles": found, "snoozed_until": self.snoozed()}))

    async def _mole(self, request: web.Request) -> web.Response:
        if not self.desk.loaded:
            return not_ready()
        mole = self._find(request.match_info["id"])
        return refused(404, "no such mole") if mole is None else _json(msgspec.json.encode(mole))

    def _find(self, name: str) -> Mole | None:
        return next((m for m in self.desk.moles() if m.id == name), None)

    # Acting

    async def _act(self, request: web.Request) -> web.Response:
        fault = self._guard(request)
        if fault is not None:
            return fault
        name, asked = request.match_info["id"], request.match_info["action"]
        action = ACTIONS.get(asked)
        if action is None:
            return refused(404, f"found {asked[:40]!r}, expected {', '.join(ACTIONS)}")
        if not self.desk.loaded:
            return not_ready()
        if self._find(name) is None:
            return refused(404, "no such mole")
        try:
            told = await self._read(request)
            for_s = seconds_of(told.for_) if told.for_ else DEFAULT_SNOOZE_S
        except web.HTTPRequestEntityTooLarge:
            return refused(413, f"found a body of more than {MAX_BODY} bytes")
        except (ValueError, msgspec.MsgspecError) as e:
            return refused(400, f'{e}; the body may be a JSON object such as {{"for": "2h", "by": "alice"}}')
        try:
            done = await self.desk.ask(Command(name, action, for_s if action == "snooze" else 0.0, told.by))
        except IllegalTransition as e:
            return refused(409, str(e))
        except Unanswered as e:
            return refused(503, str(e))
        mole = done[-1].mole if done else self._find(name)
        return _json(msgspec.json.encode(mole))

    async def _read(self, request: web.Request) -> "_Asked":
        return msgspec.json.decode(await request.read() or b"{}", type=_Asked)

    def _guard(self, request: web.Request) -> web.Response | None:
        """Why an action is refused; None where it may be taken."""
        host = request.headers.get("Host", "")
        if self.local and _split(f"//{host}")[0] not in LOOPBACK_NAMES:
            return refused(403, "Host: found a name that is not this machine's, expected localhost or 127.0.0.1")
        origin = request.headers.get("Origin")
        if origin is not None and _split(origin)[1] != host:
            return refused(403, "Origin: found another site's, expected this one's")
        token = self.molehill.settings.token
        if token is None:
            return None if self.local else refused(403, "actions need a token here: set MOLEHILL_TOKEN")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        borne = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(borne, token.encode(errors="surrogateescape")):
            response = refused(401, "Authorization: expected Bearer and the worker's token")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    # Server-sent events

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._streams) >= STREAMS:
            return refused(503, f"found {STREAMS} open streams, which is the limit")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            await response.prepare(request)
            async for part in self._parts():
                await response.write(part)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the page is gone, or the worker goes
        finally:
            self._streams.discard(task)
        return response

    async def close(self, app: web.Application) -> None:
        """Ends the streams, or a worker that stops would wait for its pages to be closed."""
        for task in self._streams:
            task.cancel()

    async def _parts(self) -> AsyncIterator[bytes]:
        """Everything at once, then what has changed: `moles` (all of them), `desk` (what else is known of moles and
        budgets), `moment` (one), and at last `clock` (seconds)."""
        last: dict[tuple[str, str], bytes] = {}
        yield b"retry: %d\n\n" % RETRY_MS
        while not self.desk.loaded:
            yield b": recovering\n\n"
            await asyncio.sleep(STEP_S)
        while True:
            version = self.desk.version
            now = self._all()
            changed = [(event, data) for event, key, data in now if last.get((event, key)) != data]
            last = {(event, key): data for event, key, data in now}
            text = [b"event: %s\ndata: %s\n\n" % (event.encode(), data) for event, data in changed]
            yield b"%sevent: clock\ndata: %d\n\n" % (b"".join(text), self._clock())
            await asyncio.sleep(STEP_S)
            await self.desk.changed(version, BEAT_S)

    def _all(self) -> Parts:
        """All that can be told, made once for however many ask for it."""
        version = self.desk.version
        if self._parts_of[0] != version:
            desk = _dumps({"snoozed_until": self.snoozed(), "unspent_budget": self.unspent()})
            told = [("moles", "", self.moles()), ("desk", "", desk), *(("moment", m, s) for m, s in self.moments())]
            self._parts_of = (version, told)
        return self._parts_of[1]


class _Asked(msgspec.Struct, rename={"for_": "for"}, forbid_unknown_fields=True):
    for_: str = ""
    by: str = ""


def _dumps(told: object) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_UTC_Z)


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _split(url: str) -> tuple[str, str]:
    """A URL's host name, and it with its port; empty where there is none."""
    try:
        found = urlsplit(url)
        return found.hostname or "", found.netloc
    except ValueError:
        return "", ""
