"""Moles through the API of real workers: what one says, all say; what is done by any of them is done once."""

import datetime as dt
import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
import pytest
from click.testing import CliRunner, Result

from agents.cli import cli
from agents.moles_command import moles as moles_group
from tests.integration import collapse
from tests.integration.harness import WorkerProcess
from tests.integration.kafka_server import KafkaServer, wait_until
from tests.integration.lab import Lab


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(worker: WorkerProcess, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request; `body` may be bytes, or an iterable of parts."""
    connection = http.client.HTTPConnection(urlsplit(worker.url).netloc, timeout=60)
    try:
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Stream:
    """What a worker's stream has said so far, read in the background."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(worker.url).netloc, timeout=120)
        self.connection.request("GET", "/api/stream")
        self.answer = self.connection.getresponse()
        self.events: list[tuple[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        event = ""
        try:
            for line in self.answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    self.events.append((event, json.loads(value)))
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass  # closed

    def states(self) -> dict[str, str]:
        """Mole → state, by the last `moles`."""
        found = [data for event, data in list(self.events) if event == "moles"]
        return {m["id"]: m["state"] for m in found[-1]} if found else {}

    def whole(self) -> bool:
        """Whether it has told of every moment, and of the clock."""
        told = list(self.events)
        moments = {data["moment"] for event, data in told if event == "moment"}
        return moments == {"pay", "ask", "browse"} and any(event == "clock" and data for event, data in told)

    def close(self) -> None:
        self.connection.close()


LIFE = ("state", "popped", "acked", "whacked")


class Scene(NamedTuple):
    lab: Lab
    both: tuple[WorkerProcess, WorkerProcess]
    mole: str


def moles(worker: WorkerProcess) -> dict[str, dict[str, Any]]:
    return {m["id"]: m for m in ask(worker, "GET", "/api/moles").json.get("moles", [])}


@pytest.fixture(scope="module")
def scene(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two workers, three quiet days, and a mole that both of them show."""
    home = tmp_path_factory.mktemp("api")
    lab = Lab(kafka, home, collapse.MOMENTS, "api")
    second = WorkerProcess(lab.brokers, lab.catalogue, home / "w2", lab.app)
    with lab.worker as first, second:
        both = (first, second)
        wait_until(lambda: all(w.ready() for w in both), 120, "two workers")
        lab.send(collapse.quiet_days(now()))
        wait_until(lambda: ask(first, "GET", "/api/moles").json["clock"] > 0, 120, "what was judged")
        assert moles(first) == {}
        lab.send(collapse.collapse(now()))

        def shown() -> list[str]:
            of = [[i for i, m in moles(w).items() if m["moment"] == "pay" and m["kind"] == "burn"] for w in both]
            return of[0] if of[0] == of[1] else []

        mole = (wait_until(shown, 180, "a mole on both workers") or [""])[0]
        yield Scene(lab, both, mole)


def test_any_worker_tells_of_every_moment_and_every_mole(scene: Scene) -> None:
    for worker in scene.both:
        shown = moles(worker)[scene.mole]
        assert (shown["moment"], shown["tier"], shown["segment"]) == ("pay", "game-over", "all")
        assert next(c["segment"] for c in shown["contributors"]) == "region=north"
        assert ask(worker, "GET", f"/api/moles/{scene.mole}").json["id"] == scene.mole

    def summed_up() -> bool:
        """The pay moment's hours add up to all its events, wherever one asks."""
        for worker in scene.both:
            found = {m["moment"]: m for m in ask(worker, "GET", "/api/moments").json["moments"]}
            if set(found) != {"pay", "ask", "browse"}:
                return False
            (signal,) = found["pay"]["signals"]
            if signal["bad"] < collapse.COLLAPSED or sum(bad for _, bad in signal["hours"]) < collapse.COLLAPSED:
                return False
            worst = found["pay"]["segments"][0]
            assert (worst["segment"], worst["signal"]) == ("region=north", "outcome")
            assert signal["burn_rate"]["1h"] > signal["burn_rate_low"]["1h"] > 1
        return True

    wait_until(summed_up, 60, "summaries on both workers")


def test_what_is_not_there_is_not_found(scene: Scene) -> None:
    for worker in scene.both:
        assert ask(worker, "GET", "/api/moles/none").status == 404
        assert ask(worker, "POST", "/api/moles/none/ack").status == 404
        assert ask(worker, "POST", f"/api/moles/{scene.mole}/feed").status == 404
        assert ask(worker, "GET", f"/api/moles/{scene.mole}/ack").status == 405


BAD_BODIES = [
    b"{", b"[]", b'"2h"', b"\xff", b'{"for": 2}', b'{"for": "2 hours"}', b'{"for": "-2h"}', b'{"for": "0s"}',
    b'{"by": null}', b'{"hours": 2}', b'{"for": "1h", "for": 2}',
]  # fmt: skip


def test_a_body_that_is_not_understood_changes_nothing(scene: Scene) -> None:
    worker = scene.both[0]
    before = moles(worker)[scene.mole]["state"]
    for body in BAD_BODIES:
        answer = ask(worker, "POST", f"/api/moles/{scene.mole}/snooze", body)
        assert (answer.status, "error" in answer.json) == (400, True), body
    assert ask(worker, "POST", f"/api/moles/{scene.mole}/snooze", b" " * 5000).status == 413
    long = ask(worker, "POST", f"/api/moles/{scene.mole}/snooze", b'{"for": "8d"}')
    assert (long.status, "7 days" in long.json["error"]) == (409, True)
    assert moles(worker)[scene.mole]["state"] == before


def test_a_mole_lives_through_what_is_done_by_either_worker_and_the_world_hears_each_step_once(scene: Scene) -> None:
    lab, (first, second), mole = scene
    streams = [Stream(first), Stream(second)]
    wait_until(lambda: all(mole in s.states() for s in streams), 30, "the mole on both streams")
    for s in streams:
        assert s.answer.getheader("Content-Type") == "text/event-stream"
        assert s.events[0][0] == "moles"
        wait_until(s.whole, 30, "every moment and the clock on the stream")

    def done(worker: WorkerProcess, action: str, state: str, body: Any = None) -> None:
        answer = ask(worker, "POST", f"/api/moles/{mole}/{action}", body)
        assert (answer.status, answer.json.get("state")) == (200, state), answer.body
        wait_until(lambda: all(s.states()[mole] == state for s in streams), 30, f"{state} on both streams")
        assert all(moles(w)[mole]["state"] == state for w in scene.both)

    def refused(worker: WorkerProcess, action: str) -> None:
        before = moles(worker)[mole]
        answer = ask(worker, "POST", f"/api/moles/{mole}/{action}")
        assert (answer.status, before["state"] in answer.json["error"]) == (409, True)
        assert {k: moles(worker)[mole][k] for k in LIFE} == {k: before[k] for k in LIFE}

    done(first, "ack", "acknowledged", b'{"by": "alice"}')
    refused(first, "ack")
    refused(second, "ack")
    before = ask(first, "GET", "/api/moles").json["clock"]
    done(second, "snooze", "snoozed", iter([b'{"for":', b' "2h"}']))
    for worker in scene.both:
        told_ = ask(worker, "GET", "/api/moles").json
        assert set(told_["snoozed_until"]) == {mole}
        until = dt.datetime.fromisoformat(told_["snoozed_until"][mole]).timestamp() - 7200
        assert before <= until <= told_["clock"]
        assert not {"snoozed_until"} & set(moles(worker)[mole]), "a mole has the contract's fields"
    done(first, "ack", "acknowledged")
    done(second, "whack", "whacked")
    for action in ("ack", "snooze", "whack"):
        refused(first, action)
        refused(second, action)
    shown = moles(first)[mole]
    assert shown["popped"] <= shown["acked"] <= shown["whacked"]
    for s in streams:
        s.close()

    def told() -> Counter[str]:
        events = [orjson.loads(r.value) for r in lab.read(lab.topics["moles"])]
        return Counter(e["transition"] for e in events if e["subject"] == mole and e["transition"] != "updated")

    wanted = Counter(popped=1, acked=2, snoozed=1, whacked=1)
    wait_until(lambda: sum(told().values()) >= wanted.total(), 60, "every step on the topic")
    assert told() == wanted

    def exported() -> list[Counter[str]]:
        out = []
        for worker in scene.both:
            found = worker.samples("cx_moles_total").get("cx_moles_total", {})
            out.append(Counter[str]())
            for labels, n in found.items():
                if n and ("moment", "pay") in labels:
                    out[-1][dict(labels)["event"]] += int(n)
        return sorted(out, key=lambda c: c.total())

    wait_until(lambda: exported() == [Counter(), Counter(popped=1, acked=2, whacked=1)], 30, "one exporter")


def molehill(worker: WorkerProcess, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["moles", "--url", worker.url, *arguments])


def test_the_command_lists_and_acts_by_the_beginning_of_an_id(scene: Scene) -> None:
    lab, (first, second), _ = scene
    lab.send(collapse.collapse(now(), "ask", "south"))
    wait_until(lambda: any(m["moment"] == "ask" for m in moles(second).values()), 180, "another mole")
    name = next(i for i, m in moles(second).items() if m["moment"] == "ask")

    listed = molehill(second)
    assert listed.exit_code == 0
    assert name in listed.output
    assert moles(second)[name]["explain"].split()[0] in listed.output
    lines = molehill(first, "list", "--json").output.splitlines()
    assert {json.loads(x)["id"] for x in lines} == set(moles(first))

    assert molehill(first, "ack", name[:6], "--by", "alice").output == f"{name}: acknowledged\n"
    assert molehill(second, "snooze", name, "--for", "30m").output == f"{name}: snoozed\n"
    assert "Snoozed until" in molehill(first).output
    assert molehill(first, "whack", name).output == f"{name}: whacked\n"
    again = molehill(first, "ack", name)
    assert "whacked" in str(again.exception)
    assert "begin so" in str(molehill(first, "ack", "nothing-like-it").exception)
    assert set(moles_group.commands) == {"list", "ack", "whack", "snooze"}
