"""The group: heartbeats, assignments, what a coordinator raises, and what it has committed."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import GroupAuthorizationFailedError, UnknownTopicOrPartitionError
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents import transport
from agents.transport import BatchCoordinator
from tests.unconnected import a_consumer, an_app


class Broker:
    """Stands for the network: what a coordinator's requests are answered with."""

    def __init__(self, error_code: int = 0) -> None:
        self.error_code = error_code
        self.asked = 0.0  # when the last request came, by time.monotonic()

    async def __call__(self, request: Any) -> Any:
        self.asked = time.monotonic()
        return self


class Crashed:
    """Stands for the thread of a consumer."""

    def __init__(self) -> None:
        self.consumer = cast(Any, type("Heard", (), {"heard": 0.0}))()
        self.reasons: list[BaseException] = []

    async def crash(self, reason: BaseException) -> None:
        self.reasons.append(reason)


def with_coordinator(
    check: Callable[[Any, Crashed], Awaitable[None]], assignor: Any = None, kind: type = BatchCoordinator
) -> None:
    """Runs a check with a real coordinator that has no broker."""

    async def run() -> None:
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:9")
        subscription = SubscriptionState()
        subscription.register_fetch_waiters(set())  # a fetcher's
        coordinator: Any = GroupCoordinator(client, subscription, assignors=(assignor,), enable_auto_commit=False)
        crashed = Crashed()
        coordinator.thread = crashed
        coordinator.__class__ = kind
        await check(coordinator, crashed)
        await coordinator.close()

    asyncio.run(run())


@pytest.mark.parametrize(("code", "answered"), [(0, True), (27, True), (25, False), (15, False)])
def test_a_heartbeat_that_the_coordinator_answers_is_heard(code: int, answered: bool) -> None:
    """No error and "a rebalance is going on" (27) count us in; an unknown member (25) and no coordinator do not."""

    async def check(coordinator: Any, crashed: Crashed) -> None:
        coordinator._send_req = Broker(code)
        assert await coordinator._do_heartbeat() is answered
        assert bool(crashed.consumer.heard) is answered

    with_coordinator(check)


def test_a_heartbeat_counts_from_when_it_was_sent() -> None:
    """A process that stands still between a heartbeat and its answer reads it when it goes on, however late."""

    async def check(coordinator: Any, crashed: Crashed) -> None:
        broker = coordinator._send_req = Broker()
        await coordinator._do_heartbeat()
        assert 0 < crashed.consumer.heard <= broker.asked
        assigned = crashed.consumer.heard = broker.asked + 1e6  # meanwhile
        await coordinator._do_heartbeat()
        assert crashed.consumer.heard == assigned

    with_coordinator(check)


TOPICS = {"a": 4, "b": 4}


class Members:
    """A join response with one member."""

    API_VERSION = 5
    group_protocol = "faust"

    def __init__(self, assignor: Any) -> None:
        self.members = [("m1", "i1", assignor.metadata(set(TOPICS)).encode())]


def metadata(topics: dict[str, int]) -> Any:
    """A broker's answer about topics."""
    described = [(0, t, False, [(0, p, 1, [1], [1]) for p in range(n)]) for t, n in topics.items()]
    unknown: list[Any] = [(3, t, False, []) for t in TOPICS if t not in topics]
    values = {"API_VERSION": 1, "brokers": [(1, "127.0.0.1", 9, None)], "controller_id": 1}
    return type("Metadata", (), values | {"topics": described + unknown})()


def assigned(answer: dict[str, Any]) -> int:
    """How many partitions the one member gets."""
    found = ConsumerProtocol.ASSIGNMENT.decode(answer["m1"].encode())
    return sum(len(partitions) for _, partitions in found.assignment)


def test_stock_faust_assigns_nothing_by_metadata_without_topics() -> None:
    """The defect that `_perform_assignment` is for."""
    assignor = an_app().assignor

    async def check(coordinator: Any, crashed: Crashed) -> None:
        coordinator._client.cluster.update_metadata(metadata({}))
        coordinator._client._topics = set(TOPICS)
        assert assigned(await coordinator._perform_assignment(Members(assignor))) == 0

    with_coordinator(check, assignor, GroupCoordinator)


def test_an_assignment_waits_until_the_metadata_have_every_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "METADATA_RETRY_S", 0.0)
    assignor = an_app().assignor
    answers = [{}, {"a": 4}, TOPICS]

    async def check(coordinator: Any, crashed: Crashed) -> None:
        async def update() -> bool:
            coordinator._client.cluster.update_metadata(metadata(answers.pop(0)))
            return True

        coordinator._client._topics = set(TOPICS)
        coordinator._client.force_metadata_update = update
        await update()
        assert assigned(await coordinator._perform_assignment(Members(assignor))) == 8
        assert not answers

    with_coordinator(check, assignor)


def test_a_topic_that_is_gone_for_good_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "METADATA_S", -1.0)
    assignor = an_app().assignor

    async def check(coordinator: Any, crashed: Crashed) -> None:
        coordinator._client.cluster.update_metadata(metadata({"a": 4}))
        coordinator._client._topics = set(TOPICS)
        with pytest.raises(UnknownTopicOrPartitionError, match="does not know b"):
            await coordinator._perform_assignment(Members(assignor))

    with_coordinator(check, assignor)


def test_what_ends_the_coordination_ends_the_worker() -> None:
    """A real coordination task, which may not even look for its coordinator."""

    async def check(coordinator: Any, crashed: Crashed) -> None:
        async def forbidden(kind: Any, group: str) -> int:
            raise GroupAuthorizationFailedError(group)

        coordinator._client.coordinator_lookup = forbidden
        coordinator._subscription.subscribe({"a"})
        while not crashed.reasons:
            await asyncio.sleep(0)
        assert isinstance(crashed.reasons[0], GroupAuthorizationFailedError)

    with_coordinator(check)


def test_a_log_is_cut_where_it_begins_after_what_the_group_has_committed() -> None:
    """Of any partitions, assigned or not; where nothing is committed, after 0."""
    offsets = {0: 5, 1: 5, 2: -1, 3: -1}
    begins = {0: 5, 1: 6, 2: 0, 3: 1}

    async def check(coordinator: Any, crashed: Crashed) -> None:
        class Answer:
            topics = (("t", [(p, o, "", 0) for p, o in offsets.items()]),)

        async def answer(request: Any) -> Answer:
            return Answer()

        async def begin(*tps: TP) -> dict[TP, int]:
            return {tp: begins[tp.partition] for tp in tps}

        async def called(method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
            return await method(*args)

        coordinator.coordinator_id, coordinator._send_req = 1, answer
        consumer: Any = await a_consumer(an_app())
        consumer._thread._consumer = type("Consumer", (), {"_coordinator": coordinator})
        consumer._thread.call_thread = called
        consumer.earliest_offsets = begin
        assert await consumer.cut({TP("t", p) for p in range(4)}) == {TP("t", 1), TP("t", 3)}

    with_coordinator(check)


def test_faust_itself_never_asks_for_the_coordinators_errors() -> None:
    """Once it does, `_push_error_to_user` need not be overridden."""
    for module in (driver, inspect.getmodule(Consumer)):
        assert "check_errors" not in inspect.getsource(cast(Any, module))
