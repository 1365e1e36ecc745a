"""Complaints where nobody praises: their number is judged, by the hour of the week."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from streams import surge
from streams.backtest import Backtest
from streams.baseline import Group
from streams.catalogue import parse
from streams.moles import Mole

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
CATALOGUE = parse(
    """\
apiVersion: molehill/v1
kind: Catalogue
metadata: {name: bank}
segments: {product: {limit: 20}, state: {limit: 20}}
moments:
  support: {title: Support, tier: important, signals: {complaint: {objective: 90%}}}
""",
    "bank.yaml",
)
WEEK = (1.0, 1.1, 1.0, 1.0, 0.9, 0.4, 0.3)
PRODUCTS = {"card": 0.5, "loan": 0.3, "mortgage": 0.15, "other": 0.05}
Surge = tuple[int, int, str, float]  # first day, day after the last, product or all, times as many


def lines(
    seed: int,
    days: int = 50,
    daily: float = 300,
    surge: Surge | None = None,
    dates: bool = False,
    praise: float = 0.0,
) -> list[bytes]:
    """Complaints with a week, nights, and days that differ by a tenth."""
    g = np.random.default_rng(seed)
    out: list[tuple[datetime, str, str]] = []
    for hour in range(24 * days):
        day = hour // 24
        if hour % 24 == 0:
            level = g.gamma(100, 0.01)
        for product, share in PRODUCTS.items():
            rate = daily / 24 * WEEK[day % 7] * (0.2 if hour % 24 < 7 else 1.33) * share * level
            if surge and surge[0] <= day < surge[1] and surge[2] in ("all", product):
                rate *= surge[3]
            for _ in range(g.poisson(rate)):
                at = timedelta(days=day) if dates else timedelta(hours=hour, seconds=float(g.random() * 3599))
                out.append((BEGIN + at, product, f"s{g.integers(0, 8)}"))
    out.sort()
    said = ["praise" if x < praise else "complaint" for x in g.random(len(out))]
    return [
        json.dumps(
            {
                "specversion": "1.0", "id": str(i), "source": "/bank", "type": "cx.feedback",
                "time": at.isoformat(timespec="milliseconds"),
                "data": {
                    "customer": f"c{i}", "survey": said[i], "moment": "support",
                    "segment": {"product": product, "state": state},
                },
            }
        ).encode()
        for i, (at, product, state) in enumerate(out)
    ]  # fmt: skip


def moles(some: list[bytes]) -> tuple[list[Mole], Backtest]:
    run = Backtest(CATALOGUE)
    found: dict[str, Mole] = {}
    for i in range(0, len(some), 4096):
        for told in run.feed(some[i : i + 4096]):
            found[told.mole.id] = told.mole
    for told in run.finish():
        found[told.mole.id] = told.mole
    return list(found.values()), run


def group(run: Backtest) -> Group:
    return run.judges["support"].state.groups["complaint"]


@pytest.mark.parametrize("dates", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_weeks_as_always_raise_no_mole_from_the_first_complaint_on(seed: int, dates: bool) -> None:
    found, run = moles(lines(seed, dates=dates))
    assert found == []
    assert group(run).counted


@pytest.mark.parametrize("dates", [False, True])
def test_a_surge_of_one_product_is_told_within_the_day_by_its_name_and_is_over_with_it(dates: bool) -> None:
    (mole,), _ = moles(lines(3, surge=(40, 43, "loan", 4.0), dates=dates))
    begin, end = BEGIN + timedelta(days=40), BEGIN + timedelta(days=43)
    assert (mole.segment, mole.kind, mole.signal) == ("product=loan", "shift", "complaint")
    assert begin - timedelta(hours=12) <= mole.first_harm <= begin + timedelta(hours=12)
    assert begin <= mole.popped <= begin + timedelta(days=1)
    assert mole.whacked is not None
    assert end - timedelta(hours=12) <= mole.whacked <= end + timedelta(days=2)
    assert mole.contributors[0].segment == "product=loan"
    assert (mole.contributors[0].bad, mole.contributors[0].total) == (mole.bad, mole.total)


def test_a_surge_of_dates_is_not_over_on_a_saturday_when_few_complain_anyway() -> None:
    """All of a day comes in its first step: it is held against that day, not against the one before."""
    found, _ = moles(lines(7, surge=(38, 50, "loan", 3.0), dates=True))
    assert [(m.segment, m.whacked) for m in found] == [("product=loan", None)]
    assert "most of it in" not in found[0].explain, "of its own segment"


def test_a_surge_of_a_few_does_not_teach_that_it_is_ordinary_before_it_is_told() -> None:
    found = [moles(lines(seed, 55, 100, surge=(40, 52, "other", 5.0), dates=True))[0] for seed in range(4)]
    assert [some[0].segment for some in found if some] == ["product=other"] * 4


def test_a_surge_of_everything_is_told_as_such_with_how_many_would_be_ordinary() -> None:
    some = lines(4, surge=(40, 42, "all", 3.0))
    (mole,), _ = moles(some)
    assert mole.segment == "all"
    assert mole.explain.startswith(f"Support (support): customers complained {mole.bad:,} times since ")
    first, last = mole.first_harm, BEGIN + timedelta(days=42)
    came = sum(first <= datetime.fromisoformat(json.loads(x)["time"]) < last for x in some)
    assert mole.bad == pytest.approx(came, rel=0.15)
    usual = float(mole.explain.split("where ")[1].split(" would")[0].replace(",", ""))
    assert usual == pytest.approx(mole.bad / 3, rel=0.25)


def test_where_customers_praise_as_well_their_share_is_judged() -> None:
    _, run = moles(lines(5, days=20, praise=0.3))
    assert not group(run).counted


def test_a_run_is_as_surprising_as_its_likelihood_ratio_says() -> None:
    run = Backtest(CATALOGUE)
    some = lines(6, days=20)
    run.feed(some)
    g = group(run)
    s = g.all
    s.bads[0], s.expects[0] = 50, 20.0
    e = 20.0 * surge.busiest(g, s)
    ratio = math.exp(50 * math.log(50 / e) - 50 + e)
    assert surge.surprised(g, s, 0) == pytest.approx(math.log(ratio))
    s.bads[0] = int(e)
    assert surge.surprised(g, s, 0) == 0.0
