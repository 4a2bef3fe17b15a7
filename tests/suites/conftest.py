"""A cache of its own for the whole test run, so that opinfo is traced once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, open_suite


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep indexes away from the person's own cache, and torch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKEND_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def smoke(cache: None) -> Suite:
    return open_suite(SuiteSpec(name="smoke", dtype="float32"))


@pytest.fixture(scope="session")
def opinfo(cache: None) -> Suite:
    return open_suite(SuiteSpec(name="opinfo", dtype="float32"))
