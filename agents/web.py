"""The worker's pages: the board at `/`, `/metrics`, `/healthz`, `/readyz`. Bound to loopback unless told otherwise.

The board is files, as they are (agents/board): nothing is built, and nothing comes from elsewhere. The headers hold a
page to that, whatever the titles and segments in the data say.
"""

import asyncio
import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted

from agents.api import MAX_BODY, Api
from agents.app import Molehill
from agents.metrics import Notice, ReadingCollector
from agents.reading import Reading, read
from agents.settings import Settings
from streams.catalogue import Catalogue
from streams.errors import SettingsError
from streams.exposition import exposition

BOARD = Path(__file__).parent / "board"
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # no text becomes markup, not even by our own mistake
    )
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Selected:
    """What an encoder asks of a registry: the families, or only those samples that are wanted."""

    def __init__(self, collector: ReadingCollector, names: list[str]) -> None:
        self.collector = collector
        self.names = names

    def collect(self) -> Iterator[Metric]:
        """The families; prometheus_client's own selection would build its index of names at each scrape."""
        for family in self.collector.collect():
            shown = cast(Any, family)._restricted_metric(self.names) if self.names else family
            if shown:
                yield shown


def render(reading: Reading, catalogue: Catalogue, accept: str, names: list[str]) -> tuple[Iterator[bytes], str]:
    """A reading as text, in the format that the scraper asks for; with `names` only those samples.

    In pieces that take some milliseconds each, and the content type.
    """
    encoder, content_type = choose_encoder(accept)
    openmetrics = content_type.startswith("application/openmetrics-text")

    def pieces() -> Iterator[bytes]:
        yield from exposition(reading.views, openmetrics, names)
        yield encoder(cast(Any, Selected(ReadingCollector(reading, catalogue), names)))

    return pieces(), content_type


class Pages:
    """Serves one worker."""

    def __init__(self, molehill: Molehill) -> None:
        self.molehill = molehill
        self.notice = Notice(molehill.settings.max_series)
        self.runner: web.AppRunner | None = None

    async def start(self, settings: Settings) -> int:
        """Binds the port (0 takes a free one) and returns it; raises SettingsError where it is taken."""
        app = web.Application(client_max_size=MAX_BODY)
        app.on_response_prepare.append(_secure)
        app.router.add_get("/", self._board)
        app.router.add_static("/board/", BOARD)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        api = Api(self.molehill)
        app.add_routes(api.routes())
        app.on_shutdown.append(api.close)
        self.runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self.runner.setup()
        site = web.TCPSite(self.runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as e:
            raise SettingsError(f"--port {settings.port}: cannot listen on {settings.host} ({e.strerror})") from None
        return int(self.runner.addresses[0][1])

    async def stop(self) -> None:
        """Closes the port."""
        if self.runner is not None:
            await self.runner.cleanup()

    async def _board(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(BOARD / "index.html")

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        if self.molehill.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: recovering\n")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """In pieces; cut off where what was ours when it was read may be another's already."""
        serving = self.molehill.serving
        reading = read(self.molehill)
        self.notice.of(reading.refused)
        pieces, content_type = render(
            reading,
            self.molehill.routes.catalogue,
            request.headers.get("Accept", ""),
            request.query.getall("name[]", []),
        )
        response = web.StreamResponse(headers={"Content-Type": content_type})
        squeezed = None
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            squeezed = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | 16)  # 3 ms a megabyte, to a fifteenth
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        with contextlib.suppress(ConnectionResetError):  # the scraper's time is out
            for piece in pieces:
                if serving and not self.molehill.serving:
                    break
                await response.write(squeezed.compress(piece) if squeezed else piece)
                await asyncio.sleep(0)  # ingestion, heartbeats
            if self.molehill.serving or not serving:
                await response.write_eof(squeezed.flush() if squeezed else b"")
            elif request.transport is not None:
                request.transport.abort()  # without an end it is no scrape
        return response


async def _secure(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")  # a new board is seen at once; files have an ETag
