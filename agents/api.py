"""The API: moments and moles for reading, and what people do with a mole. Any worker answers for all.

Reading needs no more than the port does. Acting is guarded: a Host that is not ours (a page that rebinds its name to
this machine) and an Origin that is not the Host (another site's page) are refused; with a token set it must be borne;
without one, actions are taken on loopback only.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import msgspec
import orjson
from aiohttp import web

from agents.app import Molehill
from agents.desk import Unanswered
from streams.durations import seconds_of
from streams.moles import Action, Command, IllegalTransition, Mole

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
TIERS = ("game-over", "important", "tolerable")
STREAMS = 64  # open at a time; a board is one
BEAT_S = 15.0  # a word for the proxies between, and for a page that looks whether we live
STEP_S = 0.5  # between two looks at what has changed
DEFAULT_SNOOZE_S = 3600.0
ACTIONS: Final[dict[str, Action]] = {"ack": "ack", "whack": "whack", "snooze": "snooze"}
MAX_BODY = 4096


def refused(status: int, error: str) -> web.Response:
    """An error as the API says it."""
    return web.json_response({"error": error}, status=status)


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
        self._streams = 0

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
        """Names and summaries of the moments of all workers, by tier and name."""
        rows = [(orjson.loads(s), s) for s in self.desk.board.values()]
        rows.sort(key=lambda row: (TIERS.index(row[0]["tier"]), row[0]["moment"]))
        return [(row["moment"], summary) for row, summary in rows]

    def _clock(self) -> int:
        return self.desk.fold.at

    async def _moments(self, request: web.Request) -> web.Response:
        rows = [orjson.Fragment(summary) for _, summary in self.moments()]
        return _json(orjson.dumps({"clock": self._clock(), "moments": rows}))

    async def _moles(self, request: web.Request) -> web.Response:
        return _json(orjson.dumps({"clock": self._clock(), "moles": orjson.Fragment(self.moles())}))

    async def _mole(self, request: web.Request) -> web.Response:
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
        if self._find(name) is None:
            return refused(404, "no such mole")
        try:
            told = await self._read(request)
            for_s = seconds_of(told.for_) if told.for_ else DEFAULT_SNOOZE_S
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
        body = await request.content.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise ValueError(f"a body of more than {MAX_BODY} bytes")
        return msgspec.json.decode(body or b"{}", type=_Asked)

    def _guard(self, request: web.Request) -> web.Response | None:
        """Why an action is refused; None where it may be taken."""
        host = _hostname(f"//{request.headers.get('Host', '')}")
        if self.local and host not in LOOPBACK_NAMES:
            return refused(403, "Host: found a name that is not this machine's, expected localhost or 127.0.0.1")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            return refused(403, "Origin: found another site's, expected this one's")
        token = self.molehill.settings.token
        if token is None:
            return None if self.local else refused(403, "actions need a token here: set MOLEHILL_TOKEN")
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            response = refused(401, "Authorization: expected Bearer and the worker's token")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    # Server-sent events

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= STREAMS:
            return refused(503, f"found {STREAMS} open streams, which is the limit")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        self._streams += 1
        try:
            async for part in self._parts():
                await response.write(part)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the page is gone, or the worker goes
        finally:
            self._streams -= 1
        return response

    async def _parts(self) -> AsyncIterator[bytes]:
        """Everything at once, then what has changed: `moles` (all of them), `moment` (one), `clock` (seconds)."""
        last: dict[tuple[str, str], bytes] = {}
        while True:
            version = self.desk.version
            now = [("moles", "", self.moles()), *(("moment", m, s) for m, s in self.moments())]
            changed = [(event, data) for event, key, data in now if last.get((event, key)) != data]
            last = {(event, key): data for event, key, data in now}
            for event, data in changed:
                yield b"event: %s\ndata: %s\n\n" % (event.encode(), data)
            yield b"event: clock\ndata: %d\n\n" % self._clock()
            await asyncio.sleep(STEP_S)
            await self.desk.changed(version, BEAT_S)


class _Asked(msgspec.Struct, rename={"for_": "for"}, forbid_unknown_fields=True):
    for_: str = ""
    by: str = ""


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
