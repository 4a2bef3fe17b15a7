"""A judge of a file's own, in this process, so that a test can reach into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from backend_bench.judge.judge import Judge
from backend_bench.judge.zygotes import Zygotes


@pytest.fixture(scope="module")
def zygotes() -> Iterator[Zygotes]:
    made = Zygotes()
    yield made
    made.close()


@pytest.fixture(scope="module")
def own_judge(zygotes: Zygotes) -> Iterator[Judge]:
    with Judge(torch.device("cpu"), zygotes) as judge:
        yield judge
