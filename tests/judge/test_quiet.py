"""Whether somebody else has the device do something, by how long a row of pieces takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from backend_bench.judge import quiet
from backend_bench.judge.quiet import Quiet


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One whose pieces take what is said, in milliseconds."""
    monkeypatch.setattr(quiet, "lease_name", lambda device: f"test-{os.getpid()}")
    for name in ("flush_of", "stream_of"):
        monkeypatch.setattr(quiet, name, lambda device: None)

    def made(took_ms: Iterator[float]) -> Quiet:
        one = Quiet(torch.device("cuda"))
        monkeypatch.setattr(one, "_row_ms", lambda pieces: pieces * next(took_ms))
        return one

    return made


def test_a_row_that_takes_no_longer_than_its_pieces_is_quiet(looking: Any) -> None:
    assert looking(iter([0.1, 9.0, *[0.04] * 8, 0.041])).comes()


def test_an_interrupted_row_is_looked_at_again(looking: Any) -> None:
    rows = iter([*[0.04] * 10, 0.08, 0.07, 0.041, 1.0])
    assert looking(rows).comes(limit_s=60)
    assert next(rows) == 1.0


def test_a_piece_is_as_long_as_the_quickest_row_makes_it(looking: Any) -> None:
    """Interrupted all the time when it was first looked at."""
    one = looking(iter([*[0.08] * 10, 0.04, 0.06, 0.06, 0.06, 0.04]))
    assert one.comes(limit_s=60)
    assert one.comes(limit_s=60)
    assert one._piece_ms == 0.04


def test_a_device_that_never_is_quiet_is_told_of(looking: Any) -> None:
    busy = looking(iter([*[0.04] * 10, *[0.08] * 1000]))
    assert not busy.comes(limit_s=0)


SPINS = """
import torch
x = torch.ones(1, device="cuda")
torch.cuda._sleep(1000)
torch.cuda.synchronize()
print("ready", flush=True)
for _ in range(100):
    torch.cuda._sleep(20_000_000)
print("given", flush=True)
torch.cuda.synchronize()
print("done", flush=True)
input()
"""


@pytest.mark.gpu
def test_what_a_stopped_process_has_given_the_gpu_is_seen() -> None:
    device = torch.device("cuda:0")
    one = Quiet(device)
    assert one.comes(limit_s=10)
    with subprocess.Popen(
        [sys.executable, "-c", SPINS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "ready\n"
            assert other.stdout.readline() == "given\n"
            other.send_signal(signal.SIGSTOP)
            assert not one.comes(limit_s=0.05)
            begun = time.monotonic()
            assert one.comes(limit_s=60)
            waited_s = time.monotonic() - begun
            assert waited_s > 0.1  # it had a second to do, and nobody let it go on
            assert one.comes(limit_s=0)
        finally:
            other.kill()
