"""What the samples of a timed case say: the figure of the candidate and that of the reference, and what contradicts a claim.

The worker's times are claims; the judge's own clock around the block bounds them, and so does what the device can do. Takes
no times itself.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from backend_bench.grading.speedup import Ratio, compare, spread
from backend_bench.judge.bench import Timed
from backend_bench.verdict import Evidence

SLOWED = 1.25
"""An interleaved reference this much slower than the one before counts as slowed."""
GROSS = 1.5
"""A claim that is contradicted by more than this is worth a person's look."""
LOOSE = 0.5
"""Slack of a claim above which the judge's clock hardly binds it."""
UNSTABLE = 0.2
"""Noise of a ratio above which its case is called unstable."""
UNSURE = 10.0
"""And the most that is said of one."""
WANDERING = 1.5
"""A true claim is what the judge's clock saw without the hand-over: it varies no more than the two do together, and this leaves room."""
VARIES, VARIES_US, RESOLVED_US = 1.5, 20.0, 4.0
"""What blocks take around their kernels differs from one side to the other, and beside a candidate from before it came, by no more than so many
times what lies between the quarters of one, and a little. That is believed to be so much, or as much as it was before the candidate
came. On an H200 it is 2 to 15 us, and 40 to 130 where a block of 150 us of attention has its 200 MB copied."""
VARIES_AMONG = 6
"""That is so many blocks of either side; the medians of more are surer."""
WANDERS = 0.15
"""Of what they take, if that is more, they are believed to vary by no more than such a share: before the candidate came another process may
have stretched some blocks."""
DRIFTS = 0.1
"""By such a share more, from before the candidate came to beside it, where it is kept from the device while the reference has it."""
SHORTEST_US = 1.5
"""No GPU has launched and finished a kernel in less."""
LEAST_US = 0.05
"""A Python call that does nothing takes longer."""
BIAS_US, BIAS = 0.15, 0.005
"""Two processes differ by so much on the same call, in microseconds and as a share: what an event costs (0.06 to
0.35 us seen on an H100, up to 0.16 on an H200), and of 65 us 0.5 % in two of two on an H200."""
PLACE = 0.006
"""And beside both by so much of a case, as its memory happens to lie: topk of 64 to 112 us differed by 0.9 to 1.5 %."""
BAND = 1.96
"""Half of a band of 95 %, in standard deviations."""


@dataclass(slots=True)
class Times:
    """Raw samples of one side of one case, in microseconds."""

    calls: int
    """In each block."""
    claimed_us: list[float] = field(default_factory=list)
    """Of a call, by the worker's clock."""
    wall_us: list[float] = field(default_factory=list)
    """Of a block, by the judge's."""

    def add(self, timed: Timed) -> None:
        self.claimed_us.append(timed.claimed_us / self.calls)
        self.wall_us.append(timed.wall_us)

    @property
    def median_us(self) -> float:
        """Of the claims."""
        return statistics.median(self.claimed_us)

    @property
    def overheads_us(self) -> list[float]:
        """What each block took around its kernels: hand-over, inputs in, outputs out."""
        return [
            wall - self.calls * claimed for wall, claimed in zip(self.wall_us, self.claimed_us, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Before:
    """The reference before the candidate came."""

    clean: Times
    """In the worker that became the candidate's."""
    twin: Times

    @property
    def longer_us(self) -> float:
        """By how much it took longer there."""
        return self.clean.median_us - self.twin.median_us

    @property
    def spread(self) -> float:
        """By what share its times vary in one process, as far as few samples tell."""
        return spread([us / side.median_us for side in (self.clean, self.twin) for us in side.claimed_us])


@dataclass(frozen=True, slots=True)
class Bias:
    """How much longer the same call takes in the candidate's process than in the twin's."""

    us: float = 0.0
    """Of any call, in microseconds."""
    share: float = 0.0
    """Beside that, of the call's own time."""
    doubt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Variance of `us`, their covariance, variance of `share`."""
    error: float = 0.0
    """Of one case: how well its bias is known, as a share of its time and a standard deviation."""

    @classmethod
    def of(cls, many: Iterable[Before]) -> Bias:
        """Fitted to all cases of a submission together: a few samples of one case say less about it than they are off themselves.

        Least squares, in which either part is as likely to be large as has been seen.
        """
        normal_us, cross, normal_share, right_us, right_share = 1 / BIAS_US**2, 0.0, 1 / BIAS**2, 0.0, 0.0
        for before in many:
            twin_us, longer_us = before.twin.median_us, before.longer_us
            errors_us = (_standard_error(side.claimed_us) for side in (before.clean, before.twin))
            weight = 1 / (sum(error_us**2 for error_us in errors_us) + (PLACE * twin_us) ** 2)
            normal_us += weight
            cross += weight * twin_us
            normal_share += weight * twin_us**2
            right_us += weight * longer_us
            right_share += weight * twin_us * longer_us
        scale = normal_us * normal_share - cross**2
        return cls(
            (right_us * normal_share - right_share * cross) / scale,
            (right_share * normal_us - right_us * cross) / scale,
            (normal_share / scale, -cross / scale, normal_us / scale),
        )

    def of_case(self, before: Before, spread: float) -> Bias:
        """The same for one case, whose memory lies as it happens to lie: as much of what the case itself shows as its few samples are
        worth. `spread` is by what share a time of the reference varies."""
        twin_us = before.twin.median_us
        error = spread * math.sqrt(1 / len(before.clean.claimed_us) + 1 / len(before.twin.claimed_us))
        rest = (before.longer_us - self.us) / twin_us - self.share
        worth = PLACE**2 / (PLACE**2 + error**2)
        own = worth * min(max(rest, -3 * PLACE), 3 * PLACE)
        of_us, of_both, of_share = self.doubt
        variance = of_us / twin_us**2 + 2 * of_both / twin_us + of_share + error**2 * worth
        return Bias(self.us, self.share + own, error=math.sqrt(max(variance, 0.0)))

    def off(self, claimed_us: float, clean_us: float) -> float:
        """A claim without it; `clean_us` is what the reference took in that process, and a shorter call has its share of `us`."""
        bias_us = self.us * min(1.0, claimed_us / clean_us) + self.share * claimed_us
        return max(claimed_us - bias_us, LEAST_US)


@dataclass(frozen=True, slots=True)
class Figures:
    """What counts of one case."""

    reference_us: float
    candidate_us: float
    speedup: float
    noise: float | None
    """Half-width of the 95 % band of the ratio, relative; None where too few pairs tell."""
    evidence: tuple[Evidence, ...]
    is_as_sampled: bool
    """Nothing contradicts the samples."""
    slack: float
    """What a claim may be off before the judge's clock contradicts it, as a share of what the reference takes."""

    @property
    def is_doubtful(self) -> bool:
        """Whether more samples may tell another story, or the same one more surely."""
        return not self.is_as_sampled or self.noise is None or self.noise > UNSTABLE or self.slack > LOOSE


class Reading:
    """The samples of one case, read once."""

    def __init__(
        self, args: str, before: Before, reference: Times, measured: Times, *, bias: Bias, on_cpu: bool, trust: float, floor_us: float,
        kept_apart: bool = False,
    ) -> None:  # fmt: skip
        self._args, self._before, self._reference, self._measured = args, before, reference, measured
        self._bias = bias
        self._on_cpu, self._trust, self._floor_us = on_cpu, trust, floor_us
        self._kept_apart = kept_apart
        self._evidence: list[Evidence] = []
        self._slack_us = 0.0

    def figures(self) -> Figures:
        """The believed times, and their ratio."""
        claimed_us, bias = self._measured.claimed_us, Bias()
        if not self._on_cpu:  # there the bias is lost in the noise
            bias = self._bias.of_case(
                self._before, max(spread(self._reference.claimed_us), self._before.spread)
            )
            claimed_us = [bias.off(us, self._before.clean.median_us) for us in claimed_us]
        ratio = compare(self._reference.claimed_us, claimed_us)
        candidate_us = self._believed(ratio)
        reference_us = self._unslowed(ratio)
        as_sampled = (reference_us, candidate_us) == (ratio.reference_us, ratio.candidate_us)
        speedup = ratio.speedup if as_sampled else reference_us / candidate_us
        noise = math.hypot(ratio.noise, BAND * bias.error) if ratio.noise < math.inf else None
        if self._on_cpu and self._evidence and noise is not None:
            # On a busy machine it may as well be an honest claim: so unsure is what counts in its place.
            noise = max(noise, min(abs(ratio.speedup / speedup - 1), UNSURE))
        return Figures(
            reference_us,
            candidate_us,
            speedup,
            noise,
            tuple(self._evidence),
            as_sampled,
            self._slack_us / ratio.reference_us,
        )

    def _believed(self, ratio: Ratio) -> float:
        """The candidate's time: its claim, unless the judge's clock contradicts it or the device cannot do it.

        On a CPU, where one block is out by milliseconds under load, it is what many blocks tell together that contradicts; and below
        what they can tell apart no claim is believed, unless the reference is as short.
        """
        claimed_us = ratio.candidate_us
        ours_us, slack_us = self._seen_on_cpu() if self._on_cpu else self._seen()
        self._slack_us = slack_us
        if claimed_us * self._trust + slack_us < ours_us:
            return self._overruled("clock_mismatch", claimed_us, ours_us, "the judge's clock")
        if self._on_cpu and self._wander():
            # Without the benefit of the doubt: else it would be a game of chance.
            return self._overruled(
                "clock_mismatch", claimed_us, max(ours_us + slack_us, claimed_us), "the judge's clock"
            )
        if self._on_cpu:
            claimed_us = max(claimed_us, min(ratio.reference_us, slack_us))
        elif claimed_us < SHORTEST_US:
            return self._overruled("clock_mismatch", claimed_us, SHORTEST_US, "the judge's clock")
        if claimed_us < self._floor_us:
            return self._overruled("beyond_the_device", claimed_us, self._floor_us, "what this device can do")
        return claimed_us

    @property
    def _trusted_us(self) -> list[float]:
        """What blocks of the reference took around its kernels, before the candidate came and beside it."""
        before = self._before
        return self._reference.overheads_us + before.clean.overheads_us + before.twin.overheads_us

    def _seen(self) -> tuple[float, float]:
        """What a call took by the judge's clock, on a GPU, and by how much that may be off.

        Blocks in turn take the same around their kernels on both sides. What a candidate could do to the reference beside it is bounded by
        what was seen before it came.
        """
        measured, beside = self._measured, self._reference.overheads_us
        clean, twin = self._before.clean.overheads_us, self._before.twin.overheads_us
        usual_us = min(statistics.median(clean), statistics.median(twin))
        wander_us = max(_between_quarters(clean), _between_quarters(twin))
        wander_us = max(min(wander_us, WANDERS * usual_us), VARIES_US)
        most_us = usual_us + VARIES * wander_us + (DRIFTS * usual_us if self._kept_apart else 0.0)
        around_us = min(statistics.median(beside), most_us)
        sure = min(math.sqrt(VARIES_AMONG / len(beside)), 1.0)
        slack_us = VARIES * sure * min(_between_quarters(beside), wander_us) + RESOLVED_US
        return (statistics.median(measured.wall_us) - around_us) / measured.calls, slack_us / measured.calls

    def _seen_on_cpu(self) -> tuple[float, float]:
        """The same on a CPU, where every third block may be interrupted: what many tell together."""
        trusted, measured = self._trusted_us, self._measured
        slack_us = 2 * _spread(trusted) * math.sqrt(1 / len(measured.wall_us) + 1 / len(trusted))
        ours_us = statistics.median(measured.wall_us) - statistics.median(trusted)
        return ours_us / measured.calls, slack_us / measured.calls

    def _wander(self) -> bool:
        """Whether the claims vary by more than what the judge saw can: claims that are spread on purpose have a median by chance."""
        trusted = self._trusted_us
        claimed_us = [each * self._measured.calls for each in self._measured.claimed_us]
        return _usual(claimed_us) > WANDERING * (_usual(self._measured.wall_us) + _usual(trusted))

    def _overruled(self, rule: str, claimed_us: float, ours_us: float, who: str) -> float:
        """Our figure; a gross contradiction is noted, a small one is what load does."""
        if rule == "clock_mismatch" and ours_us < claimed_us * GROSS:
            return ours_us
        detail = (
            f"{self._args}: the worker claims {claimed_us:.3g} us a call, {who} "
            f"allows no less than {ours_us:.3g} us; the latter counts"
        )
        self._evidence.append(Evidence(rule=rule, detail=detail))
        return ours_us

    def _unslowed(self, ratio: Ratio) -> float:
        """The reference's time: interleaved, unless it ran faster before the candidate came."""
        before_us = statistics.median(self._before.twin.claimed_us)
        # The quickest sample: passing load spares some, a candidate that works on slows them all.
        if min(self._reference.claimed_us) <= before_us * SLOWED:
            return ratio.reference_us
        detail = (
            f"{self._args}: the reference took {before_us:.1f} us before the "
            f"candidate was loaded and {ratio.reference_us:.1f} us beside it; the earlier counts"
        )
        self._evidence.append(Evidence(rule="slowed_reference", detail=detail))
        return before_us


def _usual(values: Sequence[float]) -> float:
    """By how much the values differ from their median, half of them by more."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def _between_quarters(values: Sequence[float]) -> float:
    """From what a quarter of the values are at most to what a quarter are at least."""
    ordered, number = sorted(values), (len(values) - 1) // 4
    return ordered[-1 - number] - ordered[number]


def _standard_error(values: Sequence[float]) -> float:
    """Of the mean of some values."""
    return statistics.stdev(values) / math.sqrt(len(values))


def _spread(values: Sequence[float]) -> float:
    """How far above the median nine in ten of the values stay."""
    ordered = sorted(values)
    return ordered[int(0.9 * (len(ordered) - 1))] - statistics.median(ordered)
