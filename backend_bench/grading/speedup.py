"""From raw samples to one ratio and its noise. Takes no times itself.

Reference and candidate are sampled in pairs under the same conditions, so the ratio is taken pair
by pair: what slows both, a clock step or a neighbour, cancels. The ratio is the Hodges-Lehmann estimate, the median of the
means of all pairs of logarithms, and its band that of Wilcoxon's signed ranks: no distribution is assumed, outliers move it little, and
from a given number of samples it is known a fifth closer than by their median. (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, chapter 3.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

LEVEL = 0.95
_EXACT = 40
"""Beyond so many pairs the normal approximation of the signed ranks is good to a rank."""
_MANY = 400
"""Beyond so many the median is known as closely as anybody needs, and the means of all pairs are a million."""

_OF_MAD = 1.4826
"""Standard deviation of a normal distribution, in median absolute deviations."""
_LARGEST = 700.0
"""Logarithm of what a float still holds."""
_NEAR = 1.5
"""Standard errors of a mean between the two estimates: twice what is usual."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much faster the candidate is, and how sure that is."""

    reference_us: float
    """Median time of the reference, in microseconds."""
    candidate_us: float
    """Median time of the candidate, in microseconds."""
    speedup: float
    """Middle of the pairs' reference / candidate."""
    noise: float
    """Half-width of the 95 % band of that middle, relative; infinite where too few pairs tell."""


def compare(reference_us: Sequence[float], candidate_us: Sequence[float]) -> Ratio:
    """Reduce paired samples, in microseconds; raises ValueError where they are no pairs of times.

    The estimate is held near the median, as it is by itself where all samples are of one kind: three claims in ten of next to
    nothing would take it anywhere, and the median stands up to five. How near is told by the reference's times alone, which
    nobody claims.
    """
    if len(reference_us) != len(candidate_us) or not reference_us:
        raise ValueError(f"{len(reference_us)} and {len(candidate_us)} samples make no pairs")
    if not all(0 < time < math.inf for time in (*reference_us, *candidate_us)):
        raise ValueError("a time has to be positive and finite")
    logs = sorted(
        math.log(slow) - math.log(fast) for slow, fast in zip(reference_us, candidate_us, strict=True)
    )
    middle, noise = _middle(logs, _NEAR * math.sqrt(2) * spread(reference_us) / math.sqrt(len(logs)))
    return Ratio(median(reference_us), median(candidate_us), math.exp(middle), noise)


def spread(times_us: Sequence[float]) -> float:
    """By what share such a time varies, as a standard deviation; outliers move it little."""
    logs = [math.log(time) for time in times_us]
    middle = median(logs)
    return _OF_MAD * median(abs(each - middle) for each in logs)


def _middle(logs: Sequence[float], near: float) -> tuple[float, float]:
    """The Hodges-Lehmann estimate of sorted logarithms, at most `near` from their median, and the half-width of its band as a share."""
    plain, rank = median(logs), _signed_rank(len(logs))
    if rank is None:
        return plain, math.inf
    if len(logs) > _MANY:
        return plain, _half(plain, *_band(logs, _sign(len(logs))))
    means = sorted((one + other) / 2 for number, one in enumerate(logs) for other in logs[number:])
    middle = min(max(median(means), plain - near), plain + near)
    return middle, _half(middle, *_band(means, rank))


def _band(ordered: Sequence[float], rank: int) -> tuple[float, float]:
    return ordered[rank], ordered[-1 - rank]


def _half(middle: float, low: float, high: float) -> float:
    return math.expm1(min(max(high - middle, middle - low), _LARGEST))


@functools.cache
def _signed_rank(count: int) -> int | None:
    """The largest rank, from 0, among the means of pairs that holds the middle with `LEVEL`; None where none does."""
    total = count * (count + 1) // 2
    if count > _EXACT:
        spread = math.sqrt(total * (2 * count + 1) / 12)
        return int(total / 2 - NormalDist().inv_cdf((1 + LEVEL) / 2) * spread)
    ways = [1] + [0] * total  # in how many of the sign patterns the positive ranks add up to so much
    for rank in range(1, count + 1):
        for added in range(total, rank - 1, -1):
            ways[added] += ways[added - rank]
    return _last_within(ways, count)


def _sign(count: int) -> int:
    """The same for the median, among many samples themselves."""
    return int(count / 2 - NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt(count) / 2)


def _last_within(ways: Sequence[int], count: int) -> int | None:
    """The last that is not yet too likely, of `2 ** count` in all."""
    most, seen, last = (1 - LEVEL) / 2 * 2**count, 0, None
    for number, each in enumerate(ways):
        seen += each
        if seen > most:
            break
        last = number
    return last
