"""The desk: one owner who sees all moments' findings, makes one mole of each cause, and lives its life.

A case that comes up while a mole of a related moment (`days`) is not yet over is of the same cause (`blame` says
why), unless it is the whole moment's and the mole a segment's that does not carry it. Moments of which nothing says
that they are related share a cause only in the same segment at the same time, or where they fall silent at the same
time (a dead source). A mole has the tier of the gravest moment that it hurts: where a game-over moment joins a
ticket's mole, that is a page; it joins one that began within the hour, and has a mole of its own otherwise.

`notify` on `cx.moles` and the alert CxMole say the same, each in its own way. An alert rings where it begins: it ends
where a mole goes quiet (snoozed, or recovering and settled) and begins anew with what wakes, relapses by new evidence
after it had settled, or returns after it was whacked. A graver tier is another alert.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from streams import blame, cases, days, names
from streams.catalogue import TIERS, Catalogue
from streams.lives import (
    Desked,
    Labels,
    Life,
    Quiet,
    beyond,
    gravest,
    labels_of,
    mole_of,
    quiet,
    rests,
    settled,
    settles,
    tier_of,
)
from streams.moles import (
    Command,
    Contributor,
    Event,
    Finding,
    IllegalTransition,
    Mole,
    Told,
    Transition,
    after,
    mole_id,
)
from streams.series import DAY_S, HOUR_S

REPOP_S: Final = DAY_S
"""A mole that returns within a day is the same one: causes come back with the hour of the day."""
HOLD_S: Final = HOUR_S
"""After a person's whack, harm within the page's long burn window is still the old one draining."""
LATELY_S: Final = 7 * DAY_S
"""How long an ended mole is shown."""


class Desk:
    """A fold over findings and commands, in the order of their time. Times in unix seconds."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.state = Desked()
        self.told: list[Transition] = []

    def advance(self, at: int, findings: Sequence[Finding]) -> list[Transition]:
        """Takes the findings up to and at `at`, sorted by (at, moment, segment, signal, kind)."""
        for finding in sorted(findings, key=self._order):
            self._wake(finding.at)
            self._take(finding)
        self._wake(at)
        return self._tell_all()

    def _order(self, f: Finding) -> tuple[int, int]:
        """Of what comes up at once the gravest comes first: it is what the mole is named after."""
        return f.at, TIERS.index(tier_of(self.catalogue, f.moment)) if f.event == "up" else 0

    def command(self, at: int, command: Command) -> list[Transition]:
        """Does what a person asks. Raises IllegalTransition; an unknown mole is illegal too."""
        life = self.state.lives.get(command.mole)
        if life is None:
            raise IllegalTransition(
                f"{command.action}: found no mole {command.mole[:80]!r}, expected one that is up or ended lately"
            )
        if command.action == "snooze" and not 0 < command.for_s <= LATELY_S:
            raise IllegalTransition(f"snooze: found {command.for_s:g} s, expected more than 0 and at most 7 days")
        after(life.state, command.action)
        self._wake(at)
        at = max(at, self.state.at)
        if command.action == "snooze":
            life.snoozed_until = at + int(command.for_s)
        told: dict[str, Told] = {"ack": "acked", "snooze": "snoozed", "whack": "whacked"}
        self._move(life, command.action, at, told[command.action], by=command.by)
        return self._tell_all()

    def _tell_all(self) -> list[Transition]:
        told, self.told = self.told, []
        return told

    # Findings

    def _take(self, f: Finding) -> None:
        if f.event == "day":
            days.remember(self.state, f)
            return
        known = self.state.of.get(f.case)
        if known is None:
            # harm: of a mole that a person whacked so long ago that it is forgotten
            if f.event == "up" or (f.event == "harm" and not f.faint):
                self._up(f)
            return
        life = self.state.lives[known]
        before = self._mole(life)
        if f.case == life.case and life.state != "whacked":
            life.finding = beyond(f, life.base)
            life.last = f
        if f.event == "more" or (f.event == "harm" and f.faint and rests(self.catalogue, life, f.at)):
            if life.state != "whacked" and before != self._mole(life):
                self._tell(life, "updated", f.at)
            return
        if life.state == "whacked":  # by a person: the judge does not know
            if f.event == "harm" and not f.faint and life.whacked is not None and f.at - life.whacked >= HOLD_S:
                self._pop(f, life, mole_id(f.moment, f.signal, f.kind, f.at), life.last)
            return
        again = settled(self.catalogue, life, f.at)
        if f.event == "harm":
            life.harmed = f.at
        life.cases[f.case] = "up" if f.event == "harm" else "eased" if f.event == "ease" else "over"
        states = set(life.cases.values())
        if states == {"over"}:
            self._move(life, "over", f.at, "whacked")
        elif "up" not in states:
            self._move(life, "ease", f.at, "recovering", before)
        else:
            told: Told = "relapsed" if life.state == "recovering" else "updated"
            self._move(life, "harm", f.at, told, before, notify=again)

    def _up(self, f: Finding) -> None:
        for life in sorted(self.state.lives.values(), key=lambda x: (x.segment != names.ALL, -x.popped, x.id)):
            if life.state != "whacked" and self._same_cause(f, life):
                before, again = self._mole(life), settled(self.catalogue, life, f.at)
                self.state.of[f.case] = life.id
                life.cases[f.case] = "up"
                life.harmed = f.at
                if f.moment not in life.moments:
                    life.moments.append(f.moment)
                told: Told = "relapsed" if life.state == "recovering" else "updated"
                graver = self._mole(life).tier != before.tier
                if graver and life.state == "snoozed":
                    self._move(life, "wake", f.at, "woken", notify=True)
                else:
                    self._move(life, "harm", f.at, told, None if graver else before, notify=graver or again)
                return
        name = f.case if f.event == "up" else mole_id(f.moment, f.signal, f.kind, f.at)
        self._pop(f, self._earlier(f), name)

    def _earlier(self, f: Finding) -> Life | None:
        """The mole that returns."""
        found = [
            x
            for x in self.state.lives.values()
            if x.whacked is not None
            and f.at - x.whacked <= REPOP_S
            and x.segment == f.segment
            and (x.kind == "silence") == (f.kind == "silence")
            and any(days.related(self.catalogue, self.state, f.moment, m) for m in x.moments)
        ]
        return max(found, key=lambda x: (x.whacked or 0, x.id), default=None)

    def _pop(self, f: Finding, earlier: Life | None, name: str, base: Finding | None = None) -> None:
        """`base`: what its case said until a person whacked the earlier mole; harm before that is not this one's."""
        whacked = earlier.whacked if base and earlier else None
        harm = f.first_harm if whacked is None else max(f.since, whacked)
        life = Life(
            name, f.moment, f.segment, f.signal, f.kind, "popped", harm, f.at, f.case,
            repop_of=None if earlier is None else earlier.repop_of or earlier.id,
            finding=beyond(f, base), base=base, last=f, cases={f.case: "up"}, moments=[f.moment], harmed=f.at,
        )  # fmt: skip
        if earlier is not None:
            life.state = after(earlier.state, "return")
        self.state.lives[name] = life
        self.state.of[f.case] = name
        self._tell(life, "popped" if earlier is None else "repopped", f.at, notify=True)

    def _same_cause(self, f: Finding, life: Life) -> bool:
        if life.kind == "silence" != f.kind:
            return False
        if f.moment == life.moment and life.cases[life.case] != "over":
            return False  # the moment's own judge has said that it is another
        if life.state == "recovering" and f.first_harm - life.harmed > cases.SETTLE_S:
            return False  # it began when that one had settled
        if self._graver(f, life) and f.first_harm - life.first_harm > blame.TOGETHER_S:
            return False  # a page is not to be found in an old ticket
        together = f.segment == life.segment and abs(f.first_harm - life.first_harm) <= blame.TOGETHER_S
        if together and life.kind == f.kind == "silence":
            return True  # moments that fall silent at once have a source in common
        if not any(days.related(self.catalogue, self.state, f.moment, m) for m in life.moments):
            return together and f.segment != names.ALL
        crept = blame.crept((life.first_harm, life.popped), (f.first_harm, f.at))
        if not (crept or blame.fresh(life.first_harm, f.at)):
            return False
        if f.segment == names.ALL != life.segment:
            return _carries(life.segment, f.contributors, f.bad - f.expected)
        other = f.segment != life.segment and blame.dimension(f.segment) == blame.dimension(life.segment)
        return not other or abs(f.first_harm - life.first_harm) <= blame.TOGETHER_S  # nobody is in both

    def _graver(self, f: Finding, life: Life) -> bool:
        tiers = (tier_of(self.catalogue, f.moment), gravest(self.catalogue, life))
        return TIERS.index(tiers[0]) < TIERS.index(tiers[1])

    def unspent(self) -> dict[str, float]:
        """Overinvestment: tolerable moments, and what share of a whole period's budget they left (0 to 1)."""
        return days.unspent(self.catalogue, self.state)

    def snoozed(self) -> dict[str, int]:
        """The moles that sleep, and when they wake, in unix seconds of event time."""
        return {x.id: x.snoozed_until for x in self.state.lives.values() if x.state == "snoozed"}

    def up(self) -> dict[Labels, Quiet | None]:
        """The labels of the moles that are up, and why nobody is to be told: where all moles of the labels are
        quiet; snoozed, if one of them is."""
        found: dict[Labels, set[Quiet | None]] = {}
        for life in self.state.lives.values():
            if life.whacked is None:
                found.setdefault(labels_of(self.catalogue, life), set()).add(
                    quiet(self.catalogue, life, self.state.at)
                )
        return {k: None if None in why else "snoozed" if "snoozed" in why else "settled" for k, why in found.items()}

    # Lives

    def _wake(self, at: int) -> None:
        state = self.state
        if at <= state.at:
            return
        due = [x for x in state.lives.values() if x.state == "snoozed" and x.snoozed_until <= at]
        for life in sorted(due, key=lambda x: (x.snoozed_until, x.id)):
            until, hurts = life.snoozed_until, "up" in life.cases.values()
            self._move(
                life, "wake", until, "woken", notify=hurts or until - life.harmed <= settles(self.catalogue, life)
            )
            if not hurts:  # it slept through that
                self._move(life, "ease", until, "recovering")
        state.at = at
        old = [x for x in state.lives.values() if x.whacked is not None and at - x.whacked > LATELY_S]
        for life in old:
            del state.lives[life.id]
        if old:
            state.of = {case: mole for case, mole in state.of.items() if mole in state.lives}

    def _move(
        self,
        life: Life,
        event: Event,
        at: int,
        told: Told,
        before: Mole | None = None,
        notify: bool = False,
        by: str = "",
    ) -> None:
        """Moves a life on; evidence that changes nothing of what is shown (`before`) is not told."""
        was, life.state = life.state, after(life.state, event)
        if event == "ack" and life.acked is None:
            life.acked = at
        if life.state == "whacked" and life.whacked is None:
            life.whacked = at
        if before is None or was != life.state:
            self._tell(life, told, at, notify, by)
        elif before != self._mole(life):
            self._tell(life, "updated", at)

    def _tell(self, life: Life, event: Told, at: int, notify: bool = False, by: str = "") -> None:
        life.told += 1
        self.told.append(
            Transition(
                id=f"{life.id}.{life.told}.{event}", event=event, at=at, mole=self._mole(life), notify=notify, by=by
            )
        )

    def _mole(self, life: Life) -> Mole:
        return mole_of(self.catalogue, life)

    def moles(self) -> list[Mole]:
        """Those that are up, and those that ended within seven days; newest first."""
        lives = sorted(self.state.lives.values(), key=lambda x: (-x.popped, x.id))
        return [self._mole(x) for x in lives]

    def dump(self) -> bytes:
        """All state; `load` on a new desk takes it."""
        return msgspec.msgpack.encode(self.state)

    def load(self, blob: bytes) -> None:
        """Takes a dump's state."""
        self.state = msgspec.msgpack.decode(blob, type=Desked)


def _carries(segment: str, contributors: Sequence[Contributor], excess: float) -> bool:
    """Whether a segment has half or more of an excess."""
    return any(c.segment == segment and c.excess >= excess / 2 for c in contributors)
