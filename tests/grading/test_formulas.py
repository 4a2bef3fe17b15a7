"""Formulas against ATen where it has a float64 kernel, and as the oracle of what it has none for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading import formulas, oracle, running, traits
from backend_bench.grading.choices import arguments
from backend_bench.grading.formulas import attention, attention_backward, formula_of
from backend_bench.grading.inputs import tensors_of
from backend_bench.grading.oracle import expect
from tests.grading.wall import judge

aten = torch.ops.aten
ON_CPU = aten._scaled_dot_product_flash_attention_for_cpu.default
BACKWARD_ON_CPU = aten._scaled_dot_product_flash_attention_for_cpu_backward.default
BATCH, HEADS, QUERIES, KEYS, WIDTH = 2, 3, 7, 11, 8


def drawn(
    queries: int = QUERIES, keys: int = KEYS, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    shapes = ((BATCH, HEADS, rows, WIDTH) for rows in (queries, keys, keys))
    query, key, value = (torch.randn(shape, dtype=torch.float64, generator=rng).to(dtype) for shape in shapes)
    return query, key, value


WAYS: list[dict[str, Any]] = [
    {},
    {"scale": 0.5},
    {"is_causal": True},
    {"attn_mask": torch.linspace(-2, 2, QUERIES * KEYS, dtype=torch.float64).reshape(QUERIES, KEYS)},
]


@pytest.mark.parametrize("way", WAYS, ids=["plain", "scaled", "causal", "masked"])
def test_attention_and_its_gradients_are_those_of_aten(way: dict[str, Any]) -> None:
    way = dict(way)
    is_causal = way.pop("is_causal", False)
    query, key, value = drawn(keys=QUERIES if is_causal else KEYS)
    forward = Call((query, key, value, 0.0, is_causal), way)
    output, logsumexp = ON_CPU(*forward.args, **forward.kwargs)
    torch.testing.assert_close(attention(arguments(ON_CPU, forward)), (output,), rtol=1e-12, atol=1e-13)
    grad = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    backward = Call((grad, query, key, value, output, logsumexp, 0.0, is_causal), way)
    theirs = BACKWARD_ON_CPU(*backward.args, **backward.kwargs)
    ours = attention_backward(arguments(BACKWARD_ON_CPU, backward))
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("most", [1, 2 * QUERIES * KEYS])
def test_many_heads_are_worked_out_some_at_a_time(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, a case of 70 MB took fifteen gigabytes."""
    query, key, value = drawn()
    mask = torch.randn(
        1, HEADS, QUERIES, KEYS, dtype=torch.float64, generator=torch.Generator().manual_seed(7)
    )
    forward = Call((query, key, value), {"attn_mask": mask})
    output, logsumexp = ON_CPU(*forward.args, **forward.kwargs)
    backward = Call((output.cos(), query, key, value, output, logsumexp, 0.0, False), {"attn_mask": mask})
    theirs = BACKWARD_ON_CPU(*backward.args, **backward.kwargs)
    monkeypatch.setattr(formulas, "MOST_AT_ONCE", most)
    torch.testing.assert_close(attention(arguments(ON_CPU, forward)), (output,), rtol=1e-12, atol=1e-13)
    ours = attention_backward(arguments(BACKWARD_ON_CPU, backward))
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    monkeypatch.setattr(formulas, "MOST_OF_A_HEAD", QUERIES * KEYS - 1)
    with pytest.raises(NotImplementedError, match="too large"):
        attention(arguments(ON_CPU, forward))


@pytest.mark.parametrize("most", [1, 2 * QUERIES * KEYS, formulas.MOST_AT_ONCE])
def test_heads_that_share_keys_are_those_in_a_row(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formulas, "MOST_AT_ONCE", most)
    op, backward = (
        aten._scaled_dot_product_flash_attention.default,
        aten._scaled_dot_product_flash_attention_backward.default,
    )
    few = drawn()
    query, key, value = (
        each.clone().requires_grad_() for each in (torch.cat((few[0], few[0].cos()), 1), *few[1:])
    )
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    output.backward(output.cos().detach())
    theirs = [each.grad for each in (query, key, value)]
    query, key, value, output = (each.detach() for each in (query, key, value, output))
    forward = Call((query, key, value))
    assert formula_of(op, forward) is attention
    torch.testing.assert_close(attention(arguments(op, forward)), (output,), rtol=1e-12, atol=1e-13)
    scores = query @ key.repeat_interleave(2, 1).mT * WIDTH**-0.5
    state = torch.empty(0, dtype=torch.int64)
    call = Call(
        (
            output.cos(),
            query,
            key,
            value,
            output,
            scores.logsumexp(-1),
            None,
            None,
            QUERIES,
            KEYS,
            0.0,
            False,
            state,
            state,
        )
    )
    assert formula_of(backward, call) is attention_backward
    torch.testing.assert_close(
        list(attention_backward(arguments(backward, call))), theirs, rtol=1e-11, atol=1e-12
    )


def test_a_gpus_backward_pass_is_read_by_its_own_names() -> None:
    """With an empty bias for none, and more sums than there are queries."""
    query, key, value = drawn()
    output, logsumexp = ON_CPU(query, key, value)
    grad = torch.ones_like(output)
    padded = torch.cat(
        (logsumexp, torch.full((BATCH, HEADS, 32 - QUERIES), torch.inf, dtype=torch.float64)), -1
    )
    state = torch.empty(0, dtype=torch.int64)
    call = Call(
        (
            grad,
            query,
            key,
            value,
            torch.empty(0),
            output,
            padded,
            state,
            state,
            0.0,
            [True, True, True, False],
        )
    )
    op = aten._scaled_dot_product_efficient_attention_backward.default
    formula = formula_of(op, call)
    assert formula is not None
    theirs = BACKWARD_ON_CPU(grad, query, key, value, output, logsumexp, 0.0, False)
    torch.testing.assert_close(formula(arguments(op, call)), theirs, rtol=1e-11, atol=1e-12)
    of_bias = Call((*call.args[:10], [True, True, True, True]))
    assert formula_of(op, of_bias) is None


def test_what_means_several_things_is_not_written_out() -> None:
    op = aten._scaled_dot_product_flash_attention.default
    query, key, value = drawn()
    assert formula_of(op, Call((query, key, value))) is attention
    assert formula_of(op, Call((query, key, value, 0.5))) is None
    assert formula_of(aten._scaled_dot_product_flash_attention.quantized, Call((query, key, value))) is None
    assert formula_of(op, Call((query, key, value, 0.0, True))) is None  # causal, and not square
    assert formula_of(op, Call((query, key[:, :2], value[:, :2]))) is None  # three heads for two of keys
    assert formula_of(op, Call((query, key[:, :0], value[:, :0]))) is None
    assert formula_of(aten.mm.default, Call((query, key))) is None
    nothing = torch.zeros(QUERIES, KEYS, dtype=torch.bool)
    with pytest.raises(NotImplementedError):
        attention(arguments(ON_CPU, Call((query, key, value), {"attn_mask": nothing})))


@pytest.mark.parametrize("rows", [64, 256])
def test_a_kernel_that_rounds_its_weights_is_right_by_the_formula(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ATen's own rounded answer alone, four draws of ten called it wrong."""
    monkeypatch.setitem(formulas.FORMULAS, "_scaled_dot_product_flash_attention_for_cpu", attention)
    run_once = running.run_once

    def on_a_gpu(op: Any, call: Call) -> Any:
        if any(tensor.dtype is torch.float64 for tensor in tensors_of(call)):
            raise RuntimeError("no kernel for float64")
        return run_once(op, call)

    monkeypatch.setattr(running, "run_once", on_a_gpu)
    query, key, value = drawn(rows, rows, torch.bfloat16)

    def rounded(query: Tensor, key: Tensor, value: Tensor) -> Any:
        scores = (query.float() @ key.float().mT) * query.shape[-1] ** -0.5
        return (scores.softmax(-1).bfloat16().float() @ value.float()).bfloat16(), scores.logsumexp(-1)

    call = Call((query, key, value))
    expectation = expect(ON_CPU, call)
    exact = attention(arguments(ON_CPU, Call((query.double(), key.double(), value.double()))))
    assert expectation.outputs[0].oracle is not None
    torch.testing.assert_close(expectation.outputs[0].oracle, exact[0])
    assert judge(ON_CPU, call, rounded).passed
    assert not judge(ON_CPU, call, lambda q, k, v: rounded(q, k[..., 1:, :], v[..., 1:, :])).passed


def test_a_random_state_beside_the_output_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As fused attention of a GPU gives it out, of a dtype that knows no arithmetic."""
    name = "_scaled_dot_product_flash_attention_for_cpu"
    monkeypatch.setitem(formulas.FORMULAS, name, attention)
    monkeypatch.setitem(
        traits.UNDEFINED_OUTPUTS, name, dict.fromkeys((1, 2, 3, 4), "statistics, random state")
    )
    run_once = running.run_once
    state = torch.zeros(2, dtype=torch.bits8)

    def on_a_gpu(op: Any, call: Call) -> running.Run:
        run = run_once(op, call)
        return running.Run(run.call, (*run.result, KEYS, state, torch.empty(0, dtype=torch.bfloat16)))

    monkeypatch.setattr(running, "run_once", on_a_gpu)
    expectation = expect(ON_CPU, Call(drawn(dtype=torch.bfloat16)))
    [output, *others] = expectation.outputs
    assert output.oracle is not None
    assert output.allowance is not None
    grown = oracle._Trial(ON_CPU, Call(drawn(dtype=torch.bfloat16))).grown
    assert set(grown) == {0}
    assert bool((grown[0] > 0).all())  # what rounding may cost was worked out, too
    assert [other.undefined for other in others if other.kind == "tensor"] == ["statistics, random state"] * 3
