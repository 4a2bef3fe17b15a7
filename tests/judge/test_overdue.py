"""Who takes too long is told once; who holds a device and stands still takes his process along."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench.judge import cores
from backend_bench.judge.overdue import Overdue
from backend_bench.judge.stay import UNFIT, Stay
from backend_bench.leases import Lease

STAND_STILL = """
import sys, threading
from pathlib import Path
from types import SimpleNamespace
import torch
from backend_bench.judge import cores
from backend_bench.leases import Lease
from backend_bench.judge.stay import Stay

def a_driver_that_never_returns():
    threading.Event().wait()

nobody = SimpleNamespace(device=torch.device("cpu"))
stay = Stay(nobody, nobody, Lease("cpu", Path(sys.argv[1])), cores.UNDIVIDED)
with getattr(stay, sys.argv[2])(limit_s=0.01):
    a_driver_that_never_returns()
"""


def test_it_acts_once_and_says_so() -> None:
    acted, seen = threading.Event(), []
    with Overdue().after(0.0, lambda: (seen.append(1), acted.set())) as watched:  # type: ignore[func-returns-value]
        assert acted.wait(60)
    assert watched.acted
    assert seen == [1]


def test_what_fails_to_act_stops_nobody_else() -> None:
    overdue, acted = Overdue(), threading.Event()

    def fail() -> None:
        raise OSError("the worker is gone")

    with overdue.after(0.0, fail), overdue.after(0.0, acted.set):
        assert acted.wait(60)


def test_who_is_in_time_is_left_alone() -> None:
    overdue, last = Overdue(), threading.Event()
    seen: list[str] = []
    with overdue.after(3600, lambda: seen.append("an hour")):
        for _ in range(3):
            with overdue.after(3600, lambda: seen.append("an hour")) as watched:
                pass
            assert not watched.acted
        with overdue.after(0.0, last.set):  # so the others were looked at
            assert last.wait(60)
    assert seen == []


def test_a_stay_tells_when_its_device_is_held_too_long(tmp_path: Path) -> None:
    stuck = threading.Event()
    nobody: Any = SimpleNamespace(device=torch.device("cpu"))  # no worker is taken
    stay = Stay(nobody, nobody, Lease("cpu", tmp_path), cores.UNDIVIDED, when_stuck=lambda why: stuck.set())
    for hold in (stay.alone, stay.shared):
        stuck.clear()
        with hold(limit_s=0.01):
            assert stuck.wait(60)


@pytest.mark.slow
def test_a_judge_that_stands_still_ends_and_its_lease_is_free(tmp_path: Path) -> None:
    lease = Lease("cpu", tmp_path)
    for hold in ("alone", "shared"):
        done = subprocess.run(
            [sys.executable, "-c", STAND_STILL, str(tmp_path), hold], capture_output=True, text=True
        )
        assert done.returncode == UNFIT
        assert "a_driver_that_never_returns" in done.stderr
        assert "was held for more than 0.01 s" in done.stderr
        with lease.alone():
            pass
