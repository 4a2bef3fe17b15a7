"""What every suite promises: names, reasons, texts, and values that follow from the seed alone."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, index_cache, near_matches, open_suite, resolve
from backend_bench.suites.__main__ import main
from backend_bench.suites.calls import describe, snapshot, tensors_of
from backend_bench.suites.opinfo import OpInfoSuite
from backend_bench.suites.smoke import SmokeSuite
from backend_bench.verdict import CaseKind

CORRECTNESS, PERFORMANCE = CaseKind.CORRECTNESS, CaseKind.PERFORMANCE

SMOKE = [
    "_softmax.default",
    "add.Tensor",
    "add_.Tensor",
    "cat.default",
    "index_select.default",
    "mm.default",
    "native_layer_norm.default",
    "relu.default",
    "sum.dim_IntList",
    "topk.default",
]
DRAWN = [
    "gather.default",
    "scatter_add.default",
    "index_select.default",
    "index.Tensor",
    "embedding.default",
    "nll_loss_forward.default",
    "max_unpool2d.default",
    "index_put_.default",
    "take.default",
    "add.Tensor",
    "mul_.Tensor",
    "convolution.default",
    "bitwise_and.Tensor",
    "threshold.default",
    "clamp_.default",
]
"""Fifteen operators, those with indices first; the last two have numbers drawn, or come from inside others."""


def bytes_of(call: Call) -> list[bytes]:
    """The elements of each tensor, in order."""
    whole = (tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors_of(call))
    return [each.flatten().view(torch.uint8).numpy().tobytes() if each.numel() else b"" for each in whole]


def run(op: Operator, call: Call) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resolve(op)(*call.args, **call.kwargs)


# ---- smoke ---------------------------------------------------------------------------------------


def test_smoke_is_exactly_ten_operators(smoke: Suite):
    assert list(smoke.index().entries) == SMOKE


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_smoke_has_cases_of_both_kinds(device):
    for entry in open_suite(SuiteSpec(name="smoke", device=device)).index().entries.values():
        assert 8 <= len(entry.correctness) <= 20
        assert 2 <= len(entry.performance) <= 4
        assert "T([" in entry.correctness[0]
        assert entry.schema.startswith(f"{entry.op}(")
        assert entry.doc


@pytest.mark.parametrize("name", SMOKE)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_smoke_draws_what_its_index_says_and_the_reference_runs(name, dtype):
    suite = open_suite(SuiteSpec(name="smoke", dtype=dtype))
    op, entry = Operator.parse(name), suite.index().entries[name]
    for kind, texts in ((CORRECTNESS, entry.correctness), (PERFORMANCE, entry.performance)):
        calls = list(suite.draws(op, kind, seed=5))
        assert [describe(call) for call in calls if call] == list(texts)
        for call in calls:
            assert call
            run(op, call)


@pytest.mark.parametrize("name", SMOKE)
def test_smoke_values_follow_from_the_seed(smoke: Suite, name):
    op = Operator.parse(name)
    first, again, other = ([bytes_of(c) for c in smoke.draws(op, CORRECTNESS, s) if c] for s in (1, 1, 2))
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True) if any(len(b) > 16 for b in one))


# ---- opinfo --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_opinfo_covers_torch(whole_opinfo: Suite):
    """More than what single-operator traces with public arguments reach, which is 318 operators."""
    entries = whole_opinfo.index().entries
    tested = {name for name, entry in entries.items() if entry.correctness}
    assert len(tested) >= 600
    assert {
        *("_softmax.default", "_log_softmax.default", "convolution.default", "where.self"),
        *("max_pool2d_with_indices.default", "upsample_bicubic2d.default", "pow.Tensor_Scalar"),
        *("reflection_pad2d.default", "index.Tensor", "huber_loss.default", "bitwise_and.Tensor"),
        *("native_layer_norm.default", "clamp.default", "mul.Scalar", "relu.default", "add_.Tensor"),
        *("view_copy.default", "clone.default"),
    } <= tested
    assert all(entry.doc for entry in entries.values() if entry.correctness)


@pytest.mark.slow
def test_references_of_the_whole_suite_run(whole_opinfo: Suite):
    check_references(whole_opinfo, 40)


def test_an_operator_has_cases_or_a_reason(opinfo: Suite):
    entries = opinfo.index().entries
    assert list(entries) == sorted(entries)
    assert all(bool(entry.correctness) != bool(entry.reason) for entry in entries.values())
    assert all(len(entry.correctness) <= 64 and not entry.performance for entry in entries.values())


def check_references(suite: Suite, count: int) -> None:
    """Two other seeds give what the index says, and ATen accepts it."""
    entries = [entry for entry in suite.index().entries.values() if entry.correctness]
    for entry, seed in itertools.product(
        random.Random(0).sample(entries, min(count, len(entries))), (101, 202)
    ):
        op = Operator.parse(entry.op)
        calls = list(suite.draws(op, CORRECTNESS, seed))
        assert any(calls)
        for text, call in zip(entry.correctness, calls, strict=True):
            if call is not None:
                assert describe(call) == text
                run(op, snapshot(call))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("randn_like.default", "random"),
        ("normal_.default", "random"),
        ("empty_like.default", "uninitialised"),
        ("transpose.int", "a view"),
        ("squeeze_.default", "metadata"),
        ("_local_scalar_dense.default", "host-only"),
        ("_to_sparse.default", "sparse"),
        ("_linalg_eigh.default", "ambiguous"),
    ],
)
def test_what_cannot_be_tested_says_why(opinfo: Suite, name, reason):
    entry = opinfo.index().entries[name]
    assert entry.reason.startswith(reason)
    assert list(opinfo.draws(Operator.parse(name), CORRECTNESS, 0)) == []


@pytest.mark.parametrize("name", DRAWN)
def test_opinfo_values_follow_from_the_seed(opinfo: Suite, name):
    op = Operator.parse(name)
    first, again, other = (
        [bytes_of(call) if call else None for call in opinfo.draws(op, CORRECTNESS, seed)]
        for seed in (11, 11, 12)
    )
    assert first == again
    assert first != other
    assert len(first) == len(opinfo.index().entries[name].correctness)


@pytest.mark.parametrize("name", DRAWN[:6])
def test_one_case_is_drawn_as_in_the_whole_list(opinfo: Suite, name):
    op = Operator.parse(name)
    calls = list(opinfo.draws(op, CORRECTNESS, 3))
    for number in {0, len(calls) // 2, len(calls) - 1}:
        expected = calls[number]
        assert expected
        assert bytes_of(opinfo.draw(op, CORRECTNESS, number, 3)) == bytes_of(expected)


def test_opinfo_draws_what_its_index_says_and_the_reference_runs(opinfo: Suite):
    check_references(opinfo, 40)


def test_drawing_leaves_all_generators_alone(opinfo: Suite):
    def states() -> tuple[object, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    list(opinfo.draws(Operator.parse("add.Tensor"), CORRECTNESS, 1))
    assert states() == before


def test_opinfo_has_values_at_the_edges(opinfo: Suite):
    calls = opinfo.draws(Operator.parse("abs.default"), CORRECTNESS, 1)
    tensors = [tensor for call in calls if call for tensor in tensors_of(call)]
    assert any(tensor.isnan().any() for tensor in tensors)
    assert any(tensor.isinf().any() for tensor in tensors)
    assert any(tensor.numel() == 0 for tensor in tensors)
    assert any(not tensor.is_contiguous() for tensor in tensors)
    assert any((tensor < 0).any() for tensor in tensors)


def test_opinfo_is_not_traced_again(opinfo: Suite, monkeypatch: pytest.MonkeyPatch):
    index = opinfo.index()
    monkeypatch.setattr("backend_bench.suites.opinfo.survey", None)
    assert OpInfoSuite(opinfo.spec).index() == index


# ---- opening and naming --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "smok"}, "did you mean smoke"),
        ({"name": "torchbench", "source": "bundeld"}, "--source bundled takes the cases that come with"),
        ({"name": "smoke", "dtype": "floaty32"}, "did you mean float32"),
        ({"name": "smoke", "dtype": "int64"}, "cannot draw in dtype"),
        ({"name": "smoke", "device": "tpu"}, "use cpu or cuda"),
        ({"name": "opinfo", "source": "elsewhere"}, "takes no source"),
    ],
)
def test_a_suite_that_does_not_exist_is_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        open_suite(SuiteSpec(**asked))


def test_defaults_are_filled_in():
    assert open_suite(SuiteSpec(name="opinfo")).spec.dtype == "bfloat16"
    assert open_suite(SuiteSpec(name="smoke", dtype="bf16")).spec.dtype == "bfloat16"


@pytest.mark.parametrize("name", ["relu.defult", "ad.Tensor", "__class__", "add.__init__", "add.foo"])
def test_an_unknown_operator_is_refused(name):
    with pytest.raises(UsageError, match="has no operator"):
        resolve(Operator.parse(name))


def test_near_matches_are_offered():
    with pytest.raises(UsageError, match=r"did you mean .*relu\.default"):
        resolve(Operator.parse("rellu"))
    assert near_matches("ad.Tensor", ["add.Tensor", "mm.default"]) == ("add.Tensor",)
    assert near_matches("zzz", ["add.Tensor"]) == ()


def test_an_operator_outside_the_suite_is_refused(smoke: Suite):
    with pytest.raises(UsageError, match="suite smoke has no operator"):
        smoke.draw(Operator.parse("relu_"), CORRECTNESS, 0, 0)
    with pytest.raises(UsageError, match="none number 99"):
        smoke.draw(Operator.parse("relu"), CORRECTNESS, 99, 0)


# ---- the index on disk ---------------------------------------------------------------------------


def test_the_client_needs_no_torch():
    code = (
        "import sys; import backend_bench.suites.index_cache, backend_bench.suites.arguments;"
        "from backend_bench.submission import SuiteSpec;"
        "backend_bench.suites.index_cache.load_cached_index(SuiteSpec());"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_index_that_was_made_can_be_loaded_without_making_it(smoke: Suite):
    assert index_cache.load_cached_index(SuiteSpec(name="smoke", dtype="float64")) is None
    index = smoke.index()
    assert index_cache.load_cached_index(SuiteSpec(name="smoke", dtype="float32")) == index
    assert index_cache.decode_index(index_cache.encode_index(index)) == index


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    spec = SuiteSpec(name="smoke")
    index = open_suite(spec).index()
    [path] = tmp_path.rglob("*.json")
    path.write_bytes(path.read_bytes()[:100])
    assert index_cache.load_cached_index(spec) is None
    assert open_suite(spec).index() == index
    assert index_cache.load_cached_index(spec) == index
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == [path.name]


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch: pytest.MonkeyPatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(blocked))
    assert list(SmokeSuite(open_suite(SuiteSpec()).spec).index().entries) == SMOKE


def test_the_index_on_the_command_line(tmp_path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "index.json"
    assert main(["--suite", "smoke", "--dtype", "float32", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert list(record["entries"]) == SMOKE
    assert record["spec"]["dtype"] == "float32"
    assert main(["--suite", "smok"]) == 2
    assert "did you mean smoke" in capsys.readouterr().err
