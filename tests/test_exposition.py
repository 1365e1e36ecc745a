"""exposition.py against prometheus_client's own objects and parsers; and /metrics as a whole."""

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector

from agents.app import Molehill
from agents.health import Owned
from agents.reading import Operation, Reading
from agents.snapshots import Snapshots
from agents.web import render
from streams import names
from streams.exposition import PART, SERIES, exposition
from streams.view import View, view
from streams.windows import WINDOWS
from tests.core import TEXT, Event, answer, catalogue, routes, touchpoint
from tests.strategies import answers
from tests.test_api import Port, run
from tests.test_view import health_of

QUOTED = ('a"b', "back\\slash", "new\nline", "é€", "a\\nb")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
IDLE = Operation([0] * 11, 0.0, {}, {}, {}, 0.0, {}, {}, {}, {})

events = st.lists(
    st.builds(
        lambda region, plan, failed, at: touchpoint(
            at_s=at, outcome="failed" if failed else "ok", segment={"region": region, "plan": plan}
        ),
        st.sampled_from([*QUOTED[:3], "eu"]),
        st.sampled_from(["free", "pro"]),
        st.booleans(),
        st.integers(0, 3000),
    ),
    max_size=12,
)


class Plain(Collector):
    """The same families, sample by sample."""

    def __init__(self, v: View) -> None:
        self.v = v

    def collect(self) -> Iterator[Metric]:
        v, three = self.v, ["moment", "segment", "signal"]
        what = {b.name: b.what for b in SERIES}
        ever = CounterMetricFamily(names.EVENTS, what[names.EVENTS], labels=[*three, "result"])
        inside = GaugeMetricFamily(
            names.WINDOW_EVENTS, what[names.WINDOW_EVENTS], labels=[*three, "window", "result"]
        )
        burn = GaugeMetricFamily(names.BURN, what[names.BURN], labels=[*three, "window"])
        low = GaugeMetricFamily(names.BURN_LOW, what[names.BURN_LOW], labels=[*three, "window"])
        budget = GaugeMetricFamily(names.BUDGET, what[names.BUDGET], labels=three)
        for i, series in enumerate(v.series):
            ever.add_metric([*series, "good"], v.ever.good[i])
            ever.add_metric([*series, "bad"], v.ever.bad[i])
            for w in WINDOWS:
                inside.add_metric([*series, w, "good"], v.windows[w].good[i])
                inside.add_metric([*series, w, "bad"], v.windows[w].bad[i])
                rates, lows = v.burn(w)
                burn.add_metric([*series, w], rates[i])
                low.add_metric([*series, w], lows[i])
            budget.add_metric(series, v.remaining()[i])
        yield from (ever, inside, burn, low, budget)


def lines(text: bytes) -> list[str]:
    return sorted(line for line in text.decode().split("\n") if line not in ("", "# EOF"))


@settings(max_examples=25)
@given(events)
def test_the_series_read_as_prometheus_client_writes_them(touchpoints: list[Event]) -> None:
    v = view(health_of(sorted(touchpoints, key=lambda e: str(e["time"]))))
    registry = CollectorRegistry()
    registry.register(Plain(v))
    for accept in ("", OPENMETRICS):
        encoder, _ = choose_encoder(accept)
        assert lines(b"".join(exposition([v], openmetrics=bool(accept)))) == lines(encoder(registry))


@settings(max_examples=25)
@given(st.lists(answers(st.integers(0, 1800).map(float)), max_size=15))
def test_scores_are_means_and_shares_of_the_answers_with_their_bounds_around_them(some: list[Event]) -> None:
    v = view(health_of([], sorted(some, key=lambda e: str(e["time"]))))
    found = {
        (s.name, *(s.labels[x] for x in ("moment", "segment", "survey", "window"))): s.value
        for family in parse(b"".join(exposition([v], openmetrics=False)).decode())
        for s in family.samples
        if "survey" in s.labels
    }
    expected: dict[tuple[str, ...], list[float]] = {}
    for s in v.scores:
        for i, n, total, up, down in zip(s.at, s.n, s.total, s.promoters, s.detractors, strict=True):
            key = *s.asked[i], s.survey, s.window
            expected[names.SCORE_MEAN, *key] = total / n / 1000
            if s.survey == "nps":
                expected[names.NPS, *key] = (up - down) / n
    middle = {k: x for k, x in found.items() if k[0] in (names.SCORE_MEAN, names.NPS)}
    assert middle == pytest.approx(expected)
    assert len(found) == 3 * len(middle)
    for (name, *of), x in middle.items():
        low, high = (
            (names.SCORE_LOW, names.SCORE_HIGH) if name == names.SCORE_MEAN else (names.NPS_LOW, names.NPS_HIGH)
        )
        assert found[low, *of] - 1e-9 <= x <= found[high, *of] + 1e-9


def many() -> View:
    """More series than one piece of text holds, with a few answers."""
    by = routes(1, TEXT.replace("region: {limit: 4}", "region: {limit: 200}"))
    return view(health_of([touchpoint(segment={"region": f"r{i}"}) for i in range(200)], [answer(score=5)], by))


def test_pieces_are_small_and_a_family_has_one_head_wherever_they_are_cut() -> None:
    v = many()
    assert len(v.series) > 3 * PART
    pieces = list(exposition([v, v], openmetrics=False))
    assert max(p.count(b"\n") for p in pieces) <= 2 + PART * 2 * len(WINDOWS)
    heads = [line for line in b"".join(pieces).split(b"\n") if line.startswith(b"# TYPE")]
    assert len(heads) == len(set(heads)) == len(SERIES) + 3


def test_a_family_without_a_sample_is_left_out() -> None:
    assert list(exposition([], openmetrics=False)) == []
    assert names.SCORE_MEAN.encode() not in b"".join(exposition([view(health_of([]))], openmetrics=False))


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_metrics_are_one_whole_that_a_parser_takes_and_each_family_stands_once(accept: str) -> None:
    pieces, kind = render(Reading([many()], {}, 0, IDLE), catalogue(), accept, [])
    text = b"".join(pieces).decode()
    assert kind.startswith(OPENMETRICS if accept else "text/plain")
    assert text.endswith("# EOF\n") == bool(accept)
    families = [f.name for f in (parse_openmetrics if accept else parse)(text)]
    assert len(families) == len(set(families))
    assert {names.EVENTS, names.BURN, names.SCORE_MEAN, names.OBJECTIVE, names.BUILD_INFO} <= set(families)


def test_only_the_named_samples_are_given() -> None:
    wanted = ["cx_events_total", names.SCORE_LOW, "molehill_series"]
    pieces, _ = render(Reading([many()], {}, 0, IDLE), catalogue(), "", wanted)
    found = {s.name for f in parse(b"".join(pieces).decode()) for s in f.samples}
    assert found == set(wanted)


def test_gzip_is_for_who_asks_and_a_head_has_no_body(tmp_path: Path) -> None:
    async def asked() -> None:
        async with Port(tmp_path) as port:
            plain = await port.ask("GET /metrics?name[]=molehill_build_info")
            small = await port.ask("GET /metrics?name[]=molehill_build_info", b"Accept-Encoding: gzip, deflate")
            assert "Content-Encoding" not in plain.headers
            assert small.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(unchunked(small.body)) == unchunked(plain.body)
            assert b"molehill_build_info{" in plain.body
            head = await port.ask("HEAD /metrics")
            assert (head.status, head.body) == (200, b"")
            assert head.headers["Content-Type"] == plain.headers["Content-Type"]

    run(asked())


class Leaving(Molehill):
    """A worker that has a partition, and after so many looks finds its session over."""

    looks = 0

    @property
    def in_session(self) -> bool:
        """Until then."""
        self.looks -= 1
        return self.looks >= 0


@pytest.mark.parametrize(("looks", "whole"), [(1000, True), (6, False), (2, False), (0, True)])
def test_a_worker_that_loses_its_session_while_it_is_scraped_gives_no_whole_answer(
    looks: int, whole: bool, tmp_path: Path
) -> None:
    """One that has lost it before says only how it is itself."""

    async def asked() -> bytes:
        async with Port(tmp_path) as port:
            by = routes(1, TEXT.replace("region: {limit: 4}", "region: {limit: 200}"))
            worker = port.pages.molehill = Leaving(port.settings, by)
            health = health_of([touchpoint(segment={"region": f"r{i}"}) for i in range(200)], (), by)
            snapshots = Snapshots(worker.app, port.settings.snapshots, 0, port.settings.nonce)
            worker.health.owned = {0: Owned(health, snapshots, 0)}
            worker.health.owned[0].recovered = True
            worker.consumer.progress = lambda tp: (None, None)  # nothing has been fetched
            worker.loaded, worker.looks = True, looks
            reader, writer = await port.send("GET /metrics", b"Connection: close")
            out = b""
            with contextlib.suppress(ConnectionResetError):
                while some := await reader.read(1 << 16):
                    out += some
            writer.close()
            return out

    text = run(asked())
    assert text.endswith(b"\r\n0\r\n\r\n") == whole
    assert (b"molehill_build_info{" in text) == whole  # the last piece has it
    if whole:
        assert (b"cx_events_total{" in text) == bool(looks)


def unchunked(body: bytes) -> bytes:
    """Without what Transfer-Encoding: chunked puts between."""
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        out, body = out + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return out
