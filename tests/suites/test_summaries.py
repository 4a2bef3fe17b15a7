"""What is said about operators is read off torch's docstrings: the right overload's, without markup and asides."""

from __future__ import annotations

import re

import pytest

from backend_bench.operator import Operator
from backend_bench.suites.catalog import operator_names, resolve
from backend_bench.suites.docstrings import arguments, description, plain, section
from backend_bench.suites.own_words import OPERATORS
from backend_bench.suites.summaries import argument_words, summary


def names(op: str) -> tuple[str, ...]:
    return tuple(argument.name for argument in resolve(Operator.parse(op))._schema.arguments)


def said(op: str) -> str:
    return summary(Operator.parse(op), names(op))


@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("relu", "max(0, x)"),
        ("sum.dim_IntList", "in the given dimension dim"),
        ("sum", "all elements in the self tensor"),
        ("argmax", "across a dimension"),
        ("scatter_reduce.two", "leaves self alone"),
        ("scatter.src", "`self[index[i][j][k]][j][k] = src[i][j][k]  # if dim == 0`"),
        ("gather", "`out[i][j][k] = self[index[i][j][k]][j][k]  # if dim == 0`"),
        ("add_.Tensor", "Works in place on self. Adds other"),
        ("index_put_", "Works in place on self. self[indices] = values"),
        ("gelu_backward", "Gradient of gelu"),
        ("_scaled_dot_product_flash_attention", "softmax(scale * query @ key^T) @ value"),
    ],
)
def test_what_an_operator_does(op: str, words: str) -> None:
    assert words in said(op)


@pytest.mark.parametrize(
    "op", ["add.Tensor", "mm", "sort.stable", "max_pool2d_with_indices", "var.correction"]
)
def test_no_markup_and_no_asides(op: str) -> None:
    text = " ".join([said(op), *argument_words(Operator.parse(op), names(op)).values()])
    assert not re.search(r":\w+:`|\.\. |\\[a-z]|``|autograd|ROCm|\bout is\b", text)
    assert len(said(op)) < 1000


def test_arguments_are_explained() -> None:
    words = argument_words(Operator.parse("sort.stable"), names("sort.stable"))
    assert words["dim"] == "the dimension to sort along"
    assert "self" not in words
    assert (
        "0 none, 1 mean, 2 sum" in argument_words(Operator.parse("mse_loss"), names("mse_loss"))["reduction"]
    )


def test_a_docstring_of_several_overloads_is_cut() -> None:
    doc = "f(input) -> Tensor\n\nOne.\n\n.. function:: f(input, dim) -> Tensor\n   :noindex:\n\nTwo.\n"
    assert description(section(doc, ("self",))) == "One."
    assert description(section(doc, ("self", "dim"))) == "Two."


def test_arguments_of_a_docstring() -> None:
    doc = (
        "f(a, b)\n\nArgs:\n    a (Tensor): the input tensor.\n    b (int, optional): how\n        many. Default: ``1``\n"
        "\nKeyword args:\n    c (bool): whether :attr:`b` counts\n\nExample::\n\n    x (int): no\n"
    )
    assert arguments(doc) == {"b": "how many", "c": "whether b counts"}


def test_formulas_are_typed() -> None:
    assert plain(r":math:`\frac{x}{\sqrt{y}} \times \text{weight}_i`") == "(x)/(sqrt(y)) x weight_i"


def test_our_words_are_of_operators_that_exist() -> None:
    known = {name.partition(".")[0] for name in operator_names()}
    assert set(OPERATORS) <= known
