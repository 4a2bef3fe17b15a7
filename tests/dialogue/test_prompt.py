"""The prompt tells the operator, its calls, what is checked and how to reply, within a budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend_bench.cases import Entry
from backend_bench.dialogue.prompt import (
    Brief,
    examples,
    fill,
    own_template,
    prompt,
    read_template,
    returns,
    spread,
)
from backend_bench.errors import UsageError
from backend_bench.submission import Language

ADD = Entry(
    op="add.Tensor",
    schema="add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    doc="Adds other, scaled by alpha, to self.",
    correctness=tuple(f"((T([{n}, 3], f32), T([3], bf16)), {{'alpha': {n}}})" for n in range(40)),
    performance=tuple(f"((T([{n}, 1024], f32), T([1024], bf16)), {{}})" for n in (1, 2, 3)),
)


def brief(**more: object) -> Brief:
    return Brief(**{"entry": ADD, "language": "triton", "device": "cuda", **more})  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize("language", ["triton", "pytorch"])
def test_it_holds_what_a_model_needs(language: Language) -> None:
    text = prompt(brief(language=language))
    for part in (
        "add.Tensor",
        "add__Tensor_kernel_impl",
        ADD.schema,
        ADD.doc,
        "T([0, 3], f32)",
        "```python",
        "score",
    ):
        assert part.lower() in text.lower(), part
    assert "$" not in text


def test_triton_asks_for_own_kernels_and_pytorch_does_not() -> None:
    assert "@triton.jit" in prompt(brief())
    assert "@triton.jit" not in prompt(brief(language="pytorch"))


def test_the_device_is_told() -> None:
    assert "NVIDIA GPU" in prompt(brief())
    assert "interpreter" in prompt(brief(device="cpu"))


def test_the_profile_is_told() -> None:
    assert "1e-2" in prompt(brief(profile="backendbench"))
    assert "NaN" in prompt(brief())


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            "add_.Tensor(Tensor(a!) self, Tensor other) -> Tensor(a!)",
            "into `self` and return that same tensor",
        ),
        ("view(Tensor(a) self, SymInt[] size) -> Tensor(a)", "view"),
        ("relu(Tensor self) -> Tensor", "freshly allocated"),
        ("native_layer_norm(Tensor input) -> (Tensor, Tensor, Tensor)", "(Tensor, Tensor, Tensor)"),
        ("", "what the operator returns"),
    ],
)
def test_what_to_return_is_read_off_the_schema(schema: str, said: str) -> None:
    assert said in returns(schema)


def test_examples_are_spread_over_both_kinds() -> None:
    shown = examples(ADD, 8)
    assert "Correctness, 5 of 40" in shown
    assert "Performance, 3 of 3" in shown
    assert "T([0, 3]" in shown
    assert "T([39, 3]" in shown
    assert "f32 float32" in shown
    assert "bf16 bfloat16" in shown


def test_spread_takes_first_last_and_between() -> None:
    assert spread("abcdefg", 3) == ["a", "d", "g"]
    assert spread("aab", 5) == ["a", "b"]
    assert spread("abc", 1) == ["a"]
    assert spread("", 3) == spread("abc", 0) == []


def test_examples_give_way_then_the_description_never_the_rules() -> None:
    long = Entry(
        op="relu.default",
        doc="word " * 4000,
        correctness=tuple("((T([1], f32),), {})" + "x" * n for n in range(50)),
    )
    text = prompt(brief(entry=long), budget=5000)
    assert len(text) <= 5000
    assert "## Rules" in text
    assert "## Your reply" in text


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.md"
    file.write_text("Do $op as ${function} for $$5.")
    assert (
        prompt(brief(), template=read_template(file)) == "Do add.Tensor as add__Tensor_kernel_impl for $5.\n"
    )


@pytest.mark.parametrize(
    ("text", "said"), [("$functoin", r"\$function\?"), ("costs $ 5", r"\$\$"), ("$zzz", "known names")]
)
def test_a_wrong_template_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prompt(brief(), template=text)


def test_a_template_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_template(tmp_path / "none.md")


def test_the_own_templates_use_only_known_names() -> None:
    for language in ("triton", "pytorch"):
        names = ("op", "schema", "doc", "function", "returns", "device", "examples", "checks", "timing")
        assert fill(own_template(language), dict.fromkeys(names, "-"))
