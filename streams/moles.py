"""A mole: something that hurts customers now. Its states, what moves it between them, and its records.

A judge (`streams.detect`) holds *cases* of one moment and tells of them in `Finding`s; the desk (`streams.desk`)
makes moles of them: one for each cause. Both are folds over their input, and serialise.

    popped ──ack──► acknowledged ──ease──► recovering ──over──► whacked ──return──► re-popped (a mole of its own,
       └───snooze──► snoozed ──wake──► popped      └──harm──► popped                 which names the first one)
"""

import datetime as dt
from typing import Final, Literal

import msgspec

from streams.errors import MolehillError
from streams.events import EPOCH

Kind = Literal["burn", "shift", "silence"]
State = Literal["popped", "acknowledged", "snoozed", "recovering", "whacked", "re-popped"]
Event = Literal["harm", "ease", "over", "ack", "snooze", "wake", "whack", "return"]
Action = Literal["ack", "snooze", "whack"]
Said = Literal["up", "harm", "more", "ease", "over", "day"]
Told = Literal["popped", "acked", "snoozed", "woken", "recovering", "relapsed", "whacked", "repopped", "updated"]

STATES: Final[tuple[State, ...]] = ("popped", "acknowledged", "snoozed", "recovering", "whacked", "re-popped")
EVENTS: Final[tuple[Event, ...]] = ("harm", "ease", "over", "ack", "snooze", "wake", "whack", "return")

_UP: Final[dict[Event, State]] = {
    "ease": "recovering",
    "over": "whacked",
    "ack": "acknowledged",
    "snooze": "snoozed",
    "whack": "whacked",
}
TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    "popped": {**_UP, "harm": "popped"},
    "re-popped": {**_UP, "harm": "re-popped"},
    "acknowledged": {
        "harm": "acknowledged",
        "ease": "recovering",
        "over": "whacked",
        "snooze": "snoozed",
        "whack": "whacked",
    },
    "snoozed": {  # sleeps through what the evidence does; only its end, a person or the time wakes it
        "harm": "snoozed",
        "ease": "snoozed",
        "over": "whacked",
        "ack": "acknowledged",
        "snooze": "snoozed",
        "wake": "popped",
        "whack": "whacked",
    },
    "recovering": {
        "harm": "popped",
        "ease": "recovering",
        "over": "whacked",
        "ack": "recovering",
        "snooze": "snoozed",
        "whack": "whacked",
    },
    "whacked": {"harm": "whacked", "ease": "whacked", "over": "whacked", "return": "re-popped"},
}
"""State → event → state; what is absent is illegal. harm, ease and over are evidence, and are never illegal."""


class IllegalTransition(MolehillError):
    """A command that a mole's state does not allow; nothing has changed."""


def after(state: State, event: Event) -> State:
    """The state that an event leads to. Raises IllegalTransition."""
    found = TRANSITIONS[state].get(event)
    if found is None:
        allowed = " or ".join(x for x in ("ack", "snooze", "whack") if x in TRANSITIONS[state]) or "nothing more"
        raise IllegalTransition(f"{event}: found a mole that is {state}, expected {allowed}")
    return found


class Contributor(msgspec.Struct, frozen=True):
    """A segment that carries excess: bad events beyond what the rest of its moment explains. Of a whole moment's mole
    its figures are part of the mole's; of a segment's they are of who is hurt beside it, and may be larger."""

    segment: str
    bad: int
    total: int
    excess: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge says of one case at the end of a step. Times in unix seconds.

    `up`: found. `harm`: still so (at most once an hour), or its evidence grew, or it has returned. `more`: only its
    figures grew (at most every ten minutes). `ease`: it leans towards ordinary. `over`: ordinary again, on evidence.
    `day`: no case; how the moment's day went, for links and overinvestment.
    """

    at: int
    moment: str
    segment: str
    signal: str
    kind: str  # Kind; "" for `day`
    event: Said
    case: str  # the id that the mole has, if it becomes one; "" for `day`
    first_harm: int = 0
    last_harm: int = 0
    since: int = 0  # first harm, of a relapse its own
    bad: int = 0  # from the first harm to the last
    total: int = 0
    expected: float = 0.0  # bad events in the series' ordinary way; for silence the events that were expected
    burn_rate: float = 0.0
    burn_rate_low: float = 0.0
    budget: float = 0.0  # what it burnt, as a share of the series' budget of a period; `day`: bad ones allowed
    contributors: tuple[Contributor, ...] = ()
    faint: bool = False  # `harm` after an `ease`, by evidence most of which is older than that
    cause: str = ""  # silence: `stopped` (nothing comes at all) or `quiet` (less comes than the hour expects)


class Mole(msgspec.Struct, frozen=True, kw_only=True):
    """A mole as the contract shows it (section 5); `msgspec.json.encode` gives just that."""

    id: str
    moment: str
    segment: str
    signal: str
    kind: str
    tier: str
    state: State
    first_harm: dt.datetime
    popped: dt.datetime
    acked: dt.datetime | None = None
    whacked: dt.datetime | None = None
    repop_of: str | None = None
    bad: int
    total: int
    burn_rate: float
    burn_rate_low: float
    contributors: tuple[Contributor, ...] = ()
    linked: tuple[str, ...] = ()
    explain: str
    runbook: str | None = None


class Command(msgspec.Struct, frozen=True):
    """What a person asks of a mole. `for_s`: seconds of event time, snooze only; `by`: who, for the record."""

    mole: str
    action: Action
    for_s: float = 0.0
    by: str = ""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step in a mole's life, as data for whoever performs it: `cx.moles`, metrics, notifications."""

    id: str  # of the CloudEvent: the same life gives the same ids
    event: Told
    at: int  # unix seconds of event time
    mole: Mole
    notify: bool  # whether somebody is to be told by the mole's tier: once a mole, and again when the harm returns
    by: str = ""


def stamp(at: int) -> str:
    """A time as it stands in a mole's id."""
    return f"{moment_of(at):%Y%m%dT%H%M%SZ}"


def moment_of(at: int) -> dt.datetime:
    """Unix seconds as an aware time."""
    return EPOCH + dt.timedelta(seconds=at)


def mole_id(moment: str, signal: str, kind: str, at: int) -> str:
    """A mole's id. A judge begins at most one case of a moment, signal and kind at a step, so it is unique."""
    return f"{moment}.{signal}.{kind}.{stamp(at)}"
