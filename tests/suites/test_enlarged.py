"""Cases that a suite is asked for beyond its own: error inputs, and timed calls of real models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch

from backend_bench.cases import Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, index_cache, open_suite, resolve
from backend_bench.suites.enlarged import NEVER_RECORDED, EnlargedSuite
from backend_bench.suites.error_inputs import draw_error_input, error_inputs
from backend_bench.suites.samples import infos
from backend_bench.suites.torchbench import TorchBenchSuite
from backend_bench.verdict import CaseKind

FEW = ("cat", "tril", "nn.functional.avg_pool2d", "gather", "index_add", "neg", "eye", "add")
ADD, CAT = Operator.parse("add.Tensor"), Operator.parse("cat")


@pytest.fixture(scope="module")
def refused() -> Mapping[Operator, tuple[str, ...]]:
    few = {name: info for name, info in infos().items() if info.name in FEW}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend_bench.suites.error_inputs.infos", lambda: few)
        return error_inputs("cpu")


def test_each_is_refused_by_aten_whatever_the_values(refused) -> None:
    assert {str(op) for op in refused} >= {"cat.default", "tril.default", "avg_pool2d.default", "neg.default"}
    for op, texts in refused.items():
        for text, seed in ((text, seed) for text in texts for seed in (7, 8)):
            call = draw_error_input(op, text, "cpu", seed)
            with pytest.raises((RuntimeError, ValueError, TypeError, IndexError)):
                resolve(op)(*call.args, **call.kwargs)


def test_a_value_is_no_reason_to_refuse(refused) -> None:
    """OpInfo has a gather whose index lies outside: on a GPU nobody could tell without waiting."""
    legal = "((T([2, 2], f32), 1, T([2, 2], i64)), {})"
    assert legal not in refused[Operator.parse("gather")]


def test_a_device_that_is_named_is_the_suites(refused) -> None:
    few = {name: info for name, info in infos().items() if info.name == "eye"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend_bench.suites.error_inputs.infos", lambda: few)
        texts = [text for each in error_inputs("cuda").values() for text in each]
    assert texts
    assert all("device('cuda')" in text for text in texts)


def opened(own: Suite, **asked: object) -> EnlargedSuite:
    """The few OpInfos with additions; recorded calls are those of the package."""
    spec = dataclasses.replace(own.spec, **asked)  # type: ignore[arg-type]
    recorded = TorchBenchSuite(SuiteSpec(name="torchbench", dtype="float32", source="bundled#0"))
    recorded._index = SuiteIndex(
        spec=recorded.spec,
        source="recorded",
        torch=str(torch.__version__),
        entries={
            "add.Tensor": Entry(
                op="add.Tensor",
                performance=("((T([300, 400], f32), T([400], f32)), {})",),
                performance_calls=(5,),
                calls=9,
            ),
            "cat.default": Entry(op="cat.default", reason="too large"),
        },
    )
    return EnlargedSuite(spec, own, recorded)


def test_calls_of_models_are_timed_where_there_are_any(opinfo: Suite) -> None:
    suite = opened(opinfo, perf_cases="traces")
    entries = suite.index().entries
    assert entries["add.Tensor"].correctness == opinfo.index().entries["add.Tensor"].correctness
    assert entries["add.Tensor"].performance_calls == (5,)
    [call] = suite.draws(ADD, CaseKind.PERFORMANCE, 3)
    assert call is not None
    assert [tuple(each.shape) for each in call.args] == [(300, 400), (400,)]
    again = suite.draw(ADD, CaseKind.PERFORMANCE, 0, 3)
    assert all(torch.equal(*pair) for pair in zip(call.args, again.args, strict=True))


def test_where_there_are_none_the_entry_says_why(opinfo: Suite) -> None:
    suite = opened(opinfo, perf_cases="traces")
    entries = suite.index().entries
    assert entries["cat.default"].untimed == "too large"
    assert entries["topk.default"].untimed == NEVER_RECORDED
    assert not list(suite.draws(CAT, CaseKind.PERFORMANCE, 3))


def test_nothing_is_added_unasked(opinfo: Suite, refused) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backend_bench.suites.enlarged.error_inputs", lambda device: refused)
        entry = opened(opinfo, error_inputs=True).index().entries["cat.default"]
    assert entry.error_inputs == refused[CAT]
    assert not entry.untimed
    assert not opinfo.index().entries["cat.default"].error_inputs


def test_each_request_has_an_index_of_its_own() -> None:
    spec = open_suite(SuiteSpec(name="opinfo", dtype="float32")).spec
    specs = [
        spec,
        dataclasses.replace(spec, error_inputs=True),
        dataclasses.replace(spec, perf_cases="traces"),
        dataclasses.replace(spec, error_inputs=True, perf_cases="traces"),
    ]
    assert len({index_cache._path(each, "index") for each in specs}) == 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "smoke", "error_inputs": True}, "error_inputs is for opinfo"),
        ({"name": "torchbench", "perf_cases": "traces"}, "perf_cases is for opinfo and facto"),
        ({"name": "opinfo", "perf_cases": "trace"}, "it has to be suite or traces"),
    ],
)
def test_what_a_suite_has_not_is_refused(asked, message) -> None:
    with pytest.raises(UsageError, match=message):
        open_suite(SuiteSpec(**asked))
