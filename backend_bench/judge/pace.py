"""How much of a timed case is sampled: what makes a block, how many make a round, and how long a device may be held for it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from backend_bench.judge.figures import BAND, SHORTEST_US
from backend_bench.judge.roofline import MARGIN
from backend_bench.judge.stage import Meta


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is sampled, and how closely the judge's clock binds."""

    warm_up: int
    """Pairs of each case that do not count: caches, clocks coming up."""
    baseline: int
    """Pairs of the reference with itself, before the candidate is loaded."""
    least: int
    """Pairs that a usable band takes."""
    most: int
    """Pairs after which the band is what it is."""
    chunk: int
    """Pairs of a case in a round, at most; between rounds, others have their turn with the device."""
    budget_s: float
    """Time with the device to oneself for the pairs of a case, after which its band is what it is."""
    trust: float
    """A claim is believed down to the judge's figure divided by this, and its own margin."""
    block_us: float
    """Calls are put together until a block takes so long."""
    block_calls: int
    """At most so many."""
    noise: float
    """Half-width of the ratio's band at which sampling stops."""
    short_noise: float
    """The same for short calls."""
    at_once: bool = False
    """A round has as many pairs as will do, by what the reference's own times vary."""
    turn: int = 1
    """Blocks of one side, one after the other, before the other side has as many, at most: to keep a process from a GPU and to let it there
    again takes 0.8 ms, and the first of them waits for its worker."""
    least_us: float = 0.0
    """Where ATen takes less it launches nothing, and there is no time to compare with."""

    def within(self, timing_s: float | None) -> Pace:
        """With another budget for a case, and as many more pairs; None: as it is."""
        if timing_s is None:
            return self
        most = max(math.ceil(self.most * timing_s / self.budget_s), self.least)
        return dataclasses.replace(self, budget_s=timing_s, most=most)


PACES = {
    "cpu": Pace(
        warm_up=2,
        baseline=5,
        least=12,
        most=100,
        chunk=4,
        budget_s=0.6,
        trust=1.1,
        block_us=0,
        block_calls=1,
        noise=0.005,
        short_noise=0.005,
    ),
    "cuda": Pace(
        warm_up=1,
        baseline=4,
        least=6,
        most=32,
        chunk=16,
        budget_s=0.05,
        trust=1.03,
        block_us=240,
        block_calls=24,
        noise=0.008,  # the goal: 95 % of the ratios within 1 %, of the short ones within 3 %
        short_noise=0.025,
        at_once=True,
        turn=10,
        least_us=SHORTEST_US,
    ),
}
"""A pair takes 1 ms and more on a GPU, of which most is the device changing hands (`benchmarks/clock_bounds.py`); many
calls in a block divide what that varies by, and what an event adds."""
BLOCK_BYTES, BLOCK_PARTS = 256 << 20, 256
"""Inputs and results of a block, and which part of a device's memory if that is more; each worker holds so much, and one call where
that is larger. Two blocks of the same calls differ by half a microsecond and more, so what is timed has to be long."""
HELD_BYTES, HELD_PARTS = 6 << 30, 10
"""Of a round on a GPU, and which part of its memory if that is more: what was drawn, and what both sides left behind, until it is checked. A
judge has one round at a time that holds much; those that had the device one after the other wait together until it is shared again, and hold what
is not checked yet."""
LIGHT_PARTS = 6
"""Of what is held, what is not much: others of the same judge may hold as much at the same time."""
HEAVY_PARTS = 48
"""Of what is held, what is much for a pair: a round of two cases is held to its end."""
HEAVY_TURN, HEAVY_SHARE = 2, 0.325
"""Blocks of a turn that leave much memory: so many, and more as long as they leave no more than that share of what may be held."""
MOST_OUTPUTS = 1024
"""Of all calls of a block together: what a worker says of each goes into one reply (`wire.MAX_REPLY_BYTES`)."""
LIGHT_CALLS, LIGHT_US = 8, 200.0
"""So many calls that are short, and otherwise what takes so long, are put together only as long as a pair of blocks does not leave much.
Blocks of half as long make the ratios of sums and matrix products of 30 to 50 us vary by twice as much, on an H200."""
HEAVY_US = 100.0
"""Where a pair of short calls leaves much in any case, its blocks are no longer: they are copied and compared with the device held."""
SHORT_US = 10.0
"""A call that takes less is short."""
REWRITTEN = 0.25
"""Share of blocks whose later inputs are rewritten; no time is taken from them."""
SECOND_LOOK = 4.0
"""Times the budget: so long a case is sampled on a GPU whose samples contradicted each other, and for a turn in any case. Another process
stretches blocks for a tenth of a second, which may be most of the first six; one case in a hundred is looked at twice."""
LEASE_LIMIT_S = 5.0
"""A kernel that is slow in timed calls gets `FEW_PAIRS`, and others their turn with the device."""
FEW_PAIRS = 3
TURN_S = 0.1
"""A turn is no longer, but for `HEAVY_TURN` blocks: who begins a process in the meantime must not have it at work beside the reference."""
HEARD_PAIRS = (1, 8)
"""Of a case that is timed once more where its kernels are heard: to see whether it takes longer there, and to be sure of that."""
LONGER = 1.25
"""By so much it may take longer there: one that tunes itself chooses anew."""
FURTHER = 0.5
"""A further round has so many pairs of those that there are, or more: each is one more chance to look narrow by accident."""
DRAWN_BEFORE = 2
"""Blocks with values of their own in a baseline."""
ROUND_S = 0.5
"""After so long with the device no further case of a round begins."""


@dataclass(frozen=True, slots=True)
class Space:
    """Memory that the timing of a submission may take."""

    block_bytes: int = BLOCK_BYTES
    held_bytes: int = 3 << 30
    heavy_bytes: float = math.inf
    """Where a pair leaves more, both sides are compared at once: what agrees need not be kept, so one round suffices where it took
    five."""
    light_bytes: float = math.inf
    """What a round may hold beside others of this judge."""

    @classmethod
    def of(cls, device: torch.device) -> Space:
        """A part of the device's."""
        if device.type == "cpu":
            return cls()
        total = torch.cuda.get_device_properties(device).total_memory
        held = max(HELD_BYTES, total // HELD_PARTS)
        return cls(max(BLOCK_BYTES, total // BLOCK_PARTS), held, held // HEAVY_PARTS, held // LIGHT_PARTS)

    def holds(self, needs: Iterable[Needs]) -> bool:
        """Whether there is room for cases that are timed one after the other in a round."""
        return Needs.of(needs).bytes <= self.held_bytes

    def is_light(self, needs: Iterable[Needs]) -> bool:
        """Whether a round of these cases holds little."""
        return Needs.of(needs).bytes <= self.light_bytes


@dataclass(frozen=True, slots=True)
class Needs:
    """Memory that a case takes in a round."""

    drawn_bytes: int
    """Its values."""
    kept_bytes: int
    """What both sides leave, until all is checked."""
    passing_bytes: int
    """What they leave, until it was looked at and agrees: while this very case is timed."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.drawn_bytes + self.kept_bytes + self.passing_bytes

    @classmethod
    def of(cls, needs: Iterable[Needs]) -> Needs:
        """What cases take that are timed one after the other."""
        each = list(needs)
        return cls(
            sum(case.drawn_bytes for case in each),
            sum(case.kept_bytes for case in each),
            max((case.passing_bytes for case in each), default=0),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """How one case is timed."""

    metas: tuple[Meta | None, ...]
    calls: int
    """In a block."""
    pairs: int
    """In a round, at most."""
    turn: int
    """Of them, one side after the other."""
    drawn_bytes: int
    """Inputs of a block."""
    left_bytes: int
    """What both sides leave of a pair."""
    is_heavy: bool
    """Whether pairs are looked at one by one."""
    floor_us: float
    """No call on this device takes less."""

    def needs(self, pairs: int, *, drawn: int | None = None) -> Needs:
        """Of so many pairs, as long as both sides agree; `drawn`: so many have values of their own, if not all. Of those that are looked at
        one by one, a turn is left and one more."""
        drawn_bytes = (pairs if drawn is None else min(pairs, drawn)) * self.drawn_bytes
        if self.is_heavy:
            return Needs(drawn_bytes, 0, min(pairs, self.turn + 1) * self.left_bytes)
        return Needs(drawn_bytes, pairs * self.left_bytes, 0)

    def possible(self, seen_us: float) -> Plan:
        """With a floor that a trusted call of so long does not contradict."""
        return dataclasses.replace(self, floor_us=min(self.floor_us, seen_us / MARGIN))

    def enough(self, pace: Pace, *, spread: float, is_short: bool, block_us: float) -> Plan:
        """With as many pairs in a round as a narrow band takes, if the times of this case vary by that share, and with turns that are over
        soon, where a block takes so long."""
        needed = math.ceil(2 * (BAND * spread / (pace.short_noise if is_short else pace.noise)) ** 2)
        turn = min(self.turn, max(int(TURN_S * 1e6 / block_us), HEAVY_TURN))
        return dataclasses.replace(self, pairs=self.giving(max(needed, pace.least)), turn=turn)

    def giving(self, times: int) -> int:
        """How many pairs give so many times, as far as a round may have them."""
        pairs = math.ceil(times / (1 - REWRITTEN)) + 1 if self.calls > 1 else times
        return min(pairs, self.pairs)

    @classmethod
    def of(
        cls, pace: Pace, space: Space, metas: tuple[Meta | None, ...], *, given_bytes: int, claimed_us: float,
        floor_us: float,
    ) -> Plan:  # fmt: skip
        """For calls whose inputs take so many bytes; `claimed_us`: what one was seen to take."""
        held_bytes = given_bytes + sum(meta.nbytes for meta in metas if meta is not None)
        call_us = max(claimed_us, SHORTEST_US)
        count = min(
            pace.block_us / call_us,
            space.block_bytes / max(held_bytes, 1),
            pace.block_calls,
            MOST_OUTPUTS / max(len(metas), 1),
        )
        light = math.floor(min(space.heavy_bytes / max(2 * held_bytes, 1), pace.block_calls))
        is_short = call_us < SHORT_US
        if light >= LIGHT_CALLS if is_short else light * call_us >= LIGHT_US:
            count = min(count, light)
        elif is_short:  # no count that is worth it leaves little
            count = min(count, math.ceil(HEAVY_US / call_us))
        calls = max(math.floor(count), 1)
        left_bytes = 2 * calls * held_bytes
        is_heavy = left_bytes > space.heavy_bytes
        turn = pace.turn
        if is_heavy:
            turn = min(max(int(HEAVY_SHARE * space.held_bytes / left_bytes) - 1, HEAVY_TURN), turn)
        plan = cls(metas, calls, 1, turn, calls * given_bytes, left_bytes, is_heavy, floor_us)
        fitting = [pairs for pairs in range(1, pace.chunk + 1) if space.holds([plan.needs(pairs)])]
        return dataclasses.replace(plan, pairs=max(fitting, default=1))
