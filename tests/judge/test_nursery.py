"""A worker is made while the device is shared, and nothing else is waited for meanwhile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench.errors import WorkerLost
from backend_bench.judge.bench import Bench
from backend_bench.judge.nursery import Nursery, Wish
from backend_bench.leases import Lease
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec


def test_a_zygote_that_starts_keeps_nobody_from_the_device(tmp_path: Path) -> None:
    lease = Lease("cpu", tmp_path)
    seen: list[str] = []

    def spawn(**_: object) -> None:
        seen.append(lease.state())
        raise WorkerLost("none is needed here")

    def of(mode: str) -> SimpleNamespace:
        seen.append(lease.state())
        return SimpleNamespace(spawn=spawn)

    zygotes = SimpleNamespace(of=of)
    with (
        Nursery(torch.device("cpu"), lease, zygotes) as nursery,  # type: ignore[arg-type]
        pytest.raises(WorkerLost, match="none is needed here"),
    ):
        nursery.made(Wish("native", "off", 1 << 30))
    assert seen == ["idle", "shared"]


@pytest.mark.parametrize(
    ("device", "only", "channels"),
    [("cuda", "correctness", 1), ("cuda", None, 0), ("cuda", "performance", 0), ("cpu", "correctness", 0)],
)
def test_who_is_timed_has_all_channels(device: str, only: Any, channels: int) -> None:
    """A kernel may use several streams; who is not timed is made in half the time."""
    stay: Any = SimpleNamespace(device=torch.device(device), stages=None, aside=None)
    suite = SuiteSpec(name="smoke", device="cpu")
    bench = Bench(
        Submission(op=Operator.parse("relu"), kind="reference", suite=suite, only=only), "pytorch", stay
    )
    assert bench._wish.channels == bench._twin_wish.channels == channels
    spawned: list[int] = []

    def spawn(**how: Any) -> None:
        spawned.append(how["channels"])
        raise WorkerLost("none is needed here")

    nursery: Any = SimpleNamespace(device=torch.device("cpu"), _threads=1)
    with pytest.raises(WorkerLost):
        Nursery._make(nursery, SimpleNamespace(spawn=spawn), bench._wish)  # type: ignore[arg-type]
    assert spawned == [channels]
