"""A worker is made while the device is shared, and nothing else is waited for meanwhile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from backend_bench.errors import WorkerLost
from backend_bench.judge.nursery import Nursery, Wish
from backend_bench.leases import Lease


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
        nursery._made(Wish("native", "off", 1 << 30))
    assert seen == ["idle", "shared"]
