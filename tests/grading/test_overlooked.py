"""Draws in another form are chosen by whether they tell anything."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.grading import forms, overlooked
from backend_bench.grading.overlooked import tells
from backend_bench.judge import correctness

ATEN = torch.ops.aten
ROWS = torch.arange(12.0).reshape(3, 4)


def made(op: Any, form: str, call: Call, turn: int = 0) -> Call:
    reformed = forms.FORMS[form](op, call, random.Random(1), turn)
    assert reformed is not None
    return reformed


@pytest.mark.parametrize(
    ("op", "form", "call", "expected"),
    [
        (ATEN.sum.dim_IntList, "restrided", Call((ROWS, [1]), {}), True),
        (ATEN.any.dim, "restrided", Call((torch.ones(3, 4), 1), {}), True),
        (ATEN.relu.default, "restrided", Call((0 * ROWS,), {}), False),
        (ATEN.relu.default, "restrided", Call((ROWS,), {}), True),
        (ATEN.relu.default, "longer", Call((-ROWS - 1,), {}), False),
        (ATEN.relu.default, "longer", Call((ROWS,), {}), True),
        (ATEN.amax.default, "raised", Call((torch.full((3, 4), torch.inf), [1]), {}), False),
        (ATEN.amax.default, "raised", Call((ROWS, [1]), {}), True),
        (ATEN.cumsum.default, "turned", Call((torch.zeros(3, 4), 1), {}), False),
        (ATEN.cumsum.default, "turned", Call((ROWS, 1), {}), True),
        (ATEN.add.Tensor, "spread", Call((torch.ones(3, 4), ROWS), {}), False),
        (ATEN.add.Tensor, "spread", Call((ROWS.clone(), ROWS), {}), True),
        (ATEN.addcdiv.default, "spread", Call((torch.ones(4, 4), torch.rand(4, 4), torch.rand(4, 1, 4) + 1), {}), True),
    ],
)  # fmt: skip
def test_a_draw_tells_where_a_kernel_that_overlooks_its_form_is_wrong(
    op: Any, form: str, call: Call, expected: bool
) -> None:
    assert tells(op, form, call, made(op, form, call)) == expected


def test_a_copy_on_the_cpu_has_the_gaps_of_what_it_is_of() -> None:
    whole = torch.arange(40.0)
    for tensor in (
        whole[3:27:2].reshape(3, 4),
        whole.reshape(5, 8).t(),
        whole[:0],
        torch.view_as_complex(whole.reshape(20, 2)).conj(),
    ):
        copy = overlooked._on_cpu(tensor)
        assert torch.equal(copy, tensor)
        assert (copy.stride(), copy.storage_offset()) == (tensor.stride(), tensor.storage_offset())
        assert not copy.numel() or copy.data_ptr() != tensor.data_ptr()


def test_a_setting_tells_where_it_matters() -> None:
    op = ATEN.clamp_min.default
    above, below = Call((torch.tensor([9.0, 5.0]), 1), {}), Call((torch.tensor([-9.0, 5.0]), 1), {})
    assert not tells(op, "reset", above, Call((above.args[0], -2), {}))
    assert tells(op, "reset", below, Call((below.args[0], -2), {}))


def test_what_aten_refuses_tells_nothing() -> None:
    before = Call((ROWS, 1), {})
    assert tells(ATEN.cumsum.default, "turned", before, Call((ROWS, 7), {})) is None


def test_what_aten_refuses_is_no_draw() -> None:
    """Not even the first of all. On a GPU not every operator looks at what it is given."""
    attempt = correctness.Attempt(0, Call((ROWS, 1), {}), "base")
    refused = correctness._telling(
        ATEN.cumsum.default,
        "turned",
        [attempt],
        lambda call: Call((ROWS, 7), {}),
        few=frozenset(),
        rng=random.Random(1),
    )
    assert list(refused) == []


IN_VAIN = """
import torch
from backend_bench.cases import Call
from backend_bench.grading import overlooked

op = torch.ops.aten._weight_norm_interface.default
for _ in range(100):
    for rows, columns in ((64, 32), (32, 64)):
        before = Call((torch.randn(rows, columns), torch.randn(rows, 1), 0))
        after = Call((torch.randn(columns, rows), torch.randn(1, rows), 1))
        assert overlooked.tells(op, "turned", before, after) is None
print("survived")
"""


def test_no_internal_operator_is_given_what_does_not_fit_together() -> None:
    """`_weight_norm_interface` writes over its result's end where its dimension is not that of its factors."""
    done = subprocess.run([sys.executable, "-c", IN_VAIN], capture_output=True, text=True)
    assert done.stdout == "survived\n", (done.returncode, done.stderr)


def test_a_sum_in_another_order_is_the_same_sum() -> None:
    op = ATEN.sum.default
    call = Call((torch.randn(64, 64, generator=torch.Generator().manual_seed(1)),), {})
    inside = call.args[0].t()  # no gaps: read as it lies in memory, the same terms
    assert not tells(op, "restrided", call, Call((inside,), {}))


def test_the_first_that_tells_is_taken_and_else_the_first() -> None:
    op, dull = ATEN.relu.default, Call((-torch.ones(16),), {})
    told = Call((torch.arange(16.0),), {})

    def chosen(calls: list[Call]) -> Counter[bool]:
        able = [correctness.Attempt(number, call, "base") for number, call in enumerate(calls)]
        found: Counter[bool] = Counter()
        for seed in range(20):
            rng = random.Random(seed)
            [attempt] = correctness._telling(
                op,
                "longer",
                able,
                lambda call, rng=rng: forms.longer(op, call, rng),  # type: ignore[misc]
                few=frozenset(),
                rng=rng,
            )
            found[bool(attempt.call.args[0].amax() > 0)] += 1
        return found

    assert chosen([dull, dull, told]) == {True: 20}
    assert chosen([dull, dull]) == {False: 20}
