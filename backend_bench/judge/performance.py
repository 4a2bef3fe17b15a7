"""Phase two: is it fast?

Calls are timed in blocks: one call on a CPU; on a GPU a few, queued behind a gate (`blocks`). The reference runs
first in the worker that will be the candidate's, before any candidate code is loaded, in turn with a twin, a worker that
never sees candidate code. That gives a time to compare with later, what a block costs around its kernels, and
how far two processes differ on the same work. Then the twin and the candidate take turns; the candidate stands still in
the twin's.

Every timed call gets values that did not exist before it, and its output is checked: against the
twin's at the dtype's own tolerance, and where that does not settle it against the oracle. The
worker's times are claims; the judge's own clock around the block bounds them. Times are taken while nobody else
uses the device; values are drawn and outputs checked while others may.

Not covered: neighbours outside this service; what is computed ahead inside one part of a block.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.grading import inputs, oracle
from backend_bench.grading.alike import alike
from backend_bench.grading.speedup import Ratio, compare
from backend_bench.judge import audit, correctness, paused
from backend_bench.judge.bench import Bench, CompileFailed, Ready, Timed
from backend_bench.judge.blocks import Asked
from backend_bench.judge.figures import LEAST_US, Before, Bias, Figures, Reading, Times
from backend_bench.judge.keeper import Ended, Forged, Keeper, Patience
from backend_bench.judge.pace import (
    DRAWN_BEFORE,
    FEW_PAIRS,
    FURTHER,
    HEARD_PAIRS,
    LEASE_LIMIT_S,
    LONGER,
    PACES,
    REWRITTEN,
    ROUND_S,
    SECOND_LOOK,
    SHORT_US,
    Needs,
    Plan,
    Space,
)
from backend_bench.judge.pairs import Both, Pair, State
from backend_bench.judge.roofline import Peaks
from backend_bench.judge.stage import Meta
from backend_bench.judge.timed_checks import Checks, Wrong
from backend_bench.judge.timed_values import Values
from backend_bench.operator import Operator
from backend_bench.own_work import is_move
from backend_bench.submission import Profile
from backend_bench.suites import Suite, resolve
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence

T = TypeVar("T")

NOTHING = "ATen launches nothing that could be timed"


@dataclass(slots=True)
class Phase:
    """What phase two found."""

    results: list[CaseResult] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    operators: dict[int, list[audit.Operators]] = field(default_factory=dict)
    """What the kernel called, of each timed call of each case; on a CPU."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Cases that have no time, and why: nobody can say whether their result is right, or ATen launches nothing."""
    overruled: int = 0
    """Cases in which another time counts than the samples say, on a GPU."""
    ended: Ended | None = None


class Timing:
    """Times one operator's performance cases. `before` first, then load the candidate, then `run`."""

    def __init__(
        self, bench: Bench, suite: Suite, op: Operator, texts: Sequence[str], *, seed: int, profile: Profile,
        peaks: Peaks,
    ) -> None:  # fmt: skip
        self._bench, self._op = bench, op
        self._texts = list(texts)
        self._profile: Profile = profile
        self._peaks = peaks
        self._pace = PACES[bench.device.type].within(bench.limits.timing_s)
        self._space = Space.of(bench.device)
        self._rng = random.Random(seed)
        self._values = Values(suite, op, len(texts), seeds=self._rng, profile=profile)
        self._overload = resolve(op)
        self._plans: dict[int, Plan] = {}
        self._before: dict[int, Before] = {}
        self._bias = Bias()
        self._states: list[State] = []
        self._disagree_bytes = 0
        """Of this round, beyond what was planned: what is kept of pairs that were looked at."""
        self.phase = Phase()
        self._checks = Checks(self._overload, self._texts, profile, self.phase.evidence)

    def before(self) -> None:
        """Time the reference where the candidate will run, while there is no candidate."""
        clean, twin = self._bench.clean(), self._bench.twin()
        for case in range(len(self._texts)):
            try:
                self._plans[case] = self._planned(case, clean, twin)
            except oracle.Unjudgeable as error:
                self._leave_out(case, str(error))
                continue
            self._before[case] = Before(Times(self._plans[case].calls), Times(self._plans[case].calls))
        waiting = list(self._before)
        while waiting:
            count = 1 + self._pace.baseline
            needs = {case: self._plans[case].needs(count, drawn=DRAWN_BEFORE) for case in waiting}
            batch = self._fitting(needs)
            is_light = self._space.is_light(needs[case] for case in batch)
            with contextlib.nullcontext() if is_light else self._bench.holding_much():
                for case in self._baselines(batch, needs, count):
                    waiting.remove(case)
        for case, sides in self._before.items():
            if min(*sides.clean.claimed_us, *sides.twin.claimed_us) < self._pace.least_us:
                self._leave_out(case, NOTHING)
        self._bias = Bias.of(self._before[case] for case in self._plans)
        self._plans = {case: self._as_seen(plan, self._before[case]) for case, plan in self._plans.items()}

    def _baselines(self, batch: Sequence[int], needs: Mapping[int, Needs], count: int) -> list[int]:
        """Time the reference on so many blocks of these cases, as many cases as make a round."""
        clean, twin = self._bench.clean(), self._bench.twin()
        many = [asked for case in batch for asked in self._asked_before(case, count)]
        with self._bench.sharing(), self._bench.stages("draw"):
            ready = [self._bench.prepare(keeper, many) for keeper in (clean, twin)]
            self._bench.reserve(max(max(needs[case].kept_bytes, needs[case].passing_bytes) for case in batch))
        for first in (*ready[0][::count], *ready[1][::count]):
            if first.block is not None:
                self._rehearse(first)
        done: list[int] = []
        with self._bench.alone():
            for number, case in _for_a_round(list(enumerate(batch))):
                own = slice(number * count, (number + 1) * count)
                self._baseline(case, ready[0][own], ready[1][own])
                done.append(case)
        return done

    def _as_seen(self, plan: Plan, sides: Before) -> Plan:
        """By what the reference took before the candidate came: how much has to be sampled, and what is possible in any case."""
        plan = plan.possible(min(*sides.twin.claimed_us, *sides.clean.claimed_us))
        if not self._pace.at_once:
            return plan
        return plan.enough(
            self._pace,
            spread=sides.spread,
            is_short=sides.twin.median_us < SHORT_US,
            block_us=statistics.median(sides.twin.wall_us),
        )

    def _asked_before(self, case: int, count: int) -> list[Asked]:
        """Blocks of the reference alone. There is nobody yet who could know values again, so a few do for all."""
        few = [self._asked_with_a_pause(case, self._drawn(case)) for _ in range(min(count, DRAWN_BEFORE))]
        return [few[number % len(few)] for number in range(count)]

    def _leave_out(self, case: int, why: str) -> None:
        self._plans.pop(case, None)
        self.phase.left_out[self._texts[case]] = why

    def _baseline(self, case: int, clean: Sequence[Ready], twin: Sequence[Ready]) -> None:
        """The reference in both workers, in turn, as it will be beside a candidate; the first block does not count."""
        sides, turn = self._before[case], self._plans[case].turn
        for first in range(0, len(clean), turn):
            few = slice(first, first + turn)
            theirs = functools.partial(self._references, clean[few])
            for came, times in zip(
                self._in_turn(twin[few], clean[0].keeper, theirs), (sides.twin, sides.clean), strict=True
            ):
                for timed in came[not first :]:
                    times.add(timed)

    def run(self) -> Phase:
        """Time every case against the twin, some pairs of each in turn."""
        states = self._states = [self._state(case) for case in self._plans]
        while waiting := [state for state in states if state.result is None]:
            for state in waiting:
                state.wanted = max(self._lacking(state), len(state.blocks))
            self._next_round(waiting)
        self.phase.results = [state.result for state in states if state.result is not None]
        return self.phase

    def heard(self) -> Phase:
        """Call each case that has a time once more, and time some pairs of it, while it is heard which kernels run: the candidate's worker listens by
        now.

        Who has ATen work only where nobody hears it is slower here, or gains little. The results are those that differ from what `run` came to:
        of cases that failed, or took longer, and that is what counts then.
        """
        self.phase = Phase()
        self._checks = Checks(self._overload, self._texts, self._profile, self.phase.evidence)
        before = {state.case: state.result for state in self._states if state.result and state.result.passed}
        states = [dataclasses.replace(self._state(case), is_heard=True) for case in before]
        for pairs in HEARD_PAIRS:
            wanted = {
                state.case: len(state.measured.claimed_us) + pairs
                for state in states
                if state.result is None
                and (not state.measured.claimed_us or self._is_slower(state, before[state.case]))
            }
            while left := [
                state for state in states if state.case in wanted and self._lacks(state, wanted[state.case])
            ]:
                for state in left:
                    lacking = wanted[state.case] - len(state.measured.claimed_us)
                    pairs_at_once = min(lacking, self._plans[state.case].pairs) + state.waiting
                    state.wanted = max(pairs_at_once, len(state.blocks))
                self._next_round(left)
        for state in states:
            if state.result is not None:
                self.phase.results.append(state.result)
            elif self._is_slower(state, before[state.case]):
                self.phase.results.append(self._as_heard(state, before[state.case]))
        return self.phase

    def _lacks(self, heard: State, wanted: int) -> bool:
        """Whether a case has fewer times than wanted, and its kernel is not so slow that a few must do."""
        found = len(heard.measured.claimed_us)
        is_slow = found >= FEW_PAIRS and heard.spent_s > LEASE_LIMIT_S
        return heard.result is None and found < wanted and not is_slow

    def _is_slower(self, heard: State, before: CaseResult) -> bool:
        assert before.speedup is not None
        return self._heard_speedup(self._reading(heard), before) * LONGER < before.speedup

    @staticmethod
    def _heard_speedup(found: Figures, before: CaseResult) -> float:
        """Beside the reference that ran in turn, or by its time from before: a worker that listens is not kept from the device, and may have left it work
        that slows the reference."""
        assert before.reference_us is not None
        return min(found.speedup, before.reference_us / found.candidate_us)

    def _as_heard(self, heard: State, before: CaseResult) -> CaseResult:
        """What counts of a case that took longer where it was heard."""
        found = self._reading(heard)
        speedup = self._heard_speedup(found, before)
        detail = (
            f"{before.args}: {speedup:.3g} times as fast as PyTorch while it was heard which kernels ran, and "
            f"{before.speedup:.3g} times before; the former counts"
        )
        self.phase.evidence += [*found.evidence, Evidence(rule="slower_when_heard", detail=detail)]
        return dataclasses.replace(
            before,
            candidate_us=found.candidate_us,
            reference_us=speedup * found.candidate_us,
            speedup=speedup,
            noise=found.noise,
        )

    def _next_round(self, waiting: Sequence[State]) -> None:
        """Of the first of those that fit into memory together."""
        by_case = {state.case: state for state in waiting}
        needs = {case: self._plans[case].needs(state.wanted) for case, state in by_case.items()}
        batch = [by_case[case] for case in self._fitting(needs)]
        if self.phase.ended is not None and self._bench.give_up(self.phase.ended):
            for state in batch:
                self._note(state, CaseStatus.NOT_RUN, "not run: the worker was gone")
        else:
            is_light = self._space.is_light(needs[state.case] for state in batch)
            for state in batch:
                with self._noting(state):
                    self._meet(state, draws=is_light)
            met = [state for state in batch if state.result is None]
            with contextlib.nullcontext() if is_light else self._bench.holding_much():
                self._round(met)
                if not is_light:
                    for state in met:
                        state.blocks.clear()  # what was drawn and not run: others hold much now

    def _state(self, case: int) -> State:
        calls = self._plans[case].calls
        return State(case, Times(calls), Times(calls), self._pace.warm_up)

    def _note(self, state: State, status: CaseStatus, message: str) -> None:
        args = self._texts[state.case]
        state.end(CaseResult(args=args, kind=CaseKind.PERFORMANCE, status=status, message=message))

    @contextlib.contextmanager
    def _noting(self, state: State) -> Iterator[None]:
        """How the case ends if what is done here ends it."""
        try:
            yield
        except Wrong as error:
            self._note(state, error.status, str(error))
        except CompileFailed as error:
            self._note(state, CaseStatus.RAISED, str(error))
        except Ended as error:
            self.phase.ended = error
            if isinstance(error, Forged):
                self.phase.evidence.append(Evidence(rule="forged_frame", detail=str(error)))
            self._note(state, correctness.status_of(error), str(error))

    # ---- sampling ------------------------------------------------------------------------------

    def _fitting(self, needs: Mapping[int, Needs]) -> list[int]:
        """The first cases that fit into memory together, one in any case."""
        cases, each = list(needs), list(needs.values())
        return [case for number, case in enumerate(cases) if self._space.holds(each[: number + 1])] or cases[
            :1
        ]

    def _lacking(self, state: State) -> int:
        """Pairs of a round. After the first one on a GPU, as many as by what was seen the band should take."""
        plan, times = self._plans[state.case], len(state.measured.claimed_us)
        pairs = plan.pairs
        if self._pace.at_once and times >= self._pace.least and not state.is_doubted:
            ratio = compare(state.reference.claimed_us, state.measured.claimed_us)
            wider = min(ratio.noise / self._wanted(ratio), plan.pairs)  # claims may be anything
            pairs = plan.giving(math.ceil(times * max(wider**2 - 1, FURTHER)))
        return pairs + state.waiting

    def _round(self, batch: list[State]) -> None:
        """Draw for all, time all, check all: the device is asked for once."""
        running = [state for state in batch if self._is_ready(state)]
        if not running:
            return
        for state in running:
            while self._draw_one(state):
                pass
        twin = self._bench.twin()
        with self._bench.sharing():
            is_planned = False
            # The candidate may not even make room. The others get a new worker then.
            with self._noting(running[0]):
                self._plan(running, twin)
                is_planned = True
            if not is_planned:
                return
            needs = Needs.of(self._plans[state.case].needs(len(state.ready)) for state in running)
            self._bench.reserve(needs.kept_bytes + needs.passing_bytes)
        self._disagree_bytes = 0
        with self._bench.alone():
            for state in _for_a_round(running):
                if not self._is_ready(state):
                    break
                with self._noting(state):
                    self._pairs(state)
        for state in running:
            state.blocks += [both.ours.asked.calls for both in state.ready]
            state.ready.clear()
            if state.result is None and state.pairs:
                with self._noting(state):
                    self._settle(state)

    def _is_ready(self, state: State) -> bool:
        return state.worker is not None and state.worker.alive

    def _plan(self, running: Sequence[State], twin: Keeper) -> None:
        """Plan all blocks of a round for both sides, which the device need not wait for."""
        many: list[tuple[State, Asked]] = []
        for state in running:
            many += [(state, self._asked_with_a_pause(state.case, calls)) for calls in state.blocks]
            state.blocks.clear()
        [candidate] = {state.worker for state in running}
        assert candidate is not None
        ours_asked = [each for _, each in many]
        theirs_asked = [dataclasses.replace(each, metas=state.metas) for state, each in many]
        sides = (self._bench.prepare(twin, ours_asked), self._bench.prepare(candidate, theirs_asked))
        for (state, _), ours, theirs in zip(many, *sides, strict=True):
            state.ready.append(Both(ours, theirs))
        for state in running:
            for number in self._rewritten(state):
                state.ready[number].rewritten = True

    def _rewritten(self, state: State) -> list[int]:
        """Which blocks of a round: a quarter, or one more or less, so that enough others are left. In every fourth round it may be any
        number: nobody can count them and know when it is over."""
        if state.is_heard:  # what is computed ahead in a block is in its time
            return []
        able = [number for number, both in enumerate(state.ready) if len(both.ours.asked.calls) > 1]
        spare = len(able) - state.waiting - max(self._pace.least - len(state.measured.claimed_us), 0)
        usual = round(REWRITTEN * len(able))
        if usual < 2 or spare <= usual or self._rng.random() < REWRITTEN:
            return [number for number in able if self._rng.random() < REWRITTEN]
        return self._rng.sample(able, self._rng.randint(usual - 1, usual + 1))

    def _meet(self, state: State, *, draws: bool) -> None:
        """Have a worker that knows the case; whether values are drawn while it compiles."""
        candidate = self._bench.candidate()
        if state.worker is not candidate:
            self._first_call(candidate, state, draws=draws)
            state.worker = candidate

    def _settle(self, state: State) -> None:
        """Check what was run, and see whether it is enough."""
        pairs, state.pairs = state.pairs, []
        for pair in pairs[state.waiting :]:
            if pair.has_time:
                state.reference.add(pair.ours)
                state.measured.add(pair.theirs)
        state.waiting = max(state.waiting - len(pairs), 0)
        for pair in pairs:
            if not state.is_heard:
                self._note_operators(state, audit.Operators(pair.theirs.operators))
            with self._bench.sharing(), self._bench.stages("check"):
                self._checks.pair(state.case, pair, state.errors)
        if self._enough(state):
            state.end(self._result(state))

    def _first_call(self, candidate: Keeper, state: State, *, draws: bool) -> None:
        """It may compile for a minute; nobody should wait for that alone. Values for a round may be drawn meanwhile."""
        case = state.case
        with self._bench.sharing(), self._bench.stages("first_calls"):
            call = self._values.call(case)
            sample = self._bench.call(
                candidate,
                ("timed", case),
                call,
                self._plans[case].metas,
                meanwhile=lambda: draws and self._draw_one(state),
            )
            if state.is_heard:
                self._note_operators(state, _heard(sample.claims))
            if sample.claims.error:
                raise Wrong(CaseStatus.RAISED, f"the kernel raised {sample.claims.error}")
            self._checks.call(case, call, sample.observed, state.errors)
            state.metas = self._plans[case].metas
            if not is_move(str(self._op)):  # else who leaves that order to the hand-over pays for it
                state.metas = _as_laid_out(state.metas, sample.claims.outputs)

    def _draw_one(self, state: State) -> bool:
        """Values for one block more; False where there are enough for a round."""
        if len(state.blocks) >= state.wanted:
            return False
        state.blocks.append(self._drawn(state.case))
        return True

    def _pairs(self, state: State) -> None:
        """Both sides of each block, some blocks of the one and then those of the other; fewer where the kernel is slow."""
        plan = self._plans[state.case]
        begun = time.monotonic()
        try:
            while state.ready:
                self._turn(state, plan)  # nothing of it is held here when the next one begins
                took_s = time.monotonic() - begun
                if self._disagree_bytes > self._space.held_bytes:
                    break
                if len(state.pairs) >= FEW_PAIRS and took_s > LEASE_LIMIT_S:
                    break
                if state.usable >= self._pace.least and state.spent_s + took_s > self._budget_s(state):
                    break
        finally:
            state.spent_s += time.monotonic() - begun

    def _turn(self, state: State, plan: Plan) -> None:
        """Some blocks of both sides; those that a slow kernel did not come to are still ready afterwards."""
        few = [state.ready.pop() for _ in range(min(plan.turn, len(state.ready)))]
        candidates = functools.partial(self._candidates, state, few, FEW_PAIRS + state.waiting)
        ours, theirs = self._in_turn([both.ours for both in few], few[0].theirs.keeper, candidates)
        state.ready += few[len(theirs) :]
        for both, our, their in zip(few, ours, theirs, strict=False):
            asked = both.ours.asked
            pair = Pair(asked.calls, asked.pause, both.rewritten, our, their)
            state.pairs.append(self._looked_at(pair, plan) if plan.is_heavy else pair)

    def _looked_at(self, pair: Pair, plan: Plan) -> Pair:
        """Without its values, if both sides agree."""
        if not pair.theirs.is_alike(pair.ours):
            sides = zip(pair.theirs.observed(), pair.twins(), strict=True)
            if not all(alike(theirs, ours) for theirs, ours in sides):
                self._disagree_bytes += plan.left_bytes
                return pair
        ours, theirs = (
            dataclasses.replace(side, observed=tuple, answer=None) for side in (pair.ours, pair.theirs)
        )
        return dataclasses.replace(pair, calls=(), ours=ours, theirs=theirs, agrees=True)

    def _note_operators(self, state: State, operators: audit.Operators) -> None:
        self.phase.operators.setdefault(state.case, []).append(operators)

    def _enough(self, state: State) -> bool:
        pairs, pace = len(state.measured.claimed_us), self._pace
        if state.is_heard:
            return False
        if pairs >= FEW_PAIRS and state.spent_s > LEASE_LIMIT_S:
            return True
        if pairs < pace.least:
            return False
        if state.is_doubted:
            return state.spent_s > self._budget_s(state)
        if pairs < pace.most and state.spent_s <= pace.budget_s and not self._is_close(state):
            return False
        # On a CPU the first look is long.
        state.is_doubted = pace.at_once and self._reading(state).is_doubtful
        return not state.is_doubted

    def _budget_s(self, state: State) -> float:
        return self._pace.budget_s * (SECOND_LOOK if state.is_doubted else 1.0)

    def _is_close(self, state: State) -> bool:
        """Whether the ratio is known as closely as wanted."""
        ratio = compare(state.reference.claimed_us, state.measured.claimed_us)
        return ratio.noise <= self._wanted(ratio)

    def _wanted(self, ratio: Ratio) -> float:
        return self._pace.short_noise if ratio.reference_us < SHORT_US else self._pace.noise

    def _reading(self, state: State) -> Figures:
        return Reading(
            self._texts[state.case], self._before[state.case], state.reference, state.measured,
            bias=self._bias, on_cpu=self._bench.device.type == "cpu", trust=self._pace.trust,
            floor_us=self._plans[state.case].floor_us, kept_apart=paused.is_offered() and not state.is_heard,
        ).figures()  # fmt: skip

    def _result(self, state: State) -> CaseResult:
        plan, found = self._plans[state.case], self._reading(state)
        self.phase.evidence += found.evidence
        # On a CPU many a call is too short for the clock, which is nobody's fault.
        self.phase.overruled += self._pace.at_once and not found.is_as_sampled
        return CaseResult(
            args=self._texts[state.case],
            kind=CaseKind.PERFORMANCE,
            status=CaseStatus.PASSED,
            max_abs_error=state.errors.max_abs_error,
            max_rel_error=state.errors.max_rel_error,
            reference_us=found.reference_us,
            candidate_us=found.candidate_us,
            speedup=found.speedup,
            noise=found.noise,
            floor_us=plan.floor_us or None,
        )

    # ---- calls -------------------------------------------------------------------------------------

    def _planned(self, case: int, clean: Keeper, twin: Keeper) -> Plan:
        """What its outputs are like, and how many calls make a block, by a first call in both workers."""
        with self._bench.sharing():
            call = self._values.call(case)
            attempt = correctness.Attempt(case, call, "base")
            with self._bench.stages("oracle"):
                expectation = correctness.expectation_of(self._overload, attempt, self._profile)
            assert expectation is not None
            floor_us = self._peaks.floor_us(self._overload, call)
            plan = Plan(correctness.output_metas(expectation), 1, 1, 1, 0, 0, False, floor_us)
            del expectation  # several times what the call itself holds
            self._plans[case] = plan
        for keeper in (twin, clean):
            with self._bench.sharing(), self._bench.stages("first_calls"):
                [ready] = self._bench.prepare(keeper, [self._asked(case, (call,))])
                self._rehearse(ready)
        with self._bench.sharing():
            [timed] = self._references([ready])
        given_bytes = sum(tensor.untyped_storage().nbytes() for tensor in inputs.tensors_of(call))
        return Plan.of(
            self._pace,
            self._space,
            plan.metas,
            given_bytes=given_bytes,
            claimed_us=timed.claimed_us,
            floor_us=floor_us,
        )

    def _rehearse(self, ready: Ready) -> None:
        """Let the reference meet what it will be timed on: it loads what it needs, and finds memory for as many calls."""
        with self._bench.sharing(), self._bench.stages("first_calls"):
            if error := self._bench.rehearse(ready):
                raise JudgeError(f"the reference failed on {self._texts[ready.asked.case]}: {error}")

    def _drawn(self, case: int) -> tuple[Call, ...]:
        """Fresh values for a block; whoever wants the device need not wait for more than that."""
        with self._bench.sharing(), self._bench.stages("draw"):
            return self._values.block(case, self._plans[case].calls)

    def _asked_with_a_pause(self, case: int, calls: tuple[Call, ...]) -> Asked:
        """Where nobody expects it, if there is a place for one."""
        return self._asked(case, calls, self._rng.randrange(1, len(calls)) if len(calls) > 1 else 1)

    def _asked(self, case: int, calls: tuple[Call, ...], pause: int | None = None) -> Asked:
        return Asked(case, calls, self._plans[case].metas, pause or len(calls))

    def _references(self, many: Sequence[Ready]) -> list[Timed]:
        """The reference on blocks of one case."""
        text = self._texts[many[0].asked.case]
        try:
            came = self._bench.timed(many, [False] * len(many))
        except Ended as error:
            raise JudgeError(f"the reference did not survive {text}: {error}") from error
        for timed in came:
            if timed.error:
                raise JudgeError(f"the reference failed on {text}: {timed.error}")
        return [
            self._references([ready])[0] if timed.is_late else timed
            for ready, timed in zip(many, came, strict=True)
        ]

    def _in_turn(
        self, ours: Sequence[Ready], other: Keeper, theirs: Callable[[], list[Timed]]
    ) -> tuple[list[Timed], list[Timed]]:
        """The reference while another worker stands still, which is the candidate's or will be, and what that one runs, which may be less;
        in an order that nobody knows beforehand."""
        came: dict[bool, list[Timed]] = {}
        for is_ours in self._rng.sample((True, False), 2):
            with other.standing_still() if is_ours else contextlib.nullcontext():
                came[is_ours] = self._references(ours[: len(came.get(False, ours))]) if is_ours else theirs()
        return came[True][: len(came[False])], came[False]

    def _candidates(self, state: State, few: Sequence[Both], least: int) -> list[Timed]:
        """Blocks of the candidate, so many in any case and all that it comes to in time; raises `Wrong` if one failed or claims no time."""
        came = self._bench.timed(
            [both.theirs for both in few],
            [both.rewritten for both in few],
            patience=Patience(least, LEASE_LIMIT_S),
        )
        if state.is_heard:
            for timed in came:
                self._note_operators(state, _heard(timed))
        for both, timed in zip(few, came, strict=False):
            if timed.error:
                raise Wrong(CaseStatus.RAISED, f"the kernel raised {timed.error}")
            if not LEAST_US * len(both.theirs.asked.calls) < timed.claimed_us < float("inf"):
                raise Wrong(CaseStatus.CHEATED, "the worker claims that the call took no time at all")
        return came


def _heard(claims: wire.Done | Timed) -> audit.Operators:
    """What was heard of a call or of a block. That nothing was launched in it says nothing: a copy may be right."""
    return audit.Operators(claims.operators, heard=claims.heard)


def _as_laid_out(metas: Sequence[Meta | None], claims: Sequence[wire.OutputClaim]) -> tuple[Meta | None, ...]:
    """Forms of the outputs in the order of memory that a worker claims, where it claims any."""
    strides = (*(claim.stride for claim in claims), *((),) * len(metas))
    return tuple(
        None if meta is None else meta.laid_out(stride) for meta, stride in zip(metas, strides, strict=False)
    )


def _for_a_round(items: Sequence[T]) -> Iterator[T]:
    """One after the other, the first in any case, until the device has been held for `ROUND_S`."""
    begun = time.monotonic()
    for number, item in enumerate(items):
        if number and time.monotonic() - begun > ROUND_S:
            return
        yield item
