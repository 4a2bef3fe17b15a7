"""From raw samples to one ratio and its noise. Takes no times itself.

Reference and candidate are sampled in pairs under the same conditions, so the ratio is taken pair
by pair: what slows both, a clock step or a neighbour, cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much faster the candidate is, and how sure that is."""

    reference_us: float
    """Median time of the reference, in microseconds."""
    candidate_us: float
    """Median time of the candidate, in microseconds."""
    speedup: float
    """Median of the pairs' reference / candidate."""
    noise: float
    """Half-width of the 95 % band of that median, relative; infinite where too few pairs tell."""


def compare(reference_us: Sequence[float], candidate_us: Sequence[float]) -> Ratio:
    """Reduce paired samples, in microseconds; raises ValueError where they are no pairs of times."""
    if len(reference_us) != len(candidate_us) or not reference_us:
        raise ValueError(f"{len(reference_us)} and {len(candidate_us)} samples make no pairs")
    if not all(0 < time < math.inf for time in (*reference_us, *candidate_us)):
        raise ValueError("a time has to be positive and finite")
    ratios = sorted(slow / fast for slow, fast in zip(reference_us, candidate_us, strict=True))
    middle = median(ratios)
    return Ratio(median(reference_us), median(candidate_us), middle, _noise(ratios, middle))


def _noise(ordered: Sequence[float], middle: float) -> float:
    """The widest side of the sign test's band for the median; it assumes no distribution."""
    rank = _lower_rank(len(ordered))
    if rank is None:
        return math.inf
    low, high = ordered[rank], ordered[-1 - rank]
    return max(high - middle, middle - low) / middle


def _lower_rank(count: int, level: float = 0.95) -> int | None:
    """The largest rank whose order statistics hold the median with probability `level`."""
    tail, rank = 0.0, None
    for successes in range(count // 2):
        # through logarithms: a binomial coefficient of a thousand does not fit a float
        log_term = math.lgamma(count + 1) - math.lgamma(successes + 1)
        log_term -= math.lgamma(count - successes + 1) + count * math.log(2)
        tail += math.exp(log_term)
        if tail > (1 - level) / 2:
            break
        rank = successes
    return rank
