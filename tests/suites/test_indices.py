"""Indices lie where they may, in every draw that a judge makes: past the end, a reference would read foreign memory.

On a CPU ATen refuses most of them; a GPU ends the process, and some operators look at nothing anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments
from backend_bench.judge import correctness
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import open_suite, resolve
from backend_bench.suites.arguments import parse
from backend_bench.suites.trials import refusal, trial

RECORDED = """\
Operator: aten.embedding.default
cnt: 1, ((T([30, 8], f32), T([4, 30], i64), 1), {})
Operator: aten.embedding_dense_backward.default
cnt: 1, ((T([4, 30, 8], f32), T([4, 30], i64), 30, 1, False), {})
Operator: aten.gather.default
cnt: 1, ((T([5, 7], f32), 1, T([5, 3], i64)), {})
Operator: aten.scatter.src
cnt: 1, ((T([5, 7], f32), 1, T([5, 3], i64), T([5, 3], f32)), {})
Operator: aten.scatter_.value
cnt: 1, ((T([5, 7], f32), 1, T([5, 3], i64), 1), {})
Operator: aten.scatter_add.default
cnt: 1, ((T([5, 7], f32), 1, T([5, 3], i64), T([5, 3], f32)), {})
Operator: aten.index_select.default
cnt: 1, ((T([5, 7], f32), 1, T([3], i64)), {})
Operator: aten.index_add.default
cnt: 1, ((T([5, 7], f32), 0, T([3], i64), T([3, 7], f32)), {})
Operator: aten.index.Tensor
cnt: 1, ((T([5, 7], f32), [None, T([3], i64)]), {})
Operator: aten.index_put.default
cnt: 1, ((T([5, 7], f32), [T([3], i64), T([3], i64)], T([3], f32), True), {})
Operator: aten.take.default
cnt: 1, ((T([5, 7], f32), T([4], i64)), {})
Operator: aten.nll_loss_forward.default
cnt: 1, ((T([9, 4], f32), T([9], i64), None, 1, -100), {})
Operator: aten.nll_loss_backward.default
cnt: 1, ((T([], f32), T([9, 4], f32), T([9], i64), None, 1, -100, T([], f32)), {})
Operator: aten.nll_loss2d_forward.default
cnt: 1, ((T([2, 4, 5, 5], f32), T([2, 5, 5], i64), None, 1, 255), {})
Operator: aten.max_pool2d_with_indices_backward.default
cnt: 1, ((T([2, 3, 5, 5], f32), T([2, 3, 9, 9], f32), [3, 3], [2, 2], [1, 1], [1, 1], False, T([2, 3, 5, 5], i64)), {})
"""

_FROM_THE_END = ("index", "index_put", "take")
_CLASSES = {"nll_loss_forward": 1, "nll_loss_backward": 1, "nll_loss2d_forward": 1, "nll_loss2d_backward": 1}


def indices(op: Operator, given: dict[str, Any]) -> Iterator[tuple[Tensor, int]]:
    """Each tensor of indices of the call, and how many places there are."""
    base = op.base.removesuffix("_")
    if base in _CLASSES:
        target = given["target"]
        yield (
            target[target != given["ignore_index"]],
            given["self"].shape[1 if given["self"].dim() > 1 else 0],
        )
    elif base == "embedding":
        yield given["indices"], given["weight"].shape[0]
    elif base == "embedding_dense_backward":
        yield given["indices"], given["num_weights"]
    elif base == "take":
        yield given["index"], given["self"].numel()
    elif base == "max_pool2d_with_indices_backward":
        yield given["indices"], given["self"].shape[-1] * given["self"].shape[-2]
    elif base in ("index", "index_put"):
        dim = 0
        for each in given["indices"]:
            masked = each is not None and each.dtype in (torch.bool, torch.uint8)
            if each is not None and not masked:
                yield each, given["self"].shape[dim]
            dim += each.dim() if masked else 1
    else:
        target = given["self"]
        yield given["index"], target.shape[given["dim"]] if target.dim() else 1


def outside(op: Operator, call: Call) -> int:
    """How many indices of the call name a place that there is not."""
    wraps = op.base.removesuffix("_") in _FROM_THE_END
    return sum(
        int(((index >= size) | (index < (-size if wraps else 0))).sum())
        for index, size in indices(op, arguments(resolve(op), call))
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_no_draw_names_a_place_that_there_is_not(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "calls.txt"
    file.write_text(RECORDED)
    suite = open_suite(SuiteSpec(name="torchbench", source=str(file)))
    for name, entry in suite.index().entries.items():
        op = Operator.parse(name)
        assert entry.correctness, f"{op}: {entry.reason}"
        attempts = correctness.draw_all(
            suite, op, resolve(op), len(entry.correctness), seed=seed, profile="strict"
        )
        wrong = {attempt.purpose for attempt in attempts if outside(op, attempt.call)}
        assert not wrong, f"{op}: {wrong}"
        assert any(index.numel() for index, _ in indices(op, arguments(resolve(op), attempts[0].call)))


def test_a_scale_that_puts_windows_beside_the_picture_is_refused() -> None:
    """As FACTO draws them: ATen gives NaN once and 0 the next time."""
    op = Operator.parse("_upsample_bilinear2d_aa")
    beside = "((T([8, 1, 2, 8], f32), [2, 6], False, 3.273309460043878, 0.010000000000000002), {})"
    within = "((T([8, 1, 2, 8], f32), [8, 8], False, 4.0, 1.1), {})"
    assert "beside the picture" in refusal(op, parse(beside), "cpu")
    assert refusal(op, parse(within), "cpu") == ""
    back = Operator.parse("_upsample_bilinear2d_aa_backward")
    text = "((T([8, 1, 2, 6], f32), [2, 6], [8, 1, 2, 8], False, 3.3, {scale}), {{}})"
    assert "beside the picture" in refusal(back, parse(text.format(scale=0.01)), "cpu")
    assert refusal(back, parse(text.format(scale=0.75)), "cpu") == ""


@pytest.mark.parametrize("scale", ["5e-324", "inf", "1.5e+307", "0.0"])
def test_a_scale_with_which_aten_reads_anywhere_is_never_tried(scale: str) -> None:
    """As FACTO draws them: a worker died of one."""
    op = Operator.parse("upsample_bicubic2d")
    wild = parse(f"((T([2, 1, 7, 8], f32), [2, 6], False, {scale}, None), {{}})")
    never: Any = None
    assert "reads outside the picture" in trial(op, wild, never).refusal
    assert refusal(op, parse("((T([2, 1, 7, 8], f32), [2, 6], False, 0.5, None), {})"), "cpu") == ""
