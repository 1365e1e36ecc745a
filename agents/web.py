"""The worker's pages: `/metrics`, `/healthz`, `/readyz`. Bound to loopback unless told otherwise."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder

from agents.api import Api
from agents.app import Molehill
from agents.metrics import Reading, ReadingCollector, read
from agents.settings import Settings
from streams.catalogue import Catalogue
from streams.errors import SettingsError


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


def render(reading: Reading, catalogue: Catalogue, accept: str, names: list[str]) -> tuple[bytes, str]:
    """A reading as text, in the format that the scraper asks for; with `names` only those samples."""
    encoder, content_type = choose_encoder(accept)
    return encoder(cast(Any, Selected(ReadingCollector(reading, catalogue), names))), content_type


class Pages:
    """Serves one worker."""

    def __init__(self, molehill: Molehill) -> None:
        self.molehill = molehill
        self.runner: web.AppRunner | None = None

    async def start(self, settings: Settings) -> int:
        """Binds the port (0 takes a free one) and returns it; raises SettingsError where it is taken."""
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.add_routes(Api(self.molehill).routes())
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

    async def _index(self, request: web.Request) -> web.Response:
        state = "ready" if self.molehill.ready else "starting"
        return web.Response(text=f"molehill: {state}\n/metrics\n/healthz\n/readyz\n")

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        if self.molehill.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: recovering\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = await asyncio.get_running_loop().run_in_executor(
            None,
            render,
            read(self.molehill),
            self.molehill.routes.catalogue,
            request.headers.get("Accept", ""),
            request.query.getall("name[]", []),
        )
        return web.Response(body=body, headers={"Content-Type": content_type})
