"""`--max-series` of a worker: what is over it is refused visibly, and counted all the same."""

from pathlib import Path

from tests.integration.kafka_server import KafkaServer
from tests.integration.siege import Siege
from tests.integration.siege_load import load
from tests.integration.siege_truth import differences, expected
from tests.integration.test_doctor import doctor

LIMIT = 5
REFUSED = "molehill_series_refused{}"
SERIES = "molehill_series{}"


def test_series_over_the_limit_are_refused_visibly_and_counted_all_the_same(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    with Siege(kafka, tmp_path, "fewseries", max_series=str(LIMIT)) as limited:
        limited.send(load(4_000, seed=71))
        limited.worker.start()
        truth = limited.truth()
        got = limited.settled_totals(truth)
        want = expected(truth)
        shown = {k: v for k, v in got.items() if k.startswith("cx_events_total")}
        assert len(shown) == 2 * LIMIT  # good and bad
        assert all("segment=all" in k.replace('"', "") for k in shown), "of whichever partition"
        assert shown == {k: want.get(k, 0) for k in shown}
        quick = limited.worker.quick("molehill_series", "molehill_series_refused")
        assert quick[SERIES] == LIMIT
        refused = quick[REFUSED]
        assert refused > 0
        assert limited.worker.said().count(f"series are over --max-series {LIMIT}: ") == 1  # after many scrapes
        _, found = doctor(limited, "--worker", limited.worker.url)
        assert found["series"]["status"] == "warn"
        assert found["series"]["what"].startswith(f"{refused:.0f} of {LIMIT + refused:.0f} are over --max-series")
        assert not differences(*({k: v for k, v in some.items() if not k.startswith("cx_")} for some in (want, got)))
        limited.worker.kill()
        with Siege(kafka, tmp_path, "fewseries", declare=False) as free:  # the same application
            free.worker.start()
            free.verify(truth=truth)
            quick = free.worker.quick("molehill_series", "molehill_series_refused")
            assert (quick[SERIES], quick[REFUSED]) == (LIMIT + refused, 0)
