"""What the samples of a case say, where claim, the judge's clock and the device disagree."""

from __future__ import annotations

import random

import pytest

from backend_bench.judge.figures import DRIFTS, VARIES, VARIES_US, Before, Bias, Figures, Reading, Times

OVERHEAD_US = 100.0
CALLS = 4


def times(claimed_us: float, taken_us: float | None = None, *, calls: int = CALLS) -> Times:
    """Twenty blocks; what the judge's clock saw is what the calls took, the claim unless it is said."""
    found = Times(calls)
    for number in range(20):
        part = 1 + (number % 5 - 2) * 1e-3
        found.claimed_us.append(claimed_us * part)
        found.wall_us.append(OVERHEAD_US + number % 3 - 1 + calls * (taken_us or claimed_us) * part)
    return found


def read(
    measured: Times, *, reference: float = 50.0, before: float = 50.0, floor_us: float = 0.0,
    beside: Times | None = None, sides: Before | None = None, kept_apart: bool = False,
) -> Figures:  # fmt: skip
    return Reading(
        "(T([8], f32),)", sides or Before(times(before), times(before)), beside or times(reference), measured,
        bias=Bias(), on_cpu=False, trust=1.03, floor_us=floor_us, kept_apart=kept_apart,
    ).figures()  # fmt: skip


def test_an_honest_claim_counts_as_it_is() -> None:
    found = read(times(25.0))
    assert found.speedup == pytest.approx(2.0, rel=1e-6)
    assert found.candidate_us == pytest.approx(25.0, rel=1e-3)
    assert found.evidence == ()


@pytest.mark.parametrize(("taken_us", "rules"), [(25.0, ["clock_mismatch"]), (13.0, [])])
def test_a_claim_below_the_judges_clock_does_not_count_and_a_gross_one_is_told(
    taken_us: float, rules: list[str]
) -> None:
    found = read(times(10.0, taken_us))
    assert found.candidate_us == pytest.approx(taken_us, rel=1e-2)
    assert found.speedup == pytest.approx(50.0 / taken_us, rel=1e-2)
    assert [each.rule for each in found.evidence] == rules


@pytest.mark.parametrize(("disturbed", "doubtful"), [(8, False), (12, True)])
def test_what_disturbed_some_turns_of_the_candidate_contradicts_nothing(
    disturbed: int, doubtful: bool
) -> None:
    # Seen on an H200: some hundred microseconds more in each block of a turn, and nothing of it in the kernels.
    found = read(later(times(10.0), 700.0, disturbed))
    assert found.is_doubtful == doubtful
    assert found.candidate_us == pytest.approx(185.0 if doubtful else 10.0, rel=1e-2)


def later(side: Times, by_us: float, count: int = 20) -> Times:
    """The first so many blocks take longer by the judge's clock."""
    side.wall_us[:count] = [wall_us + by_us for wall_us in side.wall_us[:count]]
    return side


def test_blocks_in_turn_take_longer_around_their_kernels_than_those_before() -> None:
    reference = later(times(50.0), 30.0)
    assert read(later(times(10.0), 30.0), beside=reference).is_as_sampled
    assert read(later(times(10.0, 12.5), 30.0), beside=reference).candidate_us == pytest.approx(
        12.5, rel=1e-2
    )


@pytest.mark.parametrize("kept_apart", [False, True])
@pytest.mark.parametrize("slowed", [2, 5, 8, 12, 20])
@pytest.mark.parametrize("calls", [1, CALLS])
def test_who_slows_the_reference_around_its_kernels_gains_little(
    slowed: int, calls: int, kept_apart: bool
) -> None:
    """Claims of 10 us, where 300 have passed and the hand-over of the reference takes 0.4 ms longer in some of its blocks."""
    before = Before(times(50.0, calls=calls), times(50.0, calls=calls))
    reference = later(times(50.0, calls=calls), 400.0, slowed)
    found = read(times(10.0, 300.0, calls=calls), beside=reference, sides=before, kept_apart=kept_apart)
    more_us = VARIES * VARIES_US + (DRIFTS * OVERHEAD_US if kept_apart else 0.0)
    assert found.candidate_us > 300.0 - more_us / calls - 1
    assert [each.rule for each in found.evidence] == ["clock_mismatch"]


def test_one_side_that_was_disturbed_before_does_not_loosen_the_bound() -> None:
    before = Before(later(times(50.0), 500.0), times(50.0))
    found = read(times(10.0, 300.0), beside=later(times(50.0), 400.0), sides=before)
    assert found.candidate_us > 300.0 - VARIES * VARIES_US / CALLS - 1


@pytest.mark.parametrize(
    ("apart_us", "taken_us", "is_believed"),
    [(0.0, 11.25, True), (0.0, 11.4, False), (10.0, 13.3, True), (10.0, 13.5, False), (100.0, 15.8, True), (100.0, 16.1, False)],
)  # fmt: skip
def test_how_far_a_claim_of_ten_may_be_from_the_judges_clock(
    apart_us: float, taken_us: float, is_believed: bool
) -> None:
    """By what the hand-over of the reference varies: half of it takes so much longer. But for much no more than for some."""

    def varied(claimed_us: float, taken_us: float) -> Times:
        found = Times(CALLS)
        for number in range(20):
            found.claimed_us.append(claimed_us)
            found.wall_us.append(OVERHEAD_US + CALLS * taken_us + apart_us * (number % 2))
        return found

    same = varied(50.0, 50.0)
    found = read(varied(10.0, taken_us), beside=same, sides=Before(same, same))
    assert found.is_as_sampled == is_believed


def test_the_more_blocks_there_are_the_less_a_claim_may_be_off() -> None:
    """Of hand-overs that vary by 15 us, which hide 5 us a call of six blocks."""

    def wild(claimed_us: float, taken_us: float, blocks: int) -> Times:
        found = Times(CALLS)
        for number in range(blocks):
            found.claimed_us.append(claimed_us)
            found.wall_us.append(OVERHEAD_US + CALLS * taken_us + 15.0 * (number % 2))
        return found

    for blocks, is_believed in ((6, True), (24, False)):
        same = wild(50.0, 50.0, blocks)
        found = read(wild(10.0, 15.0, blocks), beside=same, sides=Before(same, same))
        assert found.is_as_sampled == is_believed


def test_what_the_clock_hardly_binds_is_looked_at_for_longer() -> None:
    def wild(claimed_us: float) -> Times:
        found = times(claimed_us)
        found.wall_us = [us + 300.0 * (number % 2) for number, us in enumerate(found.wall_us)]
        return found

    same = wild(10.0)
    assert read(same, beside=wild(10.0), sides=Before(wild(10.0), wild(10.0)), reference=10.0).is_doubtful
    assert not read(times(10.0), reference=10.0, before=10.0).is_doubtful


def test_a_reference_that_drifts_where_nobody_could_have_moved_it_is_believed() -> None:
    reference = later(times(50.0), 38.0)
    measured = later(times(10.0), 38.0)
    assert read(measured, beside=reference, kept_apart=True).is_as_sampled
    assert not read(measured, beside=reference, kept_apart=False).is_as_sampled


@pytest.mark.parametrize("true", [3, 6, 9])
def test_a_claim_that_is_true_of_some_blocks_is_not_believed(true: int) -> None:
    measured = times(10.0, 25.0)
    for number in range(true):
        measured.wall_us[2 * number] -= CALLS * 15.0
    assert [each.rule for each in read(measured).evidence] == ["clock_mismatch"]


def test_on_a_cpu_a_block_may_have_several_calls_too() -> None:
    found = Reading(
        "()", Before(times(50.0), times(50.0)), times(50.0), times(51.0),
        bias=Bias(), on_cpu=True, trust=1.1, floor_us=0.0,
    ).figures()  # fmt: skip
    assert (found.evidence, found.candidate_us) == ((), pytest.approx(51.0, rel=1e-3))


def loud(claimed_us: float, taken_us: float, rng: random.Random) -> Times:
    """Twenty blocks of a busy CPU: every third one is interrupted, and the judge's clock sees it."""
    found = Times(1)
    for _ in range(20):
        waited_us, part = rng.choice((0.0, 0.0, rng.uniform(1000, 6000))), rng.uniform(0.9, 1.1)
        found.claimed_us.append(claimed_us * part)
        found.wall_us.append(OVERHEAD_US + taken_us * part + waited_us)
    return found


def test_on_a_busy_cpu_a_twentieth_is_not_believed_and_a_true_time_is() -> None:
    rng = random.Random(0)
    cheated, honest = [], []
    for _ in range(100):
        before = Before(loud(300, 300, rng), loud(300, 300, rng))
        for claimed_us, found in ((300, cheated), (6000, honest)):
            figures = Reading(
                "(T([8], f32),)", before, loud(300, 300, rng), loud(claimed_us, 6000, rng),
                bias=Bias(), on_cpu=True, trust=1.03, floor_us=0.0,
            ).figures()  # fmt: skip
            found.append(figures.candidate_us)
            assert figures.noise is not None
            if figures.evidence:  # what contradicts a claim may be the machine
                assert figures.noise > 1
    assert min(cheated) > 3000
    assert all(4500 < us < 7500 for us in honest)


def test_on_a_cpu_what_is_too_short_for_the_clock_is_nobodys_fault() -> None:
    rng = random.Random(0)
    figures = Reading(
        "(T([8], f32),)", Before(loud(300, 300, rng), loud(300, 300, rng)), loud(300, 300, rng),
        loud(2, 2, rng), bias=Bias(), on_cpu=True, trust=1.03, floor_us=0.0,
    ).figures()  # fmt: skip
    assert figures.candidate_us == pytest.approx(300, rel=0.1)
    assert figures.evidence == ()


def test_nobody_is_quicker_than_a_launch_or_than_the_device() -> None:
    assert read(times(0.4)).candidate_us == 1.5
    found = read(times(25.0), floor_us=30.0)
    assert found.candidate_us == 30.0
    assert [each.rule for each in found.evidence] == ["beyond_the_device"]


def test_a_reference_that_is_slow_only_beside_the_candidate_counts_as_it_was_before() -> None:
    found = read(times(50.0), reference=100.0, before=50.0)
    assert found.reference_us == pytest.approx(50.0, rel=1e-2)
    assert found.speedup == pytest.approx(1.0, rel=1e-2)
    assert [each.rule for each in found.evidence] == ["slowed_reference"]
    assert read(times(50.0), reference=55.0, before=50.0).evidence == ()


def before(us: float, bias: Bias, *, noise: float, rng: random.Random) -> Before:
    """Four samples a side, of which one process is biased."""
    sides = []
    for extra in (bias.us + bias.share * us, 0.0):
        side = Times(CALLS)
        side.claimed_us = [(us + extra) * (1 + rng.gauss(0.0, noise)) for _ in range(4)]
        sides.append(side)
    return Before(*sides)


def test_a_bias_between_two_processes_is_taken_off() -> None:
    bias, rng = Bias(0.15, 0.005), random.Random(1)
    found = Bias.of([before(us, bias, noise=1e-4, rng=rng) for us in (4.0, 30.0, 90.0)])
    for us in (4.0, 30.0, 90.0):
        biased_us = us + bias.us + bias.share * us
        assert found.off(biased_us, biased_us) == pytest.approx(us, abs=0.35 * (biased_us - us))
    # A shorter call has no more than its share.
    assert found.off(2.0, 4.0) > 1.9


@pytest.mark.parametrize(
    ("sizes", "most"), [((4.0,), 0.02), ((28.0,), 0.007), ((4.0, 28.0, 28.0, 52.0), 0.02)]
)
def test_noise_is_not_taken_for_a_bias(sizes: tuple[float, ...], most: float) -> None:
    """Four noisy samples say less about a case than they are off themselves."""
    rng, off = random.Random(2), []
    for _ in range(200):
        found = Bias.of([before(us, Bias(), noise=0.015, rng=rng) for us in sizes])
        off += [abs(found.off(us, us) / us - 1) for us in sizes]
    assert sorted(off)[int(0.9 * len(off))] < most


def test_what_a_quiet_case_shows_of_itself_counts_and_what_a_noisy_one_shows_does_not() -> None:
    """Of topk, where memory lies makes a difference of one per cent; one sample in four is anything."""
    rng = random.Random(3)
    case = before(64.0, Bias(share=0.01), noise=0.001, rng=rng)
    quiet, noisy = Bias().of_case(case, 0.001), Bias().of_case(case, 0.02)
    assert quiet.off(64.64, 64.64) == pytest.approx(64.0, rel=2e-3)
    assert noisy.off(64.64, 64.64) == pytest.approx(64.64, rel=2e-3)
    assert quiet.error < 0.001 < 0.004 < noisy.error
    case.clean.claimed_us[0] *= 3
    assert Bias().of_case(case, 0.001).off(64.64, 64.64) == pytest.approx(64.0, rel=2e-2)


@pytest.mark.parametrize("place", [0.0, 0.004, 0.008])
def test_the_band_holds_what_the_bias_leaves(place: float) -> None:
    """Submissions of four cases against themselves, in processes that differ in all three ways."""
    rng, held, all_off = random.Random(4), 0, []
    for _ in range(100):
        both = Bias(rng.gauss(0.0, 0.1), rng.gauss(0.0, 0.003))
        cases = []
        for us in (12.0, 28.0, 52.0, 96.0):
            own, noise = Bias(both.us, both.share + rng.gauss(0.0, place)), rng.choice([0.003, 0.006, 0.012])
            cases.append((us, own, noise, before(us, own, noise=noise, rng=rng)))
        bias = Bias.of(each for *_, each in cases)
        for us, own, noise, seen in cases:
            reference, measured = times(us), times(us)
            reference.claimed_us = [us * (1 + rng.gauss(0.0, noise)) for _ in range(12)]
            slow_us = us + own.us + own.share * us
            measured.claimed_us = [slow_us * (1 + rng.gauss(0.0, noise)) for _ in range(12)]
            for side in (reference, measured):
                side.wall_us = [OVERHEAD_US + CALLS * claimed_us for claimed_us in side.claimed_us]
            seen.clean.wall_us = seen.twin.wall_us = [OVERHEAD_US + CALLS * us] * 4
            found = Reading(
                "", seen, reference, measured, bias=bias, on_cpu=False, trust=1.03, floor_us=0.0
            ).figures()  # fmt: skip
            assert found.noise is not None
            held += abs(found.speedup - 1) <= found.noise
            all_off.append(abs(found.speedup - 1))
    assert held >= 0.92 * len(all_off)
    assert sum(off < 0.01 for off in all_off) > 0.85 * len(all_off)


def calm(claims: list[float], rng: random.Random) -> Times:
    """Twenty blocks of a quiet CPU, in which a call takes 300 us and claims one of these shares of it."""
    found = Times(1)
    for _ in range(20):
        took_us = 300 * rng.uniform(0.95, 1.05)
        found.claimed_us.append(took_us * rng.choice(claims))
        found.wall_us.append(OVERHEAD_US + took_us * rng.uniform(1.0, 1.02))
    return found


def test_on_a_cpu_claims_that_wander_beside_the_judges_clock_do_not_count() -> None:
    rng = random.Random(0)
    wild, true = [], []
    for _ in range(100):
        before = Before(calm([1.0], rng), calm([1.0], rng))
        for claims, found in (([0.05] * 4 + [1.0] * 2 + [2.7] * 3, wild), ([1.0], true)):
            figures = Reading(
                "(T([8], f32),)", before, calm([1.0], rng), calm(claims, rng),
                bias=Bias(), on_cpu=True, trust=1.03, floor_us=0.0,
            ).figures()  # fmt: skip
            found.append(figures.speedup)
    assert max(wild) < 1.05
    assert 0.95 < min(true) < max(true) < 1.05
