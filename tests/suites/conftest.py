"""A cache of its own for the whole test run, so that opinfo is traced once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, open_suite
from backend_bench.suites.samples import infos


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


FEW = [
    *("abs", "add", "mul", "bitwise_and", "clamp", "sum", "topk", "cat", "where", "pow"),
    *("gather", "scatter_add", "index_select", "index_put", "take", "__getitem__", "searchsorted"),
    *("nn.functional.embedding", "nn.functional.nll_loss", "nn.functional.max_unpool2d"),
    *("nn.functional.conv2d", "nn.functional.threshold", "nn.functional.hinge_embedding_loss"),
    *("softmax", "nn.functional.layer_norm", "nn.functional.gaussian_nll_loss"),
    *("randn_like", "normal", "empty_like", "transpose", "squeeze", "item", "to_sparse", "linalg.eigh"),
]
"""OpInfos of each kind: with indices, with numbers that are drawn, of several calls, and excluded ones."""


@pytest.fixture(scope="session")
def opinfo(cache: None) -> Suite:
    """The suite over a few OpInfos, so that it is there in a second or two."""
    suite = open_suite(SuiteSpec(name="opinfo", dtype="float32"))
    few = {name: info for name, info in infos().items() if info.name in FEW}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend_bench.suites.survey.infos", lambda: few)
        suite.index()
    return suite


@pytest.fixture(scope="session")
def whole_opinfo(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The suite over all OpInfos: half a minute."""
    suite = open_suite(SuiteSpec(name="opinfo", dtype="float32"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKEND_BENCH_CACHE", str(tmp_path_factory.mktemp("whole")))
        suite.index()
    return suite
