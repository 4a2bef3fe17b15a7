"""A wrong result is shown by a few values around its worst element, and the inputs there."""

from __future__ import annotations

import re

import torch

from backend_bench.cases import Call
from backend_bench.grading.example import example_of, show, show_apart, with_inputs
from backend_bench.verdict import Example
from tests.grading.wall import judge


def example(reference: torch.Tensor, value: torch.Tensor, flat: int) -> Example:
    return example_of("output 0", reference == value, flat, reference, value, 2.5)


def test_a_window_along_the_last_dimension() -> None:
    reference = torch.arange(20.0).reshape(2, 10)
    value = reference.clone()
    value[1, 8] = -1
    shown = example(reference, value, 18)
    assert (shown.place, shown.shape, shown.wrong, shown.total, shown.first) == ((1, 8), (2, 10), 1, 20, 6)
    assert shown.expected == ("16", "17", "18", "19")
    assert shown.got == ("16", "17", "-1", "19")
    assert shown.excess == 2.5


def test_without_dimensions() -> None:
    shown = example(torch.tensor(1.5), torch.tensor(2.0), 0)
    assert (shown.place, shown.expected, shown.got) == ((), ("1.5",), ("2",))


def test_inputs_small_broadcast_reduced_and_unrelated() -> None:
    """Small ones are whole, others stand at the place, or hold the same row; what does neither is left out."""
    reference = torch.zeros(4, 10)
    value = reference.clone()
    value[2, 5] = 1
    call = Call(
        (torch.tensor([1.0, 2.0]), torch.arange(10.0), torch.arange(48.0).reshape(4, 12), torch.zeros(11))
    )
    shown = with_inputs(example(reference, value, 25), call)
    assert shown.inputs == (
        "input 0 [2]: 1, 2",
        "input 1 [10] from [2, 3]: 3, 4, 5, 6, 7",
        "input 2 [4, 12] from [2, 0]: 24, 25, 26",
    )


def test_an_excess_that_is_no_number_is_none() -> None:
    ones = torch.ones(2)
    assert example_of("output 0", ones > 2, 0, ones, ones, float("inf")).excess is None


def test_values_as_text() -> None:
    assert [show(item) for item in (-0.0, 0, True, False, 1 / 3, float("nan"))] == [
        "0", "0", "True", "False", "0.333333", "nan",
    ]  # fmt: skip


def test_values_that_differ_late_are_told_apart() -> None:
    assert show_apart(0.0173537, 0.0173538) == ("0.0173537", "0.0173538")
    one, other = torch.tensor([1.0, 1 + 2**-23]).tolist()
    assert show_apart(one, other) == ("1", "1.00000012")
    assert show_apart(1.0, 1 + 2**-52)[1] == "1.0000000000000002"
    assert show_apart(2.5, 2.5) == ("2.5", "2.5")
    assert show_apart(3, True) == ("3", "True")


def test_what_is_expected_is_the_best_that_is_known() -> None:
    """ATen's own sum of strided rows would be told where ATen is the one that is off."""
    op = torch.ops.aten.native_group_norm_backward.default
    torch.manual_seed(0)
    x, gradient = torch.randn(1, 2, 3, 2), torch.randn(2, 3, 2, 1).permute(3, 2, 1, 0)
    _, mean, rstd = torch.ops.aten.native_group_norm(x, None, None, 1, 2, 6, 1, 1e-5)
    call = Call((gradient, x, mean, rstd, None, 1, 2, 6, 1, [True, False, False]))
    right = op(gradient.contiguous(), *call.args[1:])[0]
    assert not torch.allclose(right, op(*call.args)[0])
    message = judge(op, call, lambda *_: (torch.zeros_like(x), None, None)).message
    told = re.search(r"expected (\S+),", message)
    assert told
    assert (right - float(told[1])).abs().min() < 1e-5
