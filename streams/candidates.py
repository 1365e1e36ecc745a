"""The candidates log: what all judges found and what people asked, in one order; the desk is its fold.

One partition, so every reader folds the same records into the same moles: each worker has the whole board, and
whoever owns tallies partition 0 tells the world of it. A judge's findings are taken when *every* partition has judged
as far, in the order of event time: which worker was faster changes nothing. A partition that is judged again (its
owner died and another one read the log from the last snapshot) repeats what is known, and is not heard twice.
"""

from bisect import bisect_left
from collections import Counter
from typing import Any, Final

import msgspec
import orjson

from streams import names
from streams.catalogue import Catalogue
from streams.desk import Desk
from streams.moles import Command, Finding, IllegalTransition, Transition, moment_of

# Seconds: from a step or two of the judges' to the longest windows.
BOUNDS: Final = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0, 259_200.0, 604_800.0)
COUNTED: Final = ("popped", "acked", "whacked", "repopped")  # contract: `event` of cx_moles_total


class Judged(msgspec.Struct, array_like=True, tag=1):
    """What a tallies partition's judges found in the steps up to `through`."""

    partition: int
    through: int
    findings: list[Finding]
    token: str = ""  # of the owner, who knows by it that the fold has caught up with the log


class Asked(msgspec.Struct, array_like=True, tag=2):
    """What a person asks of a mole; `request` names the asking, for whoever waits for its answer."""

    command: Command
    request: str = ""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Judged | Asked).decode


class Histogram(msgspec.Struct, array_like=True):
    """Counts by upper bound (`BOUNDS`, and one without bound), and the sum in seconds."""

    counts: list[int]
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum_s += seconds


class _State(msgspec.Struct, array_like=True):
    offset: int
    at: int
    through: dict[int, int]
    waiting: list[Finding]
    desk: bytes
    told: list[tuple[str, str, str, int]]
    detect: dict[str, Histogram]
    whack: dict[str, Histogram]


class Candidates:
    """The fold. `partitions` is how many tallies partitions judge."""

    def __init__(self, catalogue: Catalogue, partitions: int) -> None:
        self.partitions = partitions
        self.desk = Desk(catalogue)
        self.offset = -1
        self.at = 0  # seconds; everything up to it has been judged by all
        self.through: dict[int, int] = {}
        self.waiting: dict[str, Finding] = {}
        self.tokens: dict[int, str] = {}  # partition → of the owner that told last
        self.told: Counter[tuple[str, str, str]] = Counter()  # moment, kind, event
        self.detect: dict[str, Histogram] = {}  # by tier
        self.whack: dict[str, Histogram] = {}
        self.answered = ""  # the request of the last record; empty where it was none
        self.refusal = ""  # why it was refused; empty where it was done

    def apply(self, offset: int, value: bytes) -> list[Transition]:
        """Takes a record of the log; one at or before `offset` is known already."""
        if offset <= self.offset:
            return []
        self.offset = offset
        message = decode(value)
        self.answered = self.refusal = ""
        out = self._judged(message) if isinstance(message, Judged) else self._asked(message)
        for transition in out:
            self._count(transition)
        return out

    def _judged(self, message: Judged) -> list[Transition]:
        known = self.through.get(message.partition, 0)
        for f in message.findings:
            if f.at > known:
                self.waiting[_key(f)] = f
        self.through[message.partition] = max(known, message.through)
        self.tokens[message.partition] = message.token
        if len(self.through) < self.partitions:
            return []
        end = min(self.through.values())
        if end <= self.at:
            return []
        due = sorted(
            (f for f in self.waiting.values() if f.at <= end),
            key=lambda f: (f.at, f.moment, f.segment, f.signal, f.kind),
        )
        self.waiting = {key: f for key, f in self.waiting.items() if f.at > end}
        self.at = end
        return self.desk.advance(end, due)

    def _asked(self, asked: Asked) -> list[Transition]:
        self.answered = asked.request
        try:
            return self.desk.command(self.at, asked.command)
        except IllegalTransition as e:
            self.refusal = str(e)
            return []

    def _count(self, transition: Transition) -> None:
        event, mole = transition.event, transition.mole
        if event in COUNTED:
            self.told[mole.moment, mole.kind, event] += 1
        if event in ("popped", "repopped"):
            _add(self.detect, mole.tier, (mole.popped - mole.first_harm).total_seconds())
        elif event == "whacked" and mole.whacked is not None:
            _add(self.whack, mole.tier, (mole.whacked - mole.popped).total_seconds())

    def snapshot(self) -> bytes:
        """All state; `restore` on a new fold takes it."""
        told = [(*key, n) for key, n in self.told.items()]
        return msgspec.msgpack.encode(
            _State(
                self.offset, self.at, self.through, list(self.waiting.values()), self.desk.dump(), told,
                self.detect, self.whack,
            )
        )  # fmt: skip

    def restore(self, blob: bytes) -> None:
        """Takes a snapshot's state."""
        old = msgspec.msgpack.decode(blob, type=_State)
        self.offset, self.at, self.through = old.offset, old.at, old.through
        self.waiting = {_key(f): f for f in old.waiting}
        self.desk.load(old.desk)
        self.told = Counter({(m, k, e): n for m, k, e, n in old.told})
        self.detect, self.whack = old.detect, old.whack


def _key(f: Finding) -> str:
    """The same for a finding that is told again; in one step one signal may tell of faint harm, another of sure."""
    return f"{f.at}|{f.case}|{f.moment}|{f.event}|{f.faint}"


def _add(histograms: dict[str, Histogram], tier: str, seconds: float) -> None:
    found = histograms.setdefault(tier, Histogram([0] * (len(BOUNDS) + 1)))
    found.add(max(seconds, 0.0))


def announcement(transition: Transition, source: str) -> bytes:
    """The CloudEvent `cx.mole` of a transition, in structured mode; the same transition gives the same bytes."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": transition.id,
        "source": source,
        "type": names.MOLE,
        "subject": transition.mole.id,
        "time": moment_of(transition.at),
        "datacontenttype": "application/json",
        "transition": transition.event,
        "notify": transition.notify,
        "data": orjson.Fragment(msgspec.json.encode(transition.mole)),
    }
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)
