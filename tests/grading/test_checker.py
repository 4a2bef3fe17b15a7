"""What is checked besides values, and how it is said."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.grading import checker, oracle, running
from backend_bench.grading.checker import Finding, Observed, Output, check
from backend_bench.grading.inputs import clone_call
from backend_bench.grading.oracle import Unjudgeable, admissible, expect
from tests.grading.wall import judge, observe

aten = torch.ops.aten


def test_a_difference_is_told_with_its_place_and_values() -> None:
    def kernel(x: Tensor) -> Tensor:
        result = torch.relu(x)
        result[1, 2] = 0.25
        return result

    x = torch.full((2, 3), 0.5)
    finding = judge(aten.relu.default, Call((x,)), kernel)
    assert finding.message == "1 of 6 elements differ; worst at [1, 2]: expected 0.5, got 0.25"
    assert finding.max_abs_error == 0.25
    assert finding.max_rel_error == 0.5


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda x: x.sum(1, keepdim=True), "output 0 has shape [3, 1], expected [3]"),
        (lambda x: x.sum(1).double(), "output 0 has dtype float64, expected float32"),
        (lambda x: (x.sum(1), x), "2 outputs came back, expected 1"),
        (lambda x: [x.sum(1)], "a tuple came back, expected a bare value"),
        (lambda x: None, "output 0 is a NoneType, expected a tensor"),
        (lambda x: "text", "output 0 is a str, expected a tensor"),
        (lambda x: 1.0, "output 0 is a float, expected a tensor"),
        (
            lambda x: torch.nn.Parameter(x.sum(1)),
            "output 0 is a Parameter, expected a plain torch.Tensor",
        ),
        (lambda x: x.view(-1)[:3], "output 0 shares memory with input 0, expected fresh memory"),
    ],
)
def test_form_is_checked_before_values(kernel: Any, message: str) -> None:
    call = Call((torch.randn(3, 4), [1]))
    assert judge(aten.sum.dim_IntList, call, lambda x, dims: kernel(x)).message == message


def test_an_input_that_was_changed_is_named() -> None:
    def kernel(x: Tensor, y: Tensor) -> Tensor:
        result = x + y
        y[0] = -0.0
        return result

    finding = judge(aten.add.Tensor, Call((torch.randn(4), torch.zeros(4))), kernel)
    assert finding.message == "input 1 was changed; the operator leaves it alone"


def test_claims_and_copies_must_agree() -> None:
    expectation = expect(aten.relu.default, Call((torch.ones(3),)))
    claim = Output("tensor", dtype="float32", shape=(3,), device="cpu", value=torch.ones(4))
    finding = check(expectation, Observed((claim,), True, (torch.ones(3),)))
    assert finding == Finding(False, "output 0 was copied in another form than claimed")


def test_a_forged_claim_is_a_finding_and_no_crash() -> None:
    expectation = expect(aten.relu.default, Call((torch.ones(3),)))
    claim = Output("tensor", dtype="float32", shape=(3,), device="cpu", alias=-7, value=torch.ones(3))
    finding = check(expectation, Observed((claim,), True, (torch.ones(3),)))
    assert not finding.passed
    assert "which there is not" in finding.message


def test_without_a_float64_run_the_expectation_says_so() -> None:
    expectation = expect(aten.linspace.default, Call((0.0, 1.0, 7)))
    assert expectation.notes == ("there is no float64 run: ATen alone is the reference",)


def test_nan_and_infinity_have_to_stand_in_their_places() -> None:
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0])
    assert judge(aten.neg.default, Call((x,)), torch.neg).passed
    for wrong in (torch.nan_to_num, torch.abs, lambda t: t * float("nan")):
        assert not judge(aten.neg.default, Call((x,)), lambda t, wrong=wrong: -wrong(t)).passed


def test_running_statistics_that_the_schema_does_not_mark_are_compared() -> None:
    def forgetful(x: Tensor, w: Any, b: Any, mean: Tensor, var: Tensor, *rest: Any) -> Any:
        return aten.native_batch_norm(x, w, b, mean.clone(), var.clone(), *rest)

    x = torch.randn(4, 3, 5)
    call = Call((x, torch.ones(3), torch.zeros(3), torch.zeros(3), torch.ones(3), True, 0.1, 1e-5))
    assert judge(aten.native_batch_norm.default, call, aten.native_batch_norm).passed
    finding = judge(aten.native_batch_norm.default, call, forgetful)
    assert finding.message.startswith("input 3 after the call: 3 of 3 elements differ")


def test_out_arguments_are_written_and_returned() -> None:
    call = Call((torch.randn(4), torch.randn(4)), {"out": torch.zeros(4)})
    assert judge(aten.add.out, call, lambda a, b, out: out.copy_(a + b)).passed
    assert not judge(aten.add.out, call, lambda a, b, out: a + b).passed
    assert not judge(aten.add.out, call, lambda a, b, out: out).passed


def test_the_same_tensor_given_twice_may_be_returned_as_either() -> None:
    x = torch.randn(5)
    call = Call((x, x))
    assert judge(aten.add_.Tensor, call, lambda a, b: b.add_(a)).passed


def test_python_scalars_compare_by_type_and_value() -> None:
    call = Call((torch.tensor(3),))
    assert judge(aten._local_scalar_dense.default, call, lambda x: x.item()).passed
    assert not judge(aten._local_scalar_dense.default, call, lambda x: float(x)).passed
    assert not judge(aten._local_scalar_dense.default, call, lambda x: 4).passed


def test_negative_zero_is_zero() -> None:
    assert judge(aten.mul.Tensor, Call((torch.zeros(3), -torch.ones(3))), lambda a, b: a * 0).passed


def test_where_writes_meet_any_of_them_may_stay_and_elsewhere_none() -> None:
    index = torch.tensor([[0, 1, 2]] * 2)
    call = Call((torch.zeros(2, 3), 0, index.clamp(max=1), torch.randn(2, 3)))

    def last_first(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        return x.scatter(dim, index.flip(0), src.flip(0))

    assert judge(aten.scatter.src, call, last_first).passed
    lonely = Call((torch.zeros(2, 3), 0, torch.tensor([[0, 1, 0], [1, 0, 1]]), torch.randn(2, 3)))
    assert not judge(aten.scatter.src, lonely, lambda x, d, i, s: x.scatter(d, 1 - i, s)).passed


def test_an_unsorted_topk_may_come_in_any_order() -> None:
    call = Call((torch.randn(4, 30), 5, 1, True, False))

    def turned(*args: Any) -> Any:
        return tuple(tensor.flip(1) for tensor in aten.topk(*args))

    assert judge(aten.topk.default, call, turned).passed
    assert not judge(aten.topk.default, call, lambda x, k, *_: torch.topk(x, k, largest=False)).passed


def test_what_cannot_be_judged_says_why() -> None:
    with pytest.raises(Unjudgeable, match="sign, phase or order"):
        expect(aten._linalg_svd.default, Call((torch.randn(3, 3),)))
    with pytest.raises(Unjudgeable, match="random"):
        expect(aten.native_dropout.default, Call((torch.randn(99), 0.5, True)))
    with pytest.raises(Unjudgeable, match="refuses these arguments"):
        expect(aten.mm.default, Call((torch.randn(2, 3), torch.randn(2, 3))))
    expect(aten.native_dropout.default, Call((torch.randn(99), 0.5, False)))


def test_random_state_beside_a_dropout_of_nothing_does_not_make_a_call_random(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As fused attention on a GPU gives out the state of the generator, which nobody compares."""
    op = aten._scaled_dot_product_flash_attention_for_cpu.default
    heads = torch.randn(3, 1, 2, 4, 8)
    monkeypatch.setattr(oracle, "same_values", lambda one, two: torch.zeros(one.shape, dtype=torch.bool))
    expect(op, Call((*heads, 0.0)))
    with pytest.raises(Unjudgeable, match="random"):
        expect(aten.native_dropout.default, Call((torch.randn(99), 0.5, False)))


def test_fused_attention_without_a_float64_run_may_round_between_its_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU there is none: a kernel that keeps its weights in bfloat16 is right there too, one that forgets keys is not."""
    monkeypatch.setattr(oracle, "run_raised", lambda *_: None)
    op = aten._scaled_dot_product_flash_attention_for_cpu.default
    query, key, value = torch.randn(3, 2, 4, 64, 32, dtype=torch.bfloat16)

    def attention(query: Tensor, key: Tensor, value: Tensor) -> Any:
        scores = (query.float() @ key.float().mT) * query.shape[-1] ** -0.5
        weights = scores.softmax(-1).bfloat16()
        return (weights.float() @ value.float()).bfloat16(), scores.logsumexp(-1)

    call = Call((query, key, value))
    assert judge(op, call, attention).passed
    short = key.shape[-2] - 1
    assert not judge(op, call, lambda q, k, v: attention(q, k[..., :short, :], v[..., :short, :])).passed


def test_where_an_output_lies_that_nobody_compares_is_nobodys_business() -> None:
    output = Output("tensor", "Tensor", True, "float32", (2,), (1,), "cuda", value=torch.zeros(2))
    for undefined in ("", "random state"):
        expected = oracle.Expected("tensor", torch.zeros(2), undefined=undefined)
        fault = checker._leaf_form(expected, output)
        assert (fault == "") == bool(undefined)


def test_memory_that_ran_out_is_no_answer_and_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tolerance would depend on who else uses the device."""

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    call = Call((torch.randn(3, 3), torch.randn(3, 3)))
    with monkeypatch.context() as patch:
        patch.setattr(oracle, "growth", full)
        with pytest.raises(JudgeError, match="out of memory") as seen:
            expect(aten.mm.default, call)
        assert not isinstance(seen.value, Unjudgeable)
    runs = iter(["reference"])

    def second_is_too_much(op: Any, given: Call) -> Any:
        return once(op, given) if next(runs, "") else full()

    once = running.run_once
    monkeypatch.setattr(running, "run_once", second_is_too_much)
    with pytest.raises(JudgeError, match="out of memory"):
        expect(aten.mm.default, call)


def test_an_edge_on_which_precisions_part_is_not_admitted() -> None:
    large = torch.full((2,), torch.finfo(torch.float32).max)
    assert admissible(expect(aten.add.Tensor, Call((large, -large))))
    rows = Call((torch.stack([large, large * 0, large * 0]), [1]))
    assert admissible(expect(aten.sum.dim_IntList, rows))  # infinite in float32 either way
    assert not admissible(expect(aten.mean.dim, rows))  # infinite in float32, finite in float64


def test_where_aten_is_wrecked_nothing_is_judged() -> None:
    large = torch.full((3, 2), torch.finfo(torch.float32).max)
    with pytest.raises(Unjudgeable, match="overflows"):
        expect(aten.mean.dim, Call((large, [1])))


def test_the_reference_never_touches_the_arguments() -> None:
    call = Call((torch.randn(5), torch.randn(5)))
    before = clone_call(call)
    expect(aten.add_.Tensor, call)
    assert torch.equal(call.args[0], before.args[0])


# ------------------------------------------------------------------- the other project's rules


def lenient(op: Any, call: Call, kernel: Any) -> Finding:
    mine = clone_call(call)
    expectation = expect(op, mine, profile="backendbench")
    return check(expectation, observe(kernel, mine, clone=False))


def test_backendbench_accepts_a_hundredth() -> None:
    call = Call((torch.ones(4),))
    assert lenient(aten.relu.default, call, lambda x: x + 0.015).passed
    assert not lenient(aten.relu.default, call, lambda x: x + 0.03).passed


def test_backendbench_compares_an_in_place_result_with_itself() -> None:
    call = Call((torch.randn(4),))
    assert lenient(aten.relu_.default, call, lambda x: x.mul_(-7).add_(3)).passed
    assert not lenient(aten.relu_.default, call, lambda x: x.clone() - 3).passed


def test_backendbench_looks_neither_at_inputs_nor_at_memory() -> None:
    call = Call((torch.ones(4),))
    assert lenient(aten.clone.default, call, lambda x: x).passed


def test_writing_to_memory_that_overlaps_itself_is_not_judged() -> None:
    overlapping = torch.ones(40).as_strided((5, 6, 2), (1, 1, 7))
    with pytest.raises(Unjudgeable, match="overlaps itself"):
        expect(aten.add_.Tensor, Call((overlapping, torch.ones(5, 6, 2))))


def test_a_call_that_resizes_its_input_is_not_judged() -> None:
    call = Call((torch.zeros(1), torch.ones(2, 3, 4), torch.ones(2, 4, 5)))
    with pytest.raises(Unjudgeable, match="resizes input 0"):
        expect(aten.addbmm_.default, call)


def test_nan_in_the_wrong_place_has_no_finite_error() -> None:
    """A largest error of 0 beside a failure would say that nothing was wrong."""
    call = Call((torch.tensor([1.0, 2.0, 3.0]),))
    finding = judge(aten.relu.default, call, lambda x: torch.tensor([1.0, math.nan, 3.0]))
    assert not finding.passed
    assert finding.max_abs_error == math.inf
    assert finding.max_rel_error == math.inf


def test_the_total_weight_of_a_loss_that_is_not_reduced_is_nobodys_business() -> None:
    call = Call((torch.randn(4, 3), torch.tensor([0, 1, 2, 1]), None, 0, -100))
    op = aten.nll_loss_forward.default
    right, total = op(*call.args)
    assert judge(op, call, lambda *args: (right.clone(), total + 7)).passed
    mean = Call((*call.args[:3], 1, -100))
    right, total = op(*mean.args)
    assert not judge(op, mean, lambda *args: (right.clone(), total + 7)).passed
