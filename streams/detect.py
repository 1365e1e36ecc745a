"""The judge of one moment: all its segments and signals, what is wrong in them, and which of it is one case.

Evidence comes from `evidence` (worse than its own past), `weeks` (and that has crept in), `surge` (more complaints
than the hour expects) and `watch` (less of anything). A case is `burn` where the budget burns by the multi-window
rule, else `shift`. A failing segment inside a failing moment is that case's blame; a failing segment under a fine
average is a case of its own.
"""

from collections.abc import Iterable
from typing import Final

from streams import blame, cases, evidence, findings, midnight, names, surge, watch, weeks
from streams.baseline import Group
from streams.burn import burning
from streams.cases import Case, State
from streams.catalogue import DISCOVERED_SIGNALS, Catalogue
from streams.evidence import SURE, Run
from streams.moles import Finding, Said, mole_id
from streams.series import BLOCK_S, DAY_S, HOUR_S, STEP_S, Series

Count = tuple[str, str, int, int]  # segment, signal, good, bad

FORGOTTEN: Final = 20
"""Half-lives after which a millionth of the past is left: who has heard nothing for so long learns nothing more (one
wrong time in a file makes decades)."""
TELL_S: Final = HOUR_S
"""That an open case goes on is told at most so often; its figures: `cases.MORE_S`."""


class Judge:
    """A fold over the steps of a moment's clock.

    `due`: unix seconds (a multiple of 10) by which `step` wants to be called even where nothing was counted; None
    where it need not be. A step that comes later than `due` is the same as one at `due` and then that one.
    """

    def __init__(self, catalogue: Catalogue, moment: str) -> None:
        self.catalogue = catalogue
        self.moment = moment
        declared = catalogue.moments.get(moment)
        if declared is None:
            objectives = dict.fromkeys(DISCOVERED_SIGNALS, catalogue.discovered.objective)
        else:
            objectives = {s.name: s.objective for s in declared.signals.values()}
        self.objectives = objectives
        self.half_life = catalogue.budget_period / DAY_S
        self.state = State()
        self.due: int | None = None
        self.found: list[Finding] = []

    def series(self, segment: str, signal: str) -> Series:
        """The series that counts are for; made on first sight."""
        group = self.state.groups.get(signal)
        if group is None:
            share = 1 / len(self.objectives)
            group = Group(signal, self.objectives[signal], share, self.catalogue.budget_period)
            self.state.groups[signal] = group
            group.add(names.ALL)
        return group.series.get(segment) or group.add(segment)

    def _begin(self, s: Series, start: int) -> None:
        """The first event of a series: it is there from now on, however long it has been known."""
        group = self.state.groups[s.signal]
        s.born = s.quiet_at = start
        dimension = blame.dimension(s.segment)
        if dimension and dimension not in group.dimensions:
            group.dimensions.append(dimension)

    def step(self, at: int, counts: Iterable[Count]) -> list[Finding]:
        """Judges the 10 s that end at `at` (later than all before); what was counted, in any order."""
        rows = []
        for segment, signal, good, bad in counts:
            rows.append((self.series(segment, signal), good + bad, bad))
        return self.step_rows(at, rows)

    def step_rows(self, at: int, rows: Iterable[tuple[Series, int, int]]) -> list[Finding]:
        """`step` for series that are at hand: (series, events, bad ones)."""
        if self.due is not None and self.due < at:
            self._elapse(at - 1)
        start = at - STEP_S
        block = start // BLOCK_S
        state = self.state
        state.at = at
        if not state.midnight:
            state.midnight = (at // DAY_S + 1) * DAY_S
        suspects: list[Series] = []
        looked: list[Series] = []
        for s, n, bad in rows:
            if s.last != start:
                s.last = start
                if s.block != block:
                    s.roll(block)
                    if not s.born:
                        self._begin(s, start)
                s.before, s.b_before = s.total, s.b
                if s.case:
                    looked.append(s)
            s.total += n
            if bad:
                if s.b == s.b_before and not s.case:
                    looked.append(s)
                s.b += bad
        for s in looked:
            self._weigh(s, at, suspects)
        if suspects:
            suspects.sort(key=lambda s: (s.segment != names.ALL, s.signal, s.segment))
            for s in suspects:
                self._alarm(s, at)
        if state.cases:
            self._recover(at)
        if self.due is None or self.due <= at or state.cases:
            self._elapse(at)
        found, self.found = self.found, []
        return found

    def _weigh(self, s: Series, at: int, suspects: list[Series]) -> None:
        group = self.state.groups[s.signal]
        n, bad = s.total - s.before, s.b - s.b_before
        hour = (at - STEP_S) // HOUR_S
        if s.hour != hour:
            if group.all.hour != hour:
                evidence.refresh(group, group.all, at - STEP_S)
                group.counted = surge.counted(group)
            if s.segment != names.ALL:
                evidence.refresh(group, s, at - STEP_S)
        if bad and (
            surge.weigh(group, s) if group.counted else evidence.weigh(group, s) or cases.urgent(group, s, at)
        ):
            suspects.append(s)
        if s.case and (case := self.state.cases[s.case]).segment == s.segment and case.signal == s.signal:
            cases.follow(group, s, case, n, bad)

    def _alarm(self, s: Series, at: int) -> None:
        """A score is at its limit: the open case's, somebody else's part, or a new case."""
        state, group = self.state, self.state.groups[s.signal]
        if s.alone and s.segment == names.COMPANY:
            return  # what the firm believes hurts nobody
        case = state.cases.get(s.case)
        if case is not None and self._sudden(group, s, case, at):
            return
        if case is not None and s.segment == case.segment:
            old = (case.eased or case.faint) and not cases.renewed(case, group, s, at)
            cases.resume(case, group, s)
            self._again(case, at, faint=old)
        if case is not None and (s.segment != names.ALL or case.segment == names.ALL):
            return
        k = evidence.likeliest(group, s) if cases.urgent(group, s, at) else evidence.strongest(group, s)
        if k < 0:
            return
        onset = s.starts[k]
        if case is not None:
            if not blame.outgrows(group, onset, case):
                return
            del case.members[s.signal][s.segment]
        known = blame.one_of(state, group, s, onset, at)
        if known is not None:
            if not self._sudden(group, s, known, at):
                self._join(known, s, onset, at)
        elif (wide := blame.alike(group, s, k)) >= 0:
            self._open(group, group.all, evidence.run(group.all, wide), at, s, onset)
        else:
            self._open(group, s, evidence.run(s, k), at, s, onset)

    def _sudden(self, group: Group, s: Series, case: Case, at: int) -> bool:
        """What crept in gives way to what is worse than it: that is a case of its own."""
        run = blame.beyond(group, s, case, at) if case.lasts and case.popped < at else None
        if run is None:
            return False
        if (s.signal, s.segment) == (case.signal, case.segment):
            self._close(case, at)
        else:
            case.members.get(s.signal, {}).pop(s.segment, None)
        self._found(group, s, run, at, next((c for c in self.state.cases.values() if c.popped == at), None))
        return True

    def _creeping(self, at: int) -> None:
        """Harm that creeps in over weeks can wait for the cases that are open."""
        state = self.state
        for case in state.cases.values():
            cases.rest(case, at)
        self._recover(at)
        for group in state.groups.values():
            for harm in () if group.counted or cases.young(group) else weeks.harms(group, at):
                s, run = harm.series, harm.run
                known = blame.one_of(state, group, s, run.begin, at)
                if known is not None and known.popped < at:
                    continue
                weeks.unlearn(group, harm, at)
                self._found(group, s, run, at, known)

    def _found(self, group: Group, s: Series, run: Run, at: int, known: Case | None) -> None:
        if known is None:
            self._open(group, s, run, at, s, run.begin)
        else:
            cases.adopt(known, s, run.begin)

    def _open(self, group: Group, s: Series, run: Run, at: int, raised: Series, onset: int) -> None:
        """A case of what has gathered in `s`; `raised`: who raised the alarm, since when."""
        burns = not group.counted and burning(s, group.objective, at, self.catalogue.budget_period)
        kind = "burn" if burns else "shift"
        name = mole_id(self.moment, s.signal, kind, at)
        case = Case(name, s.segment, s.signal, kind, run.begin, at, at, at, run.bad, run.seen, run.expected)
        case.share, case.lasts = cases.share(group, case), run.lasts
        case.followed = max(s.weighed, s.last) if group.counted else s.last
        case.sure, case.since = (case.bad, case.total, case.expected), case.first_harm
        self.state.cases[name] = case
        cases.adopt(case, s, case.first_harm)
        cases.adopt(case, raised, onset)
        self._tell(case, "up", at)

    def _join(self, case: Case, s: Series, onset: int, at: int) -> None:
        cases.adopt(case, s, onset)
        if s.segment == case.segment:
            self._again(case, at)
        elif case.faint or at - case.harmed >= BLOCK_S:
            case.eased = case.faint = False
            self._tell(case, "harm", at)

    def _again(self, case: Case, at: int, faint: bool = False) -> None:
        case.last = at
        case.sure = case.bad, case.total, case.expected
        case.recovery = 0.0
        if case.eased or (case.faint and not faint) or at - case.harmed >= TELL_S:
            case.eased, case.faint = False, faint
            self._tell(case, "harm", at)

    def _tell(self, case: Case, event: Said, at: int) -> None:
        self.found.append(findings.tell(self.state, self.moment, case, event, at, self.half_life))

    # Time

    def _recover(self, at: int) -> None:
        for case in list(self.state.cases.values()):
            if case.kind == "silence":
                if watch.hear(self.state, case, at, SURE):
                    self._close(case, at)
                    watch.end(self.state, case, at)
            elif (over := at - case.last >= cases.lasts(self.state, case)) or cases.leans(case, at):
                if cases.hurts(self.state, case, at):
                    self._again(case, at)
                elif over:
                    self._close(case, at)
                else:
                    cases.settle(self.state, case)
                    case.eased, case.eased_at, case.faint = True, at, False
                    self._tell(case, "ease", at)
            elif cases.grown(case) and at - case.told >= cases.MORE_S:
                self._tell(case, "more", at)

    def _close(self, case: Case, at: int) -> None:
        cases.settle(self.state, case)
        del self.state.cases[case.id]
        for signal, segment in cases.series_of(case):
            s = self.state.groups[signal].series[segment]
            s.silent = s.silent and case.kind != "silence"
            if s.case == case.id:
                s.forget_evidence()
            self.state.covered.append((segment, signal, case.id, case.first_harm, at))
        self._tell(case, "over", at)

    def _elapse(self, until: int) -> None:
        """What is due at or before `until`, each at its own time."""
        state = self.state
        while state.midnight:
            due = self._next()
            if due > until:
                break
            if state.cases:
                self._recover(due)
            for case in watch.look(state, self.moment, due, self.catalogue.allowed_lateness):
                self._tell(case, "up", due)
            if state.midnight <= due:
                if due - watch.heard(state) > FORGOTTEN * self.half_life * DAY_S:
                    watch.give_up(state)
                    state.midnight = 0  # until something comes
                    break
                midnight.learn(state, due, self.half_life, self.catalogue.budget_period)
                self._creeping(due)
                watch.begin(state, due, self.catalogue.allowed_lateness)
                self.found += midnight.day(state, self.moment, due)
                state.midnight += DAY_S
            state.at = max(state.at, due)
        self.due = self._next() if state.midnight else None

    def _next(self) -> int:
        state = self.state
        due = [cases.due(state, case) for case in state.cases.values() if case.kind != "silence"]
        return min((state.midnight, *due, *(look for look, _, _ in state.looks[:1])))

    def dump(self) -> bytes:
        """All state; `load` on a new judge takes it."""
        return cases.dump(self.state, self.due)

    def load(self, blob: bytes) -> bool:
        """Takes a dump's state. False, and nothing is taken, where it is of another version's making."""
        loaded = cases.load(blob)
        if loaded is not None:
            self.state, self.due = loaded
            cases.keep_to(self.state, self.objectives, self.catalogue.budget_period)
        return loaded is not None
