"""A schema in words: what each argument is, and what must come back."""

from __future__ import annotations

import pytest

from backend_bench.dialogue.signature import arguments, explained, positional, returns

SORT = "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)"
POOL = (
    "max_pool2d_with_indices.default(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, "
    "int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)"
)


def test_arguments_and_their_defaults() -> None:
    found = arguments(SORT)
    assert [(a.name, a.default, a.by_name) for a in found] == [
        ("self", None, False),
        ("stable", None, True),
        ("dim", "-1", True),
        ("descending", "False", True),
    ]


def test_a_default_may_hold_commas() -> None:
    (_, stride) = arguments("f.default(Tensor self, int[2] stride=[1, 1]) -> Tensor")
    assert stride.default == "[1, 1]"


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("Tensor", "tensor"),
        ("Tensor?", "tensor, or None"),
        ("Tensor[]", "list of tensors"),
        ("Tensor?[]", "list of tensors, some of which may be None"),
        ("SymInt[2]", "list of 2 ints"),
        ("int[1]?", "list of ints, or None"),
        ("ScalarType?", "dtype, or None"),
        ("Tensor(a!)", "tensor"),
        ("Tensor(a -> *)[]", "list of tensors"),
    ],
)
def test_types_in_words(type_: str, kind: str) -> None:
    (argument,) = arguments(f"f.default({type_} x) -> Tensor")
    assert argument.kind == kind


def test_a_line_for_each_argument() -> None:
    told = explained(SORT, {"dim": "the dimension to sort along"}).split("\n")
    assert told[0] == "- `self`: tensor"
    assert told[1] == "- `stable`: bool, or None; by name"
    assert told[2] == "- `dim`: int; by name; default -1. The dimension to sort along."


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            "add_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)",
            "into `self` and return that same tensor",
        ),
        ("zero_all.default(Tensor(a!)[] self) -> ()", "into `self` and return None"),
        ("view(Tensor(a) self, SymInt[] size) -> Tensor(a)", "a tensor that shares"),
        ("relu.default(Tensor self) -> Tensor", "Return a tensor in fresh memory"),
        (SORT, "a tuple of 2: values (tensor), indices (tensor)"),
        ("split.Tensor(Tensor self, int n) -> Tensor[]", "a list of tensors"),
        ("norm.default(Tensor x, Tensor(a!) running) -> (Tensor, Tensor)", "It also writes into `running`"),
        ("", "what the operator returns"),
    ],
)
def test_what_to_return(schema: str, said: str) -> None:
    assert said in returns(schema)


def test_a_pool_is_told_in_full() -> None:
    assert "- `stride`: list of 2 ints; default []" in explained(POOL, {})


def test_positional_arguments_of_a_case() -> None:
    assert positional("((T([2, 3], f32, [1, 2]), 1e-06, [1, 2]), {'alpha': (1, 2)})") == [
        "T([2, 3], f32, [1, 2])",
        "1e-06",
        "[1, 2]",
    ]
    assert positional("((), {})") == positional("nonsense") == []
