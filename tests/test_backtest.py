"""A backtest judges as the live pipeline does, and tells what stock alerts would have done."""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import cli
from streams import names
from streams.backtest import Backtest
from streams.burn import PAIRS
from streams.desk import Desk
from streams.detect import Judge
from streams.events import SECOND
from streams.moles import Finding, Mole, Transition
from streams.series import Series
from streams.stock import MINUTE_S, Episode, Stock, Verdict, against
from tests.core import BASE, BASE_S, DAY_S, Event, Record, answer, body, catalogue, routes, touchpoint
from tests.expected import micros_of
from tests.pipeline import Pipeline

FLIGHTS = Path(__file__).parents[2] / "shared" / "data" / "flights-jan-apr.jsonl.gz"
HOUR_S = 3600


def outage(hours: int = 30, begin: int = 20, end: int = 23) -> list[Event]:
    """A touchpoint each half minute, an answer each five minutes; all fails from `begin` to `end` (hours)."""
    out: list[Event] = []
    for i in range(hours * 120):
        at = i * 30
        bad = begin * HOUR_S <= at < end * HOUR_S and i % 3
        plan = "pro" if i % 4 == 0 else "free"
        out.append(touchpoint(f"t{i}", at, outcome="failed" if bad else "ok", segment={"plan": plan}))
        if i % 10 == 0:
            out.append(answer(f"a{i}", at, score=1 if bad else 5, segment={"plan": plan}))
    return out


def backtest(events: list[Event], batch: int = 1000) -> tuple[Backtest, list[Transition]]:
    run = Backtest(catalogue())
    lines = [body(e) for e in events]
    told = [t for i in range(0, len(lines), batch) for t in run.feed(lines[i : i + batch])]
    return run, told + run.finish()


def live(events: list[Event]) -> list[Finding]:
    """What the health stage finds in the same events, each topic being one topic-partition."""
    sources: dict[tuple[str, int], list[Record]] = {(names.TOUCHPOINTS, 0): [], (names.FEEDBACK, 0): []}
    for e in events:
        topic = names.TOUCHPOINTS if e["type"] == names.TOUCHPOINT else names.FEEDBACK
        records = sources[topic, 0]
        records.append(Record(len(records), body(e)))
    pipeline = Pipeline(routes(1), sources)
    pipeline.finish()
    pipeline.frontier(idle=True)
    (health,) = pipeline.healths()
    while health.judging.advance(health.clock.now // SECOND):
        pass
    return health.judging.take()


def test_an_outage_is_one_mole_in_both_signals() -> None:
    run, told = backtest(outage())
    assert [t.event for t in told if t.notify] == ["popped"]
    mole = told[-1].mole
    assert (mole.moment, mole.signal, mole.segment) == ("pay", "outcome", "all")
    assert 0 <= mole.first_harm.timestamp() - BASE_S - 20 * HOUR_S <= 60
    assert mole.popped.timestamp() - BASE_S < 20.3 * HOUR_S
    assert run.received == run.accepted == len(outage())


@pytest.mark.parametrize("late", [0, 7], ids=["in order", "every seventh event an hour late"])
def test_a_backtest_finds_what_the_live_pipeline_finds(late: int) -> None:
    events = outage()
    if late:  # within `allowed_lateness`, and behind the others
        behind = {i: micros_of(e["time"]) + (3500 * SECOND if i % late == 0 else 0) for i, e in enumerate(events)}
        events = [e for _, e in sorted(enumerate(events), key=lambda x: (behind[x[0]], x[0]))]
    found = live(events)
    assert any(f.event == "up" for f in found)
    desk = Desk(catalogue())
    by_step: defaultdict[int, list[Finding]] = defaultdict(list)
    for f in found:
        by_step[f.at].append(f)
    told = [t for at, some in sorted(by_step.items()) for t in desk.advance(at, some)]
    assert told == backtest(events)[1]


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 3000), st.randoms(use_true_random=False))
def test_where_the_file_is_cut_and_what_comes_twice_does_not_matter(batch: int, r: object) -> None:
    events = outage()
    twice = [x for i, e in enumerate(events) for x in ([e, e] if i % 7 == 0 else [e])]
    run, told = backtest(twice, batch)
    assert told == backtest(events)[1]
    assert run.duplicates == len(twice) - len(events)


def test_lines_that_are_no_events_count_nowhere() -> None:
    run = Backtest(catalogue())
    run.feed([b"{", body(touchpoint()), body({**touchpoint("2"), "type": "x"}), body(answer(score=9))])
    assert run.refused == {"bad_json": 1, "unknown_type": 1, "bad_field": 1}
    assert (run.received, run.accepted) == (4, 1)


def test_what_is_late_is_judged_when_it_arrives() -> None:
    seen = Counter[int]()

    class Spy(Judge):
        def step_rows(self, at: int, rows: Iterable[tuple[Series, int, int]]) -> list[Finding]:
            rows = list(rows)
            for s, n, _ in rows:
                seen[at - BASE_S] += n if s.segment == "all" and s.signal == "outcome" else 0
            return super().step_rows(at, rows)

    run = Backtest(catalogue())
    run.judges["pay"] = Spy(run.catalogue, "pay")
    run.feed([body(touchpoint(str(i), at)) for i, at in enumerate((5, 25, 6, 7, 45, 51))])
    run.finish()
    assert +seen == {10: 1, 30: 3, 50: 1}
    #    0    10    20    30    40    50
    #    |--5--|-----|-25--|-----|-45--|-51   6 and 7 came after 25; the last step has not ended


# Stock alerts


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_stock_alerts_fire_where_both_windows_of_a_pair_are_above_its_factor(
    cells: list[tuple[int, int, int]],
) -> None:
    period, objective = 30 * 86_400.0, 0.99
    stock, minute, events = Stock(period), 1_000_000, []
    for wait, good, bad in cells:
        minute += wait
        if good + bad:
            stock.add(("m", "all", "outcome"), minute * MINUTE_S + 10, good + bad, bad)
            events.append((minute, good + bad, bad))
    if not events:
        return
    truth = []
    for now in range(events[0][0], events[-1][0] + 1):
        for pair in PAIRS:
            above = []
            for window in (pair.long_s, pair.short_s):
                inside = [(n, b) for at, n, b in events if now - window // 60 < at <= now]
                n, b = sum(n for n, _ in inside), sum(b for _, b in inside)
                above.append(n > 0 and b / n > pair.share * period / pair.long_s * (1 - objective) + 1e-12)
            if all(above):
                truth.append(now)
                break
    found = stock.episodes(("m", "all", "outcome"), objective)
    starts = [t for i, t in enumerate(truth) if i == 0 or t - truth[i - 1] > 60]
    assert [e.begin for e in found] == [(t + 1) * MINUTE_S for t in starts]


def mole(begin: int, end: int | None, segment: str = "all", linked: tuple[str, ...] = ()) -> Mole:
    """A mole of `pay`; minutes after BASE."""
    return Mole(
        id=f"m{begin}", moment="pay", segment=segment, signal="outcome", kind="burn", tier="important",
        state="popped" if end is None else "whacked", first_harm=minute(begin), popped=minute(begin + 1),
        whacked=None if end is None else minute(end), bad=9, total=10, burn_rate=9, burn_rate_low=8, linked=linked,
        explain="",
    )  # fmt: skip


def minute(n: int) -> datetime:
    return BASE + timedelta(minutes=n)


def rings(*spans: tuple[int, int]) -> list[Episode]:
    return [Episode(BASE_S + 60 * begin, BASE_S + 60 * end) for begin, end in spans]


def test_stock_alerts_are_held_against_moles_and_moles_against_stock_alerts() -> None:
    moles = [mole(100, 200), mole(300, 400, "plan=pro", ("browse",)), mole(500, 600), mole(900, None)]
    episodes = {
        ("pay", "all", "outcome"): rings((20, 30), (120, 130), (160, 170), (480, 510), (700, 710)),
        ("pay", "plan=pro", "outcome"): rings((330, 340)),
        ("pay", "plan=free", "outcome"): rings((310, 311), (450, 460)),
        ("browse", "all", "outcome"): rings((350, 360), (550, 560)),
        ("other", "all", "outcome"): rings((150, 160)),
    }
    #  all    20-30  [100 120-130 160-170 200]  [300 400]  480-[510 600]  700-710  [900
    found = against(moles, episodes, only_all=True)
    assert found == Verdict(4, 2, [20 * 60], before=1, notifications=8, elsewhere=4)
    found = against(moles, episodes, only_all=False)
    assert found == Verdict(4, 3, [20 * 60, 30 * 60], before=1, notifications=11, elsewhere=5)


# The command

CATALOGUE = """
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: shop}
segments: {plan: {values: [free, pro]}}
moments:
  pay: {title: Pay, tier: game-over, signals: {outcome: {objective: 99%}}}
"""


def command(where: Path, events: list[Event], *options: str, text: str = CATALOGUE) -> Result:
    (where / "c.yaml").write_text(text)
    with gzip.open(where / "events.jsonl.gz", "wb") as file:
        file.write(b"\n".join(body(e) for e in events))
    files = [str(where / "events.jsonl.gz"), "--catalogue", str(where / "c.yaml")]
    done = CliRunner().invoke(cli.cli, ["backtest", *files, *options])
    assert done.exit_code == 0
    return done


def test_the_command_prints_a_mole_a_line_and_a_summary(tmp_path: Path) -> None:
    done = command(tmp_path, outage(), "--against", "stock")
    (mole,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert mole["id"].startswith("pay.outcome.")
    assert "1 mole (0 returned), in 1.2 days" in done.stderr
    assert "stock burn-rate alerts on `all`: found 1 of 1 mole," in done.stderr
    assert "(molehill: 1), 0 at no mole's time" in done.stderr


def test_one_event_is_no_time_at_all(tmp_path: Path) -> None:
    done = command(tmp_path, [touchpoint()])
    assert done.stderr == "1 event: 1 accepted, 0 duplicate, 0 refused\n0 moles (0 returned), in 0.0 days\n"


@pytest.mark.parametrize(("days", "told"), [(27, False), (29, True)])
def test_a_leap_of_the_clock_past_a_budget_period_is_named(tmp_path: Path, days: int, told: bool) -> None:
    times = [*range(0, 6 * HOUR_S, 600), (days + 1) * DAY_S, *range(6 * HOUR_S, 9 * HOUR_S, 600)]
    done = command(tmp_path, [touchpoint(f"t{i}", at) for i, at in enumerate(times)])
    assert "18 refused (18 too_late)" in done.stderr
    leap = "no event came between 2024-03-01 and 2024-03-31; should a wrong time have ended it, "
    assert (leap + "what is older and came later is too_late" in done.stderr) == told


@pytest.mark.parametrize(("tier", "told"), [("tolerable", True), ("game-over", False)])
def test_a_tolerable_moments_unspent_budget_is_in_the_summary(tmp_path: Path, tier: str, told: bool) -> None:
    text = CATALOGUE.replace("game-over", tier).replace("segments:", "budget_period: 5d\nsegments:")
    events = [touchpoint(f"t{i}", i * HOUR_S, outcome="ok" if i % 400 else "failed") for i in range(8 * 24)]
    done = command(tmp_path, events, text=text)
    (budget,) = [x for x in done.stderr.splitlines() if "budget" in x] or [""]
    assert budget == ("pay: 100% of a whole period's budget left, more care than it needs (it is tolerable)" * told)


def test_the_command_needs_a_catalogue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("MOLEHILL_CATALOGUE", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["backtest", "-"])
    assert ended.value.code == 2
    assert "--catalogue" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not FLIGHTS.exists(), reason=f"{FLIGHTS} is missing")
def test_the_flights_reach_the_bars_of_issue_5() -> None:
    from streams.catalogue import parse
    from tests.bench.flights import AIRPORT

    run = Backtest(parse(AIRPORT, "flights.yaml"))
    lines = gzip.decompress(FLIGHTS.read_bytes()).splitlines()
    told = [t for i in range(0, len(lines), 4096) for t in run.feed(lines[i : i + 4096])] + run.finish()
    moles = {t.mole.id: t.mole for t in told}
    assert len(moles) / (119 / 7) <= 2.5
    carriers = [m for m in moles.values() if f"{m.popped:%m%d%H}" < "041619" and f"{m.popped:%m%d}" == "0416"]
    assert any({"carrier=AA", "carrier=MQ"} & {c.segment for c in m.contributors[:3]} for m in carriers)
