"""Speed-ups and scores."""

from __future__ import annotations

import math
import random
from statistics import fmean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backend_bench.grading import speedup as reduction
from backend_bench.grading.score import score
from backend_bench.grading.speedup import compare
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Status, Tally


def case(kind: CaseKind, passed: bool = True, speedup: float | None = None) -> CaseResult:
    status = CaseStatus.PASSED if passed else CaseStatus.WRONG
    return CaseResult(args="()", kind=kind, status=status, speedup=speedup)


def right(passed: bool = True) -> CaseResult:
    return case(CaseKind.CORRECTNESS, passed)


def timed(speedup: float | None, passed: bool = True) -> CaseResult:
    return case(CaseKind.PERFORMANCE, passed, speedup)


# --------------------------------------------------------------------------------- speed-ups


def test_the_ratio_is_taken_pair_by_pair() -> None:
    ratio = compare([10.0, 20.0, 40.0], [5.0, 10.0, 20.0])
    assert (ratio.reference_us, ratio.candidate_us) == (20.0, 10.0)
    assert ratio.speedup == pytest.approx(2.0)


def test_few_pairs_have_no_band_and_alike_pairs_a_narrow_one() -> None:
    assert compare([1.0] * 5, [1.0] * 5).noise == math.inf
    assert compare([1.0] * 6, [1.0] * 6).noise == 0.0


def test_the_band_is_that_of_the_signed_ranks() -> None:
    # The table of critical values, two-sided 5 %, that textbooks print.
    table = {6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 12: 13, 15: 25, 20: 52, 25: 89, 30: 137, 40: 264, 50: 434}
    assert {count: reduction._signed_rank(count) for count in table} == table
    # Powers of two, whose logarithms are 1 to 6 times that of two: all of them hold the middle with 97 %.
    ratio = compare([2.0**n for n in range(1, 7)], [1.0] * 6)
    assert ratio.speedup == pytest.approx(2**3.5)
    assert ratio.noise == pytest.approx(2**2.5 - 1)


@pytest.mark.parametrize("count", [8, 20, 60])
def test_the_band_holds_the_ratio_and_is_narrower_than_that_of_a_median(count: int) -> None:
    rng = random.Random(count)
    held, bands, plain = 0, [], []
    for _ in range(400):
        logs = sorted(rng.gauss(0.0, 0.02) for _ in range(count))
        ratio = compare([math.exp(each) for each in logs], [1.0] * count)
        held += abs(math.log(ratio.speedup)) <= math.log1p(ratio.noise)
        bands.append(ratio.noise)
        low, high = reduction._band(logs, {8: 0, 20: 5, 60: 21}[count])  # of the sign test
        plain.append(max(high - median(logs), median(logs) - low))
    assert held >= 0.93 * 400
    assert fmean(bands) < 0.9 * fmean(plain)


@pytest.mark.parametrize("lies", [4, 9, 12, 14])
def test_samples_of_two_kinds_count_as_the_larger_one(lies: int) -> None:
    """Up to just under half of them claim next to no time."""
    rng = random.Random(lies)
    for _ in range(50):
        reference = [math.exp(rng.gauss(0.0, 0.01)) for _ in range(30)]
        candidate = [0.01 if number < lies else 1.0 for number in range(30)]
        assert compare(reference, candidate).speedup < 1.05


@pytest.mark.parametrize("count", [8, 20, 32])
def test_claims_that_are_spread_on_purpose_gain_no_more_than_the_reference_varies(count: int) -> None:
    """Just under half are too short, the middle is true, the rest too long: the median claim is an honest one."""
    rng = random.Random(count)
    reference = [math.exp(rng.gauss(0.0, 0.01)) for _ in range(count)]
    short = (count - 2) // 2
    candidate = [math.exp(-3.0)] * short + [1.0] * 2 + [math.exp(1.0)] * (count - 2 - short)
    assert compare(reference, candidate).speedup < 1.03


def test_absurd_claims_have_a_band_too() -> None:
    assert compare([1.5] * 8, [0.051] * 5 + [1.7e308] * 3).noise > 1e300


def test_outliers_do_not_move_the_ratio() -> None:
    reference = [100.0] * 40 + [9000.0] * 5
    assert compare(reference, [50.0] * 45).speedup == pytest.approx(2.0)
    assert compare(reference, [50.0] * 45).noise == 0.0


def test_a_thousand_pairs_are_no_trouble() -> None:
    assert compare([2.0] * 3000, [1.0] * 3000).noise == 0.0


@pytest.mark.parametrize(
    ("reference", "candidate"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([math.nan], [1.0])]
)
def test_what_is_no_pair_of_times_is_refused(reference: list[float], candidate: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pairs|positive"):
        compare(reference, candidate)


# ------------------------------------------------------------------------------------ scores


def test_all_right_and_twice_as_fast() -> None:
    got = score([right(), right(), timed(2.0), timed(2.0)])
    assert got.correctness_score == 1.0
    assert got.performance_score == pytest.approx(2.0)
    assert got.reward == pytest.approx(2.0)
    assert got.correctness == Tally(passed=2, total=2)


def test_correctness_counts_both_kinds_of_cases() -> None:
    assert score([right(), right(False), timed(1.0), timed(1.0)]).correctness_score == 0.75


def test_a_failure_anywhere_is_never_better_than_one() -> None:
    assert score([right(False), timed(5.0)]).performance_score == 1.0
    assert score([right(), timed(5.0), timed(None, False)]).performance_score == 1.0


def test_a_failed_timing_counts_as_the_slowest_or_one() -> None:
    got = score([right(), timed(0.25), timed(0.25), timed(None, False)])
    assert got.performance_score == pytest.approx(0.25)
    assert score([right(), timed(None, False)]).performance_score == 0.0


def test_backendbench_counts_a_failure_as_one() -> None:
    got = score([right(), timed(4.0), timed(None, False)], profile="backendbench")
    assert got.performance_score == pytest.approx(2.0)
    got = score([right(False), timed(4.0)], profile="backendbench")
    assert got.performance_score == pytest.approx(4.0)


def test_without_performance_cases_any_right_case_gives_one() -> None:
    assert score([right(), right(False)]).performance_score == 1.0
    assert score([right(False)]).performance_score == 0.0


def test_only_one_kind() -> None:
    got = score([right(), right(False)], only="correctness")
    assert (got.correctness_score, got.performance_score, got.reward) == (0.5, None, None)
    got = score([timed(3.0)], only="performance")
    assert got.reward == pytest.approx(3.0)


@pytest.mark.parametrize("status", [Status.COMPILE_ERROR, Status.CHEATED])
def test_what_does_not_compile_or_cheats_is_worth_nothing(status: Status) -> None:
    got = score([right(), timed(9.0)], status=status)
    assert (got.correctness_score, got.reward) == (0.0, 0.0)


@pytest.mark.parametrize("status", [Status.NO_CASES, Status.ERROR])
def test_our_own_fault_is_never_a_zero(status: Status) -> None:
    assert score([], status=status).reward is None


cases = some.lists(
    some.builds(
        case,
        some.sampled_from(CaseKind),
        some.booleans(),
        some.none() | some.floats(min_value=0) | some.just(math.nan),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases, some.sampled_from(["strict", "backendbench"]))
def test_every_score_is_finite(results: list[CaseResult], profile: str) -> None:
    got = score(results, profile=profile)  # type: ignore[arg-type]
    for value in (got.correctness_score, got.performance_score, got.reward):
        assert value is not None
        assert math.isfinite(value)
        assert value >= 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases)
def test_a_wrong_kernel_never_earns_more_than_one(results: list[CaseResult]) -> None:
    if not all(result.passed for result in results):
        reward = score(results).reward
        assert reward is not None
        assert reward <= 1.0
