"""The suite of recorded calls: which become cases, and which values they are given."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.judge.correctness import draw_all, expectation_of
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, index_cache, open_suite, resolve
from backend_bench.suites.arguments import parse
from backend_bench.suites.calls import describe, snapshot, tensors_of
from backend_bench.suites.domains import RULES
from backend_bench.suites.torchbench import TorchBenchSuite
from backend_bench.suites.typical import _into_the_gaps
from backend_bench.verdict import CaseKind

CORRECTNESS, PERFORMANCE = CaseKind.CORRECTNESS, CaseKind.PERFORMANCE

Open = Callable[..., Suite]


@pytest.fixture
def opened(tmp_path) -> Open:
    """A suite of the operators and calls given, each call once."""

    def opened(calls: dict[str, str | list[str]], *, device: str = "cpu", dtype: str | None = None) -> Suite:
        text = ""
        for name, cases in calls.items():
            text += f"Operator: aten.{name}\n"
            text += "".join(f"cnt: 1, {case}\n" for case in ([cases] if isinstance(cases, str) else cases))
        file = tmp_path / "trace.txt"
        file.write_text(text)
        return open_suite(SuiteSpec(name="torchbench", device=device, dtype=dtype, source=str(file)))  # type: ignore[arg-type]

    return opened


def only(suite: Suite, kind: CaseKind = CORRECTNESS, seed: int = 3) -> Call:
    """The first case of a suite of one operator."""
    [name] = suite.index().entries
    return suite.draw(Operator.parse(name), kind, 0, seed)


def run(op: str, call: Call) -> object:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return resolve(Operator.parse(op))(*call.args, **call.kwargs)


# ---- values that the operator admits -------------------------------------------------------------

INDEXED = {
    "gather.default": "((T([5, 70], f32), 1, T([5, 300], i64)), {})",
    "scatter.src": "((T([5, 70], f32), 1, T([5, 60], i64), T([5, 60], f32)), {})",
    "scatter_add_.default": "((T([40], f32), 0, T([200], i64), T([200], f32)), {})",
    "index_select.default": "((T([3, 7], f32), -1, T([50], i32)), {})",
    "index_add.default": "((T([9, 4], f32), 0, T([60], i64), T([60, 4], f32)), {})",
    "index_copy.default": "((T([9, 4], f32), 0, T([9], i64), T([9, 4], f32)), {})",
    "index.Tensor": "((T([6, 5, 4], f32), [T([40], i64), None, T([40], i64)]), {})",
    "index_put_.default": "((T([6, 5], f32), [T([40], i64), T([40], i64)], T([40], f32), True), {})",
    "_index_put_impl_.default": "((T([6, 5], f32), [T([6, 5], b8)], T([], f32), False, True), {})",
    "take.default": "((T([6, 5], f32), T([99], i64)), {})",
    "embedding.default": "((T([11, 4], f32), T([3, 50], i64)), {})",
    "embedding_dense_backward.default": "((T([3, 50, 4], f32), T([3, 50], i64), 11, -1, False), {})",
    "_embedding_bag.default": "((T([11, 4], f32), T([50], i64), T([7], i64), False, 0, True), {})",
    "_embedding_bag_per_sample_weights_backward.default": "((T([7, 4], f32), T([11, 4], f32), T([50], i64),"
    " T([7], i64), T([50], i64), 0), {})",
    "nll_loss_forward.default": "((T([60, 9], f32), T([60], i64), T([9], f32), 1, -100), {})",
    "nll_loss_backward.default": "((T([], f32), T([60, 9], f32), T([60], i64), None, 1, -100, T([], f32)), {})",
    "nll_loss2d_forward.default": "((T([4, 9, 5, 5], f32), T([4, 5, 5], i64), None, 1, -100), {})",
    "cross_entropy_loss.default": "((T([60, 9], f32), T([60], i64)), {})",
    "one_hot.default": "((T([70], i64), 12), {})",
    "max_pool2d_with_indices_backward.default": "((T([2, 3, 8, 8], f32), T([2, 3, 16, 16], f32), [2, 2], [2, 2],"
    " [0, 0], [1, 1], False, T([2, 3, 8, 8], i64)), {})",
    "nonzero.default": "((T([9, 8], f32),), {})",
    "masked_select.default": "((T([9, 8], f32), T([9, 8], b8)), {})",
    "floor_divide.default": "((T([900], i64), T([900], i64)), {})",
    "remainder.Tensor": "((T([900], i32), T([900], i32)), {})",
}


@pytest.mark.parametrize("op", INDEXED)
def test_indices_lie_within_bounds(opened: Open, op):
    """ATen checks most of them itself, under every seed; shapes of results do not depend on the seed."""
    suite = opened({op: INDEXED[op]})
    shapes = set()
    for seed in range(6):
        call = only(suite, seed=seed)
        result = run(op, snapshot(call))
        results = result if isinstance(result, tuple) else (result,)
        shapes.add(tuple(tuple(each.shape) for each in results))
        assert describe(call) == suite.index().entries[op].correctness[0]
    assert len(shapes) == 1


def test_pooling_goes_back_to_where_it_came_from(opened: Open):
    suite = opened(
        {
            "max_pool2d_with_indices_backward": "((T([2, 3, 7, 7], f16), T([2, 3, 14, 14], f16, [588, 1, 42, 3]),"
            " [3, 3], [2, 2], [1, 1], [1, 1], False, T([2, 3, 7, 7], i64)), {})"
        }
    )
    call = only(suite)
    _, expected = torch.ops.aten.max_pool2d_with_indices(call.args[1], *call.args[2:7])
    assert torch.equal(call.args[7], expected)


def test_backward_passes_are_given_what_the_forward_pass_left(opened: Open):
    softmax = only(opened({"_softmax_backward_data": "((T([4, 9], f32), T([4, 9], f32), -1, f32), {})"}))
    assert torch.allclose(softmax.args[1].sum(-1), torch.ones(4))
    log_softmax = only(
        opened({"_log_softmax_backward_data": "((T([4, 9], f32), T([4, 9], f32), 1, f32), {})"})
    )
    assert torch.allclose(log_softmax.args[1].exp().sum(-1), torch.ones(4))
    tanh = only(opened({"tanh_backward": "((T([99], f32, [0]), T([99], f32)), {})"}))
    assert (tanh.args[1].abs() <= 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layer_norm_goes_back_with_its_own_statistics(opened: Open, dtype):
    suite = opened(
        {
            "native_layer_norm_backward": "((T([6, 8], f32), T([6, 8], f32), [8], T([6, 1], f32), T([6, 1], f32),"
            " T([8], f32), T([8], f32), [True, True, True]), {})"
        },
        dtype=str(dtype).removeprefix("torch."),
    )
    _, source, shape, mean, rstd, weight, bias, _ = only(suite).args
    assert source.dtype == dtype
    _, own_mean, own_rstd = torch.ops.aten.native_layer_norm(source, shape, weight, bias, 1e-5)
    assert torch.allclose(mean, own_mean)
    assert torch.allclose(rstd, own_rstd)


def test_batch_norm_has_positive_variances(opened: Open):
    four = ", ".join(["T([5], f32)"] * 4)
    call = only(opened({"native_batch_norm": f"((T([4, 5, 3, 3], f32), {four}, False, 0.1, 1e-05), {{}})"}))
    assert (call.args[4] > 0).all()
    assert not (call.args[3] > 0).all()


def test_what_a_test_looks_for_is_there(opened: Open):
    wild = only(opened({"isnan": "((T([200], f16),), {})"})).args[0]
    assert 0 < int(wild.isnan().sum()) < 100
    assert 0 < int(wild.isinf().sum()) < 100
    scalar = only(opened({"eq.Scalar": "((T([200], i64), 7), {})"})).args[0]
    assert 5 < int((scalar == 7).sum()) < 100
    one, two = only(opened({"lt.Tensor": "((T([20, 30], f16), T([30], f32)), {})"})).args
    assert 50 < int((one == two.half()).sum()) < 300
    suite = opened({"any": "((T([2000], b8),), {})"})
    assert {bool(only(suite, seed=seed).args[0].any()) for seed in range(9)} == {True, False}
    roots = only(opened({"rsqrt": "((T([2000], f16),), {})"})).args[0]
    assert 0 < int((roots < 0).sum()) < 200


def test_values_are_signed_and_of_several_scales(opened: Open):
    values = only(opened({"relu": "((T([4000], f16),), {})"})).args[0]
    assert 1500 < int((values < 0).sum()) < 2500
    assert float(values.abs().max()) > 10
    assert int((values.abs() < 0.05).sum()) > 300


@pytest.mark.parametrize("stride", [(1, 40), (80, 2), (0, 1), (1, 1), (3, 0), (0, 0)])
def test_strides_are_honoured(opened: Open, stride):
    suite = opened({"abs": f"((T([30, 40], f16, stride={stride}),), {{}})"})
    call = only(suite)
    assert call.args[0].stride() == stride
    assert call.args[0].storage_offset() == 0


def test_rules_name_operators_that_torch_has():
    known = {name.split(".")[0].rstrip("_") for name in torch._C._dispatch_get_all_op_names()}
    assert {f"aten::{name.rstrip('_')}" for name in RULES} <= known


def test_an_operator_in_place_gets_fresh_tensors(opened: Open):
    suite = opened({"relu_": "((T([30], f32),), {})"})
    first, again = only(suite, seed=5), only(suite, seed=5)
    assert torch.equal(first.args[0], again.args[0])
    run("relu_.default", first)
    assert not torch.equal(first.args[0], again.args[0])
    assert torch.equal(only(suite, seed=5).args[0], again.args[0])


# ---- which recordings become cases ---------------------------------------------------------------


def test_cases_of_an_operator_cover_every_kind_of_arguments(opened: Open):
    kinds = ["f16", "f32", "i64"]
    texts = [f"((T([{n}, {n}], {kind}),), {{}})" for kind in kinds for n in range(2, 30)]
    texts += ["((T([5, 6], f16, stride=(1, 5)),), {})", "((T([9], f16),), {})", "((T([0], f16),), {})"]
    entry = opened({"abs": texts}).index().entries["abs.default"]
    assert len(entry.correctness) == 12
    assert len(entry.performance) == 4
    joined = " ".join(entry.correctness)
    for sign in ("f16", "f32", "i64", "[1, 5]", "T([9]", "T([0]", "T([2, 2]", "T([29, 29]"):
        assert sign in joined
    assert "T([0]" not in " ".join(entry.performance)


def test_calls_that_come_to_the_same_are_one_case(opened: Open):
    texts = ["((T([3, 1], f16),), {})", "((T([3, 1], f16, stride=(1, 1)),), {})"]
    assert opened({"abs": texts}).index().entries["abs.default"].correctness == ("((T([3, 1], f16),), {})",)


def test_large_calls_are_for_performance_and_larger_ones_for_nobody(opened: Open):
    entry = opened({"abs": [f"((T([{n}], f32),), {{}})" for n in (1000, 2_000_000, 10**9, 10**15)]})
    entry = entry.index().entries["abs.default"]
    assert entry.correctness == ("((T([1000], f32),), {})",)
    assert entry.performance == ("((T([2000000], f32),), {})",)
    suite = opened({"abs": "((T([10], f32, stride=(10000000000,)),), {})"})
    assert "too large" in suite.index().entries["abs.default"].reason


def test_what_is_only_large_is_cut_for_correctness_on_a_cpu(opened: Open):
    text = (
        "((T([128, 192, 28, 28], f16), T([192], f16), T([192], f16), 128, 192, 784, 1, 1e-05), {})",
        "((T([128, 192, 28, 28], f16, [150528, 1, 5376, 192]),), {})",
    )
    calls: dict[str, str | list[str]] = {"native_group_norm": text[0], "hardtanh": text[1]}
    entries = opened(calls).index().entries
    first, second = entries["native_group_norm.default"].correctness
    assert first == "((T([1, 192, 28, 28], f16), T([192], f16), T([192], f16), 1, 192, 784, 1, 1e-05), {})"
    assert second.startswith("((T([10, 192, 28, 28], f16), T([192], f16), T([192], f16), 10, ")
    assert "[150528, 1, 5376, 192]" in entries["hardtanh.default"].correctness[1]
    entries = opened(calls, device="cuda").index().entries
    assert entries["native_group_norm.default"].correctness == (text[0],)


def test_performance_is_of_what_is_heavy(opened: Open):
    texts = ["((T([], f32), 2), {})", "((T([9], i64), 2), {})", "((T([3], f16), 2), {})"]
    texts += [f"((T([{n}, {n}], f16), T([{n}, {n}], f16)), {{}})" for n in (9, 99, 400, 500)]
    entry = opened({"add.Tensor": texts}).index().entries["add.Tensor"]
    assert "T([500, 500]" in entry.performance[-1]
    assert "T([], f32)" in " ".join(entry.correctness)
    assert "T([], f32)" not in " ".join(entry.performance)


def test_a_gpu_has_more_room(opened: Open):
    suite = opened({"abs": [f"((T([{n}], f32),), {{}})" for n in (1000, 50_000_000)]}, device="cuda")
    assert "T([50000000]" in suite.index().entries["abs.default"].performance[-1]


def test_a_small_text_cannot_ask_for_much_memory(opened: Open):
    suite = opened({"constant_pad_nd": "((T([3], f16), [0, 100000000000]), {})"})
    assert "too large" in suite.index().entries["constant_pad_nd.default"].reason


@pytest.mark.parametrize(
    ("op", "case", "reason"),
    [
        ("mm", "((T([3, 4], f32), T([5, 6], f32)), {})", "its recorded calls cannot be made on cpu: "),
        ("relu", "((T([3], f32), 7, 8), {})", "cannot be made"),
        (
            "mul_.Tensor",
            "((T([3], f32, stride=(0,)), 2), {})",
            "written and has several elements in one place",
        ),
        ("unsqueeze_", "((T([3, 4], f32), 0), {})", "another shape"),
        (
            "grid_sampler_2d",
            "((T([1, 1, 99, 99], f16), T([1, 9, 9, 2], f16), 0, 0, True), {})",
            "ATen reads out",
        ),
        ("empty_like", "((T([3, 4], f32),), {})", "uninitialised"),
        ("bernoulli_.float", "((T([3], f32),), {})", "random"),
        ("gather", "((T([5, 4], f32), 2, T([3, 4], i64)), {})", "cannot be made"),
        ("mode", "((T([3], f32), 0, False, 5), {})", "cannot be made"),
    ],
)
def test_an_operator_without_a_case_says_why(opened: Open, op, case, reason):
    suite = opened({op: case, "neg": "((T([3], f32),), {})"})
    [entry] = [each for name, each in suite.index().entries.items() if name != "neg.default"]
    assert not entry.correctness
    assert not entry.performance
    assert reason in entry.reason
    assert list(suite.draws(Operator.parse(entry.op), CORRECTNESS, 0)) == []


def test_an_operator_recorded_with_nothing_in_it_gets_elements_too(opened: Open):
    texts = opened({"floor": "((T([0, 5], f32),), {})"}).index().entries["floor.default"].correctness
    assert texts == ("((T([0, 5], f32),), {})", "((T([33, 5], f32),), {})")


def test_of_many_empty_calls_few_are_cases(opened: Open):
    texts = [f"((T([{size}], f16), 1.5), {{}})" for size in (0, "0, 1", "0, 2", "0, 3", "2, 0", 5)]
    entry = opened({"leaky_relu": texts}).index().entries["leaky_relu.default"]
    assert len(entry.correctness) == 3
    assert entry.performance == ("((T([5], f16), 1.5), {})",)


def test_a_copy_of_the_whole_does_not_stand_for_a_part(opened: Open):
    whole = [f"((T([{n}, 4], f32), [{n}, 4], 0, 0, 9223372036854775807, 1), {{}})" for n in range(1, 30)]
    part = "((T([50, 4], f32), [60, 4], 0, 10, 9223372036854775807, 1), {})"
    texts = opened({"slice_backward": [*whole, part]}).index().entries["slice_backward.default"]
    assert "[50, 4]" in " ".join(texts.correctness)


def test_a_kind_whose_favourite_is_too_large_is_not_left_out(opened: Open):
    small = [f"((T([{n}], f16),), {{}})" for n in range(1, 30)]
    large = ["((T([3000, 3000], f16),), {})", "((T([30, 30], f16),), {})"]
    texts = opened({"abs": [*large, large[0], *small]}).index().entries["abs.default"].correctness
    assert "((T([30, 30], f16),), {})" in texts


def test_a_view_is_tested_and_not_timed(opened: Open):
    entry = opened({"unbind.int": "((T([3, 4], f32), 1), {})"}).index().entries["unbind.int"]
    assert (len(entry.correctness), entry.performance, entry.reason) == (1, (), "")


def test_both_ends_come_before_the_middle():
    assert list(_into_the_gaps(9)) == [0, 8, 4, 2, 6, 1, 3, 5, 7]
    assert [sorted(_into_the_gaps(n)) for n in range(6)] == [list(range(n)) for n in range(6)]


# ---- dtype and device ----------------------------------------------------------------------------


def test_recorded_dtypes_stay_unless_another_is_asked_for(opened: Open):
    text = "((T([4, 9], f16), T([4, 9], f16), -1, f16), {})"
    suite = opened({"_softmax_backward_data": text})
    assert suite.spec.dtype is None
    assert suite.index().entries["_softmax_backward_data.default"].correctness == (text,)
    assert "converted" not in suite.index().source
    suite = opened({"_softmax_backward_data": text}, dtype="bf16")
    assert suite.spec.dtype == "bfloat16"
    assert suite.index().entries["_softmax_backward_data.default"].correctness == (
        text.replace("f16", "bf16"),
    )
    assert suite.index().source.endswith("floating tensors converted to bfloat16")


def test_a_cast_still_casts_to_what_it_says(opened: Open):
    suite = opened(
        {"_to_copy": "((T([4], f16),), {'dtype': f32, 'layout': torch.strided, 'device': 'cuda'})"},
        dtype="bf16",
    )
    [text] = suite.index().entries["_to_copy.default"].correctness
    assert text == "((T([4], bf16),), {'dtype': f32, 'layout': torch.strided, 'device': 'cpu'})"
    result = run("_to_copy.default", only(suite))
    assert isinstance(result, torch.Tensor)
    assert result.dtype is torch.float32


# ---- drawing, caching ----------------------------------------------------------------------------


def test_values_follow_from_the_seed(opened: Open):
    suite = opened({"gather": [INDEXED["gather.default"], "((T([5], f32), 0, T([4], i64)), {})"]})
    op = Operator.parse("gather")
    calls = list(suite.draws(op, CORRECTNESS, 4))
    for number, call in enumerate(calls):
        assert call
        again, other = (suite.draw(op, CORRECTNESS, number, seed) for seed in (4, 5))
        assert all(map(torch.equal, tensors_of(call), tensors_of(again)))
        assert not all(map(torch.equal, tensors_of(call), tensors_of(other)))
    with pytest.raises(UsageError, match="none number 9"):
        suite.draw(op, CORRECTNESS, 9, 0)
    with pytest.raises(UsageError, match="no operator gathe"):
        suite.draw(Operator.parse("gathe"), CORRECTNESS, 0, 0)


def test_one_operators_cases_are_made_without_the_others(opened: Open, monkeypatch: pytest.MonkeyPatch):
    """All calls of all operators are tried for an index: that is minutes for whoever has one kernel."""
    calls = {"tanh": "((T([77], f32),), {})", "relu": "((T([6], f32),), {})"}
    suite = opened(calls)
    made = []
    entry = TorchBenchSuite._entry
    monkeypatch.setattr(
        TorchBenchSuite, "_entry", lambda self, op, found: made.append(str(op)) or entry(self, op, found)
    )
    [call] = suite.draws(Operator.parse("tanh"), CORRECTNESS, 0)
    alone = suite.entry(Operator.parse("tanh"))
    assert call is not None
    assert made == ["tanh.default"]
    assert suite.entry(Operator.parse("gelu")) is None
    with pytest.raises(UsageError, match="no operator rellu"):
        suite.draw(Operator.parse("rellu"), CORRECTNESS, 0, 0)
    assert suite.index().entries["tanh.default"] == alone
    assert made == ["tanh.default", "relu.default"]
    assert suite.entry(Operator.parse("relu")) == suite.index().entries["relu.default"]


def test_an_index_is_found_again_by_content(opened: Open, tmp_path, monkeypatch: pytest.MonkeyPatch):
    suite = opened({"tanh": "((T([77], f32),), {})"})
    index = suite.index()
    assert suite.spec.source
    (tmp_path / "copy.txt").write_bytes((tmp_path / "trace.txt").read_bytes())
    monkeypatch.setattr(TorchBenchSuite, "_build", None)
    again = open_suite(SuiteSpec(name="torchbench", source=str(tmp_path / "copy.txt")))
    assert again.index().entries == index.entries
    assert again.index().spec == again.spec
    assert again.index().source.startswith("copy.txt, sha256 ")
    (tmp_path / "copy.txt").write_text("Operator: aten.tanh.default\ncnt: 1, ((T([78], f32),), {})\n")
    other = SuiteSpec(name="torchbench", source=str(tmp_path / "copy.txt"))
    assert index_cache.load_cached_index(other) is None


@pytest.mark.slow
@pytest.mark.skipif(
    "BACKEND_BENCH_PROBLEMS" not in os.environ, reason="BACKEND_BENCH_PROBLEMS names the public parquet"
)
def test_the_public_data_set_has_cases_for_nearly_all_of_its_operators():
    suite = open_suite(SuiteSpec(name="torchbench", source=os.environ["BACKEND_BENCH_PROBLEMS"]))
    entries = suite.index().entries
    assert len(entries) == 136
    tested = [entry for entry in entries.values() if entry.correctness]
    assert len(tested) >= 132
    assert all(bool(entry.correctness) != bool(entry.reason) for entry in entries.values())
    for entry in tested:
        [call, *_] = suite.draws(Operator.parse(entry.op), CORRECTNESS, 7)
        assert call
        assert describe(call) == entry.correctness[0] or parse(entry.correctness[0]).kwargs.get("device")
        run(entry.op, snapshot(call))


# ---- which recordings become cases ---------------------------------------------------------------


@pytest.fixture
def chosen(tmp_path) -> Callable[..., object]:
    """The entry of relu, recorded in thirty sizes and called as often as its number says."""

    def chosen(**asked: object) -> object:
        file = tmp_path / "relu.txt"
        sizes = [(number, 128 << (number % 10)) for number in range(1, 31)]
        lines = [f"cnt: {number}, ((T([{size}, {number}], f32),), {{}})" for number, size in sizes]
        file.write_text("Operator: aten.relu.default\n" + "\n".join(lines))
        spec = SuiteSpec(name="torchbench", source=str(file), **asked)  # type: ignore[arg-type]
        return open_suite(spec).index().entries["relu.default"]

    return chosen


@pytest.mark.parametrize(("asked", "correctness", "performance"), [(None, 12, 4), (5, 5, 2), (30, 30, 10)])
def test_a_request_may_say_how_many_cases_an_operator_has(chosen, asked, correctness, performance):
    entry = chosen(cases_per_op=asked)
    assert len(entry.correctness) <= correctness
    assert len(entry.performance) == performance
    assert len(entry.correctness) == correctness or asked == 30, "the cases of an operator share one budget"


def test_topn_leaves_the_largest(chosen):
    def elements(text: str) -> int:
        return parse(text).args[0].elements

    whole, top = chosen(), chosen(topn=2)
    assert (len(top.correctness), len(top.performance)) == (2, 2)
    assert min(map(elements, top.performance)) >= sorted(map(elements, whole.performance))[-2]
    assert min(map(elements, top.correctness)) >= max(map(elements, whole.correctness))


def test_calls_that_are_mostly_launch_are_timed_on_request(opened, tmp_path):
    file = tmp_path / "relu.txt"
    file.write_text(
        "Operator: aten.relu.default\ncnt: 900, ((T([8], f32),), {})\ncnt: 1, ((T([99999], f32),), {})\n"
    )
    timed = {
        wanted: open_suite(
            SuiteSpec(name="torchbench", source=str(file), overhead_dominated=wanted)
        ).index().entries["relu.default"].performance
        for wanted in (False, True)
    }  # fmt: skip
    assert timed == {
        False: ("((T([99999], f32),), {})",),
        True: ("((T([8], f32),), {})", "((T([99999], f32),), {})"),
    }


def test_an_entry_says_how_often_models_make_its_calls(chosen):
    entry = chosen()
    assert entry.calls == sum(range(1, 31))
    assert len(entry.correctness_calls) == len(entry.correctness)
    for text, count in zip(entry.correctness, entry.correctness_calls, strict=True):
        assert f", {count}], f32)" in text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "torchbench", "topn": 0}, "topn is 0; it has to be 1 or more"),
        ({"name": "torchbench", "cases_per_op": -3}, "cases_per_op is -3"),
        ({"name": "smoke", "topn": 3}, "has no recorded calls to choose from"),
        ({"name": "opinfo", "overhead_dominated": True}, "has no recorded calls to choose from"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        open_suite(SuiteSpec(**asked))


# ---- attention, groups, updates ------------------------------------------------------------------

FLASH = (
    "((T([1, 2, 8, 16], f32), T([1, 2, 8, 16], f32), T([1, 2, 8, 16], f32), {p}, True), {{'scale': 0.25}})"
)


def test_attention_that_drops_nothing_is_tested(opened):
    name = "_scaled_dot_product_flash_attention_for_cpu.default"
    assert opened({name: [FLASH.format(p=0.0), FLASH.format(p=0.1)]}).index().entries[name].correctness == (
        FLASH.format(p=0.0),
    )
    dropping = opened({name: FLASH.format(p=0.1)}).index().entries[name]
    assert dropping.reason.startswith("random")


def test_attentions_backward_pass_gets_what_the_forward_pass_left(opened):
    name = "_scaled_dot_product_flash_attention_for_cpu_backward.default"
    tensor = "T([1, 2, 8, 16], f32)"
    suite = opened(
        {
            name: f"(({', '.join([tensor] * 5)}, T([1, 2, 8], f32), 0.0, True), {{}})",
        }
    )
    call = only(suite)
    leaves = [each.clone().requires_grad_() for each in call.args[1:4]]
    with torch.enable_grad():
        out = torch.nn.functional.scaled_dot_product_attention(*leaves, is_causal=True)
        out.backward(call.args[0])
    for grad, leaf in zip(run(name, call), leaves, strict=True):
        torch.testing.assert_close(grad, leaf.grad)


@pytest.mark.parametrize(
    ("name", "args", "most"),
    [
        (
            "_scaled_dot_product_flash_attention_for_cpu_backward.default",
            f"(({', '.join(['T([1, 2, 32, 16], f32)'] * 5)}, T([1, 2, 32], f32), 0.0, False), {{'scale': 1.0}})",
            5000,
        ),
        ("log_sigmoid_backward.default", f"(({', '.join(['T([4096], f32)'] * 3)}), {{}})", 40),
    ],
    ids=["attention", "log_sigmoid"],
)
def test_what_a_forward_pass_has_left_fits_every_draw(opened, name, args, most):
    """Scores of one draw less the sums of another made numbers of 1e10 of them, which drowned what a kernel does, and NaN of the tolerance."""
    suite, op, largest = opened({name: args}), Operator.parse(name), {}
    for attempt in draw_all(suite, op, resolve(op), 1, seed=7, profile="strict"):
        expectation = expectation_of(resolve(op), attempt, "strict")
        if attempt.purpose != "edges" and expectation is not None:
            sizes = [float(each.oracle.abs().nan_to_num().max()) for each in expectation.outputs]
            largest[attempt.purpose] = max([*sizes, largest.get(attempt.purpose, 0.0)])
    assert {"base", "nudged"} <= set(largest)
    assert max(largest.values()) < most


def test_groups_of_a_grouped_product_end_at_its_last_row(opened):
    name = "_grouped_mm.default"
    suite = opened({name: "((T([32, 64], bf16), T([4, 64, 48], bf16), T([4], i32)), {})"})
    ends = only(suite).args[2]
    assert ends[-1] == 32
    assert bool((ends.diff() >= 0).all())


def test_what_only_another_device_has_says_so(opened):
    name = "_scaled_dot_product_flash_attention.default"
    entry = opened({name: "((T([1, 2, 8, 16], bf16), T([1, 2, 8, 16], bf16), T([1, 2, 8, 16], bf16)), {})"})
    reason = entry.index().entries[name].reason
    assert reason.startswith("its recorded calls cannot be made on cpu: ")
