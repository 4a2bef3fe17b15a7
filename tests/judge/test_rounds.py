"""Which blocks of a round are rewritten: enough, and not so many that another round is needed."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench.judge import performance
from backend_bench.judge.bench import Bench, Ready, Timed
from backend_bench.judge.blocks import Asked
from backend_bench.judge.figures import Before, Times
from backend_bench.judge.judge import Judge
from backend_bench.judge.keeper import Crashed, Keeper
from backend_bench.judge.pace import PACES, SECOND_LOOK, Needs, Plan, Space
from backend_bench.judge.pairs import State
from backend_bench.judge.performance import Timing
from backend_bench.judge.roofline import Peaks
from backend_bench.operator import Operator
from backend_bench.own_work import is_move
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import CaseStatus, Status

PACE = PACES["cuda"]


@pytest.fixture(autouse=True)
def memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance.Space, "of", lambda device: performance.Space())


def timing(seed: int) -> Timing:
    bench: Any = SimpleNamespace(device=torch.device("cuda"), limits=Limits())
    suite: Any = None
    return Timing(bench, suite, Operator.parse("relu"), [], seed=seed, profile="strict", peaks=Peaks())


def state(blocks: int, calls: int, *, waiting: int, measured: int) -> State:
    made = State(0, Times(calls), Times(calls), waiting)
    ready = SimpleNamespace(asked=SimpleNamespace(calls=(None,) * calls))
    made.ready = [SimpleNamespace(ours=ready) for _ in range(blocks)]  # type: ignore[misc]
    made.measured.claimed_us = [1.0] * measured
    return made


SEEDS = range(400)
LATE = 0.05
"""Share of blocks in which the judge is late."""


def blocks_of(spread: float) -> int:
    """In a first round of a case whose times vary by that share."""
    plan = Plan((), 8, PACE.chunk, PACE.turn, 0, 0, False, 0.0)
    return plan.enough(PACE, spread=spread, is_short=False, block_us=500.0).pairs + PACE.warm_up


def test_a_round_is_as_long_as_times_vary() -> None:
    assert (
        blocks_of(0.0) == blocks_of(0.005) < blocks_of(0.008) < blocks_of(0.01) == PACE.chunk + PACE.warm_up
    )


def test_a_first_round_suffices_nearly_always() -> None:
    blocks = blocks_of(0.0)
    one = state(blocks, 8, waiting=PACE.warm_up, measured=0)
    rewritten = [timing(seed)._rewritten(one) for seed in SEEDS]
    assert all(len(set(each)) == len(each) for each in rewritten)
    enough = sum(blocks - PACE.warm_up - len(each) >= PACE.least for each in rewritten)
    assert enough > 0.9 * len(SEEDS)  # drawn one by one, 0.79 would be


def test_nobody_can_tell_how_many() -> None:
    """Whoever has seen as many as usual, or none until the last, knows nothing."""
    blocks = blocks_of(0.006)
    one = state(blocks, 8, waiting=PACE.warm_up, measured=0)
    counts = {len(timing(seed)._rewritten(one)) for seed in SEEDS}
    assert counts >= set(range(6))
    places = {number for seed in SEEDS for number in timing(seed)._rewritten(one)}
    assert places == set(range(blocks))


def test_a_block_of_one_call_has_nothing_to_rewrite() -> None:
    assert not timing(1)._rewritten(state(12, 1, waiting=0, measured=0))


def test_of_a_few_blocks_each_may_be_rewritten() -> None:
    few = state(3, 2, waiting=1, measured=0)
    counts = [len(timing(seed)._rewritten(few)) for seed in SEEDS]
    assert 0 < sum(counts) < 1.5 * len(SEEDS)


def test_blocks_before_a_candidate_comes_are_like_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a pause somewhere; and while the twin has the device, the worker that will be the candidate's stands still."""
    one = timing(1)
    one._plans[0], one._texts = Plan((), 8, 16, 2, 0, 0, False, 0.0), ["()"]
    monkeypatch.setattr(one, "_drawn", lambda case: (None,) * 8)
    pauses = {asked.pause for _ in range(50) for asked in one._asked_before(0, 2)}
    assert pauses == set(range(1, 8))

    log: list[str] = []

    @contextlib.contextmanager
    def standing_still() -> Iterator[None]:
        log.append("still")
        yield
        log.append("free")

    def references(many: Sequence[Ready]) -> list[Timed]:
        log.append(str(many[0].keeper))
        return [Timed(tuple, 8.0, 10.0) for _ in many]

    monkeypatch.setattr(one, "_references", references)
    one._before[0] = Before(Times(8), Times(8))
    clean: Any = SimpleNamespace(standing_still=standing_still)
    sides = [[SimpleNamespace(keeper=keeper)] * 3 for keeper in (clean, "twin")]
    one._baseline(0, *sides)  # type: ignore[arg-type]
    assert log.count("twin") == log.count(str(clean)) == 2
    turns = [log[number - 1 : number + 2] for number, each in enumerate(log) if each == "twin"]
    assert turns == [["still", "twin", "free"]] * 2
    assert len(one._before[0].twin.wall_us) == len(one._before[0].clean.wall_us) == 2


def test_a_budget_of_ones_own_is_for_more_pairs_or_fewer() -> None:
    assert PACE.within(None) is PACE
    more, less = PACE.within(4 * PACE.budget_s), PACE.within(PACE.budget_s / 100)
    assert (more.budget_s, more.most) == (4 * PACE.budget_s, 4 * PACE.most)
    assert less.most == PACE.least


@pytest.mark.parametrize(
    ("held_bytes", "claimed_us", "calls", "is_heavy"),
    [
        (1 << 10, 4.0, 24, False),
        (4 << 20, 4.0, 12, False),
        (6 << 20, 4.0, 8, False),
        (7 << 20, 4.0, 24, True),
        (64 << 20, 4.0, 9, True),
        (64 << 20, 8.0, 9, True),
        (16 << 20, 8.0, 13, True),
        (5 << 20, 12.0, 20, True),
        (2 << 20, 12.0, 20, False),
        (2 << 20, 9.0, 24, False),
        (64 << 20, 28.0, 8, True),
        (17 << 20, 70.0, 3, True),
        (16 << 20, 70.0, 3, False),
        (64 << 20, 28.0 * 8, 1, True),
    ],
)
def test_calls_are_put_together_as_long_as_a_pair_of_blocks_leaves_little(
    held_bytes: int, claimed_us: float, calls: int, is_heavy: bool
) -> None:
    """Else both sides are compared pair by pair, which takes longer than to time a few pairs more, and there are as few as will do."""
    space = Space(block_bytes=600 << 20, held_bytes=7 << 30, heavy_bytes=100 << 20)
    plan = Plan.of(PACE, space, (), given_bytes=held_bytes, claimed_us=claimed_us, floor_us=0.0)
    assert (plan.calls, plan.is_heavy) == (calls, is_heavy)


GIB = 1 << 30


def test_memory_is_counted_as_it_is_held() -> None:
    """Values to the end, of light pairs all that they leave, of heavy ones what a turn leaves, and of one case at a time."""
    light = Plan((), 4, 8, 10, GIB // 8, GIB // 4, False, 0.0)
    heavy = Plan((), 2, 8, 2, GIB // 8, GIB, True, 0.0)
    assert light.needs(8) == Needs(GIB, 2 * GIB, 0)
    assert heavy.needs(8) == Needs(GIB, 0, 3 * GIB)
    assert heavy.needs(8, drawn=2).drawn_bytes == GIB // 4
    space = Space(held_bytes=8 * GIB)
    assert space.holds([light.needs(8), heavy.needs(8), heavy.needs(8)])
    assert not space.holds([light.needs(8), light.needs(8), heavy.needs(8)])
    assert space.holds([])
    assert Needs.of([light.needs(8), heavy.needs(8), heavy.needs(4)]) == Needs(5 * GIB // 2, 2 * GIB, 3 * GIB)
    assert not Space(light_bytes=2 * GIB).is_light([light.needs(8)])
    assert Space(light_bytes=2 * GIB).is_light([light.needs(4)])


@pytest.mark.parametrize(
    ("held_bytes", "turn"), [(1 << 10, PACE.turn), (30 << 20, 6), (250 << 20, 8), (2 << 30, 2)]
)
def test_a_turn_leaves_no_more_than_a_third_of_what_may_be_held(held_bytes: int, turn: int) -> None:
    space = Space(block_bytes=300 << 20, held_bytes=14 << 30, heavy_bytes=100 << 20)
    plan = Plan.of(PACE, space, (), given_bytes=held_bytes, claimed_us=4.0, floor_us=0.0)
    assert plan.turn == turn


@pytest.mark.parametrize(("block_us", "turn"), [(500.0, PACE.turn), (20_000.0, 5), (1e6, 2)])
def test_a_turn_is_over_before_a_process_that_was_begun_in_it_can_use_a_gpu(
    block_us: float, turn: int
) -> None:
    plan = Plan((), 8, PACE.chunk, PACE.turn, 0, 0, False, 0.0)
    assert plan.enough(PACE, spread=0.0, is_short=False, block_us=block_us).turn == turn


@pytest.mark.parametrize(
    ("claimed_us", "further"),
    [
        (lambda number: 50.0 * (1 + number % 3 / 10), PACE.chunk),
        (lambda number: 50.0 * (1 + number % 3 / 200), 8),  # half as many again, and what is rewritten
        (lambda number: 1e300 if number % 2 else 1e-300, PACE.chunk),
    ],
)
def test_a_further_round_is_as_long_as_it_takes(claimed_us: Callable[[int], float], further: int) -> None:
    one = of_one_case()
    one._plans[0] = Plan((), 8, PACE.chunk, PACE.turn, 0, 0, False, 0.0)
    assert one._lacking(State(0, Times(8), Times(8), PACE.warm_up)) == PACE.chunk + PACE.warm_up
    reference, measured = Times(8), Times(8)
    for number in range(10):
        reference.claimed_us.append(50.0)
        measured.claimed_us.append(claimed_us(number))
    assert one._lacking(State(0, reference, measured, 0)) == further
    doubted = State(0, reference, measured, 0, is_doubted=True)
    assert one._lacking(doubted) == PACE.chunk


def test_a_worker_that_makes_no_room_ends_one_case_and_the_others_get_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = of_one_case()
    one._bench.twin = lambda: None  # type: ignore[method-assign]
    one._bench.sharing = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    keeper: Any = SimpleNamespace(alive=True)
    states = [State(0, Times(1), Times(1), 0, worker=keeper) for _ in range(2)]

    def plan(self: Timing, running: Sequence[State], twin: object) -> None:
        raise Crashed("the worker died while it made room for timed calls")

    monkeypatch.setattr(Timing, "_plan", plan)
    one._round(states)
    assert states[0].result is not None
    assert states[0].result.status is CaseStatus.CRASHED
    assert states[1].result is None
    assert isinstance(one.phase.ended, Crashed)


@pytest.mark.parametrize(("light_bytes", "is_held"), [(0, True), (math.inf, False)])
def test_a_round_that_holds_much_has_its_turn_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, light_bytes: float, is_held: bool
) -> None:
    one, log = of_one_case(), []
    one._space = Space(light_bytes=light_bytes)
    one._plans[0] = Plan((), 8, PACE.chunk, PACE.turn, 1, 1, False, 0.0)
    state = State(0, Times(8), Times(8), 0, wanted=4)
    state.blocks = [()]  # of the round before

    @contextlib.contextmanager
    def holding() -> Iterator[None]:
        log.append("held")
        try:
            yield
        finally:
            log.append("let go")

    def met(self: Timing, state: State, *, draws: bool) -> None:
        log.append("drawn early" if draws else "met")

    def failing(self: Timing, batch: Sequence[State]) -> None:
        log.append("round")
        if is_held:
            assert log[-2] == "held"

    one._bench.holding_much = holding  # type: ignore[method-assign]
    monkeypatch.setattr(Timing, "_meet", met)
    monkeypatch.setattr(Timing, "_round", failing)
    one._next_round([state])
    assert log == (["met", "held", "round", "let go"] if is_held else ["drawn early", "round"])
    assert bool(state.blocks) != is_held


BUDGET_S = PACE.budget_s
LONG_S = SECOND_LOOK * BUDGET_S


@pytest.mark.parametrize(
    ("disturbed", "looks"),
    [
        (0, [(0.0, True)]),
        (9, [(0.0, False), (0.8 * LONG_S, False), (1.1 * LONG_S, True)]),
        (9, [(1.1 * LONG_S, False), (1.2 * LONG_S, True)]),  # a turn in any case
    ],
)
def test_what_contradicts_itself_gets_a_second_look_whatever_is_seen_meanwhile(
    disturbed: int, looks: list[tuple[float, bool]]
) -> None:
    one = of_one_case()
    state = State(0, sampled(0), sampled(disturbed), 0)
    for spent_s, enough in looks:
        state.spent_s = spent_s
        assert one._enough(state) == enough
        state.measured = sampled(0)  # by then all is well


def test_what_varies_wildly_gets_a_second_look() -> None:
    wild = sampled(0)
    wild.claimed_us = [us * (1 + number % 3) for number, us in enumerate(wild.claimed_us)]
    wild.wall_us = [us + 50.0 * (number % 3) for number, us in enumerate(wild.wall_us)]
    assert not of_one_case()._enough(State(0, sampled(0), wild, 0, spent_s=1.1 * BUDGET_S))


@pytest.mark.parametrize("disturbed", [0, 9])
def test_a_time_that_is_not_the_sampled_one_is_told(disturbed: int) -> None:
    one = of_one_case()
    one._result(State(0, sampled(0), sampled(disturbed), 0))
    assert one.phase.overruled == bool(disturbed)


def of_one_case() -> Timing:
    one = timing(1)
    one._plans[0], one._texts = Plan((), 1, 16, 1, 0, 0, False, 0.0), ["()"]
    one._before[0] = Before(sampled(0), sampled(0))
    return one


def sampled(disturbed: int) -> Times:
    """Ten blocks, whose hand-over took long in some."""
    found = Times(1)
    for number in range(10):
        found.claimed_us.append(50.0 + number % 2 / 100)
        found.wall_us.append(150.0 + number % 3 + (700.0 if number < disturbed else 0.0))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("heavy_bytes", [1.0, math.inf])
def test_a_case_is_timed_in_one_round_as_on_a_gpu(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch, heavy_bytes: float
) -> None:
    """Blocks of several calls, some of them rewritten; with values that are kept, and with such as are looked at at once."""
    pace = dataclasses.replace(PACE, least_us=0.0, block_us=4000)
    monkeypatch.setattr(performance.Space, "of", lambda device: performance.Space(heavy_bytes=heavy_bytes))
    monkeypatch.setitem(performance.PACES, "cpu", pace)
    rounds: Counter[int] = Counter()
    kept: list[int] = []
    drawn = random.Random(1)
    pairs = Timing._pairs

    def block(self: Bench, ready: Ready) -> Timed:
        """One call after the other, as if they were one block."""
        asked = ready.asked
        case = ("timed", asked.case)
        samples = [self.call(ready.keeper, case, call, asked.metas, timed=True) for call in asked.calls]
        observed = tuple(sample.observed for sample in samples)
        claimed_us = sum(sample.claims.elapsed_us for sample in samples)
        is_late = drawn.random() < LATE
        return Timed(lambda: observed, claimed_us, sum(sample.wall_us for sample in samples), is_late=is_late)

    def timed(self: Bench, many: Sequence[Ready], rewrite: Sequence[bool], **_: object) -> list[Timed]:
        return [block(self, ready) for ready in many]

    def counted(self: Timing, state: State) -> None:
        rounds[state.case] += not state.is_doubted  # a CPU's clock is contradicted every now and then
        pairs(self, state)
        kept.append(sum(not pair.agrees for pair in state.pairs))

    monkeypatch.setattr(Bench, "timed", timed)
    monkeypatch.setattr(Timing, "_pairs", counted)
    suite = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    op = Operator.parse("topk")
    verdict = own_judge.judge(Submission(op=op, kind="reference", suite=suite, only="performance", seed=7))
    assert verdict.status is Status.OK, verdict
    assert set(rounds) == set(range(len(verdict.cases)))
    # One, but for the rounds in which more blocks than usual were rewritten or late.
    assert sum(rounds.values()) <= len(verdict.cases) + 2
    assert (sum(kept) == 0) == (heavy_bytes < math.inf)


@pytest.mark.parametrize(
    ("name", "moves"),
    [("clone", True), ("_to_copy", True), ("copy_", True), ("permute_copy", True), ("relu", False), ("cat", False)],
)  # fmt: skip
def test_which_operators_move_values(name: str, moves: bool) -> None:
    assert is_move(str(Operator.parse(name))) == moves


RELU = """import torch


def relu__default_kernel_impl(x):
    values = torch.where(x <= 0, 0, x)
    return values.movedim(0, -1).contiguous().movedim(-1, 0)
"""
CLONE = """import torch


def clone__default_kernel_impl(x, *, memory_format=None):
    return x.add(0)
"""


@pytest.mark.parametrize(("name", "source", "follows"), [("relu", RELU, True), ("clone", CLONE, False)])
def test_results_are_handed_over_in_the_order_in_which_they_came(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, source: str, follows: bool
) -> None:
    """But for operators whose whole work that order is."""
    asked: dict[bool, set[tuple[int, ...] | None]] = {True: set(), False: set()}
    prepare = Bench.prepare

    def seen(self: Bench, keeper: Keeper, many: Sequence[Asked]) -> list[Ready]:
        asked[keeper is self._candidate] |= {
            meta.like().stride() for each in many for meta in each.metas if meta
        }
        return prepare(self, keeper, many)

    monkeypatch.setattr(Bench, "prepare", seen)
    trace = tmp_path / "trace.txt"
    given = "T([64, 128, 96], f32, [1, 64, 8192])"
    how = "{}" if name == "relu" else "{'memory_format': torch.contiguous_format}"
    trace.write_text(f"Operator: aten.{name}.default\ncnt: 1, (({given},), {how})\n")
    verdict = own_judge.judge(
        Submission(
            op=Operator.parse(name),
            source=source,
            suite=SuiteSpec(name="torchbench", device="cpu", source=str(trace)),
            language="pytorch",
            only="performance",
        )
    )
    assert verdict.status is Status.OK, verdict
    assert asked[False] == {(1, 64, 8192) if name == "relu" else (12288, 96, 1)}
    assert (asked[True] == asked[False]) != follows
