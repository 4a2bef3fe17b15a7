"""Two cores for timings, the rest for everything else; with two or fewer, nothing is kept free."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from backend_bench.judge import cores


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def test_the_last_two_are_kept_free() -> None:
    share = cores.divide(range(16))
    assert share.timing == {14, 15}
    assert share.rest == set(range(14))
    assert share.facts == {"cores": 16, "timing_cores": [14, 15]}


@pytest.mark.parametrize("count", [1, 2])
def test_of_two_none_is_kept_free_and_it_is_said(count: int) -> None:
    share = cores.divide(range(count))
    assert not share.timing
    assert share.rest == set(range(count))
    assert share.facts["timing_cores"] == []
    assert "more than 2 cores" in str(share.facts["timing_cores_why"])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core cannot be divided")
def test_timed_threads_move_there_and_back(sleeper: int) -> None:
    here = os.sched_getaffinity(0)
    first, *others = sorted(here)
    share = cores.Share(timing=frozenset({first}), rest=frozenset(others))
    try:
        with cores.moved(share, [sleeper]):
            assert os.sched_getaffinity(0) == os.sched_getaffinity(sleeper) == {first}
        assert os.sched_getaffinity(0) == os.sched_getaffinity(sleeper) == set(others)
    finally:
        os.sched_setaffinity(0, here)


def test_a_process_that_has_died_is_no_obstacle() -> None:
    here = os.sched_getaffinity(0)
    process = subprocess.Popen(["true"])
    process.wait()
    try:
        with cores.moved(cores.Share(frozenset(here), frozenset(here)), [process.pid]):
            assert os.sched_getaffinity(0) == here
    finally:
        os.sched_setaffinity(0, here)
