"""The prompt tells the operator, its calls, what is checked and how to reply, within a budget."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_bench.cases import Entry
from backend_bench.dialogue import prompt as module
from backend_bench.dialogue.prompt import (
    Brief,
    edges,
    examples,
    fill,
    hardware,
    own_template,
    prompt,
    read_template,
    spread,
)
from backend_bench.errors import UsageError
from backend_bench.grading import settings as judged_settings
from backend_bench.grading import windows
from backend_bench.operator import Operator
from backend_bench.own_work import ALLOWED
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


def test_examples_are_spread_over_both_kinds() -> None:
    shown = examples(ADD, 8)
    assert "Correctness: 5 of 40" in shown
    assert "Performance: 3 of 3" in shown
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
    assert "## What you hand in" in text


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


@pytest.mark.parametrize("language", ["triton", "pytorch"])
def test_the_own_templates_use_only_known_names(language: Language) -> None:
    names = re.findall(r"^    (\w+) {2,}\S|^    \w+ {2,}.*? {2,}(\w+) {2,}\S", module.__doc__ or "", re.M)
    known = {name for pair in names for name in pair if name} | set(
        re.findall(r" {6,}(\w+) {2,}", module.__doc__ or "")
    )
    assert fill(own_template(language), dict.fromkeys(known, "-"))


GPU = {
    "name": "NVIDIA H100 80GB HBM3",
    "capability": "9.0",
    "multiprocessors": 132,
    "memory_bytes": 80 << 30,
    "bandwidth_gb_per_s": 3352.3,
    "l2_bytes": 50 << 20,
    "shared_memory_per_block_bytes": 227 << 10,
    "registers_per_multiprocessor": 65536,
}


def test_the_gpu_is_told_from_its_facts() -> None:
    text = prompt(brief(gpu=GPU))
    for part in ("H100", "9.0", "132 SMs", "3,352 GB/s", "227 KiB", "50 MiB", "65,536"):
        assert part in text, part
    assert hardware({"name": "X", "multiprocessors": 2, "l2_bytes": None}) == "It is an X: 2 SMs."
    assert "SMs" not in prompt(brief(device="cpu"))


def test_every_allowed_operator_that_people_call_is_named() -> None:
    text = prompt(brief())
    for name in ALLOWED:
        assert (f"`{name}`" in text) != name.startswith(("_", "lift", "sym_")), name
    assert "`empty_like`" not in prompt(brief(language="pytorch"))


def test_an_operator_under_test_is_not_allowed_because_it_moves_memory() -> None:
    clone = Entry(op="clone.default", schema="clone.default(Tensor self) -> Tensor")
    assert "but not `clone`" in prompt(brief(entry=clone))
    assert "but not" not in prompt(brief())


def test_the_example_kernel_is_shown_where_there_is_room() -> None:
    shown = Operator.parse("mean.dim"), "def mean__dim_kernel_impl(x): ..."
    text = prompt(brief(example=shown))
    assert "right for `mean.dim`:\n\n```python\ndef mean__dim_kernel_impl(x): ...\n```" in text
    assert "mean.dim" not in prompt(brief(example=shown), budget=len(text) - 1)


def test_calls_are_counted() -> None:
    recorded = Entry(
        op="relu.default", correctness=("((T([4], f16),), {})",), calls=1234, correctness_calls=(1200,)
    )
    text = examples(recorded, 4)
    assert "((T([4], f16),), {})  # 1,200 calls" in text
    assert "1,234 times" in text


def test_what_is_easily_overlooked_is_counted() -> None:
    told = edges(brief())
    assert "Of 43 different cases" in told
    assert "1 with an empty tensor" in told
    assert "another value of `alpha`" in told
    assert "index may occur twice" not in told
    assert "index may occur twice" in edges(
        brief(entry=Entry(op="g.d", schema="g.d(Tensor self, Tensor index) -> Tensor"))
    )
    assert "not listed" not in edges(brief(profile="backendbench"))


def test_the_same_brief_gives_the_same_text() -> None:
    assert prompt(brief(gpu=GPU)) == prompt(brief(gpu=dict(reversed(GPU.items()))))


def test_what_gives_way_first() -> None:
    """The example kernel, then cases, then the words on arguments, then the description; a budget below is refused."""
    entry = dataclasses.replace(ADD, argument_docs={"alpha": "the multiplier"}, doc="Adds them up. " * 30)
    full = prompt(brief(entry=entry))
    assert "another operator" in full
    lean = prompt(brief(entry=entry), budget=len(full) - 1)
    assert "lerp" not in lean
    assert lean.count("T([1024]") == full.count("T([1024]")
    leanest = len(prompt(brief(entry=entry), budget=_least(brief(entry=entry))))
    assert leanest <= _least(brief(entry=entry))
    with pytest.raises(UsageError, match="prompt_budget is 100"):
        prompt(brief(entry=entry), budget=100)


def _least(of: Brief) -> int:
    """The smallest budget that is not refused, as the refusal tells it."""
    with pytest.raises(UsageError) as refusal:
        prompt(of, budget=1)
    found = re.search(r"takes (\d+) characters", str(refusal.value))
    assert found is not None
    return int(found[1])


@settings(deadline=None)  # the machine may be busy
@given(budget=st.integers(1, 14_000), examples=st.integers(0, 40))
def test_the_budget_is_never_exceeded_and_the_rules_never_cut(budget: int, examples: int) -> None:
    try:
        text = prompt(brief(examples=examples), budget=budget)
    except UsageError:
        return
    assert len(text) <= budget
    assert "scores 0" in text
    assert text.rstrip().endswith("only the block is run.")


def test_a_number_in_a_tensors_place_is_told() -> None:
    entry = dataclasses.replace(
        ADD, correctness=("((T([4], f32), 1e-06), {})", "((T([4], f32), T([4], f32)), {})")
    )
    assert "1 with a number where the schema says tensor" in edges(brief(entry=entry))
    assert "a number where" not in edges(brief())
    assert "- `other`: tensor, or a number" in prompt(brief(entry=entry))
    assert "or a number" not in prompt(brief())


def test_the_settings_that_change_are_the_judges() -> None:
    assert set(judged_settings._SETTINGS) == module._SETTINGS
    assert set(windows._LISTS) == module._LISTS


def test_dtypes_that_only_results_have_are_told() -> None:
    norm = Entry(
        op="norm.default",
        schema="norm.default(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)",
        results=("bf16, bf16 -> bf16, f32", "f16, f32 -> b8"),
    )
    text = prompt(brief(entry=norm))
    assert (
        "Dtypes of the results: bfloat16, float32 for tensors of bfloat16; bool for tensors of float16, float32."
        in text
    )
    assert "Dtypes of the results" not in prompt(brief())
    assert "a further dimension ahead" in edges(brief(entry=norm))
    assert "a further dimension" not in edges(brief())
