"""Inductor's code becomes a kernel file: legal Triton, for the forms that were shown, and nothing where ATen does the work."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from backend_bench.authors import inductor, named
from backend_bench.authors.inductor import Inductor
from backend_bench.cases import Call, Entry
from backend_bench.dialogue.prompt import Brief, prompt
from backend_bench.dialogue.reply import read_reply
from backend_bench.errors import MissingExtra
from backend_bench.executors.local import read_index
from backend_bench.languages import mismatch
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status
from backend_bench.writers.kernel_file import (
    GENERALLY,
    OPEN,
    SIMPLIFIED,
    Form,
    Launch,
    NoKernel,
    Operation,
    Real,
    assemble,
    kernels_of,
)
from backend_bench.writers.simple import is_open, simplified

from ..conftest import Judge

KERNEL = """
import triton
import triton.language as tl
from torch._inductor.runtime import triton_heuristics
@triton_heuristics.pointwise(filename=__file__)
@triton.jit
def triton_poi_0(in_ptr0, out_ptr0, xnumel, XBLOCK : tl.constexpr):
    pass
"""
CODE = f"""import torch
triton_poi_0 = async_compile.triton('triton_poi_0', '''{KERNEL}''', device_str='cpu')
class Runner:
    def call(self, args):
        arg0_1, arg1_1 = args
        args.clear()
        s77 = arg0_1
        assert_size_stride(arg1_1, (s77, 3), (3, 1), 'input')
        buf0 = empty_strided_cpu((s77, 3), (3, 1), torch.bfloat16)
        # Topologically Sorted Source Nodes: [relu], Original ATen: [aten.relu]
        triton_poi_0_xnumel = 3*s77
        raw_streamNone = get_raw_stream(None)
        triton_poi_0.run(arg1_1, buf0, triton_poi_0_xnumel, stream=raw_streamNone)
        del arg1_1
        return (buf0, )

runner = Runner(partitions=[])
"""
TENSORS = [("torch.bfloat16", (8, 3))]
LAUNCH = Launch("triton_poi_0", KERNEL, {"XBLOCK": 64}, 4, 1)
RELU = Operation("relu.default", "relu__default_kernel_impl", ("self",), {}, 1, (), False)


class Tensor:
    """Stands where a tensor stands among the arguments."""


def form(code: str = CODE, tensors: Any = TENSORS) -> Form:
    return Form.of(0, code, [LAUNCH], tensors, [Tensor()])


def test_a_form_takes_its_sizes_from_its_inputs() -> None:
    made = form()
    assert made.pattern == "[('torch.bfloat16', ('s0', 3))]"
    body = made.text[made.text.index("def form_0(input_0):") :]
    assert "s77 = input_0.shape[0]" in body
    assert "torch.empty_strided((s77, 3), (3, 1), dtype=torch.bfloat16, device=device_of_inputs)" in body
    assert "triton_poi_0_of_form_0.run(input_0, buf0, triton_poi_0_xnumel)" in body
    assert not re.search(r"arg\d|stream|assert|#|_cpu", body)


def test_the_file_is_triton_and_python() -> None:
    assert [name for name, _ in kernels_of(CODE)] == ["triton_poi_0"]
    file = assemble(RELU, [form()])
    ast.parse(file)
    assert "Kernel(triton_poi_0_of_form_0_function, {'XBLOCK': 64}, 4, 1)" in file
    assert mismatch(Submission(op=Operator("relu"), source=file, language="triton")) == ""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("triton_poi_0.run(", "extern_kernels.mm(", "Inductor calls mm for it"),
        ("triton_poi_0.run(", "buf1 = torch.ops.aten.topk.default(", "Inductor calls aten.topk for it"),
        ("triton_poi_0.run(arg1_1", "print(arg1_1", "launches nothing"),
        ("arg0_1, arg1_1 = args", "arg0_1 = args", "leaves out one of its inputs"),
        ("(arg1_1, (s77, 3)", "(arg1_1, (s77*2, 3)", "not that of an input"),
        ("def call(self, args)", "def run(self, args)", "no function that launches"),
    ],
)
def test_what_cannot_be_a_kernel_is_told(old: str, new: str, why: str) -> None:
    assert old in CODE
    with pytest.raises(NoKernel, match=why):
        form(CODE.replace(old, new))


NUMBERED = (
    CODE.replace("arg0_1, arg1_1 = args", "arg0_1, arg1_1, arg2_1, arg3_1 = args")
    .replace("s77 = arg0_1\n", "s77 = arg0_1\n        s5 = arg3_1\n")
    .replace("run(arg1_1, buf0, ", "run(arg1_1, arg2_1.item(), buf0, s5, ")
    .replace("del arg1_1", "del arg1_1\n        del arg2_1")
    .replace("out_ptr0, xnumel", "out_ptr0, ks0, xnumel")
)
LAUNCHED = Launch("triton_poi_0", KERNEL.replace("out_ptr0, xnumel", "out_ptr0, ks0, xnumel"), {}, 4, 1)


def test_numbers_are_open_too() -> None:
    given = [*TENSORS, float, Real]
    made = Form.of(0, NUMBERED, [LAUNCHED], given, [Tensor(), OPEN, OPEN])
    assert made.pattern == "[('torch.bfloat16', ('s0', 3)), float, NUMBER]"
    assert "def form_0(input_0, input_1, input_2):" in made.text
    assert "s5 = input_2" in made.text
    assert "run(input_0, input_1, buf0, s5, triton_poi_0_xnumel)" in made.text
    assert "@triton.jit(do_not_specialize=['ks0'])" in made.text
    assert not re.search(r"arg\d|\.item|del input_1", made.text)


def test_no_host_reads_a_tensor_without_dimensions() -> None:
    """On a GPU it would wait for the device, at each call."""
    code = (
        CODE.replace("arg0_1, arg1_1 = args", "arg0_1, arg1_1, arg2_1 = args")
        .replace("run(arg1_1, buf0, ", "run(arg1_1, arg2_1.item(), buf0, ")
        .replace("pass\n", "tmp1 = in_ptr1\n")
    )
    source = KERNEL.replace("in_ptr0, out_ptr0", "in_ptr0, in_ptr1, out_ptr0").replace(
        "pass", "tmp1 = in_ptr1"
    )
    launch = Launch("triton_poi_0", source, {}, 4, 1)
    made = Form.of(0, code, [launch], [*TENSORS, ("torch.bfloat16", ())], [Tensor(), Tensor()])
    assert "run(input_0, input_1, buf0, triton_poi_0_xnumel)" in made.text
    assert "tmp1 = tl.load(in_ptr1).to(tl.float32)" in made.text


def test_what_is_in_a_list_comes_last() -> None:
    """Dynamo finds it last: an `index_put_` took its indices for values."""
    code = (
        CODE.replace("arg0_1, arg1_1 = args", "arg0_1, arg1_1, arg2_1, arg3_1 = args")
        .replace("run(arg1_1, buf0, ", "run(arg1_1, arg2_1, arg3_1, buf0, ")
        .replace("buf0 =", "assert_size_stride(arg2_1, (4, ), (1, ), 'input')\n        buf0 =")
        .replace("buf0 =", "assert_size_stride(arg3_1, (5, ), (1, ), 'input')\n        buf0 =")
    )
    given = [*TENSORS, ("torch.bfloat16", (4,)), ("torch.int64", (5,))]
    made = Form.of(0, code, [LAUNCH], given, [Tensor(), [Tensor(), None], Tensor()])
    assert made.pattern == (
        "[('torch.bfloat16', ('s0', 3)), [('torch.int64', (5,)), 'None'], ('torch.bfloat16', (4,))]"
    )
    file = assemble(RELU, [made])
    namespace: dict[str, Any] = {}
    exec(file[file.index("def inputs(") : file.index("def fits(")], namespace)
    assert namespace["inputs"](ast.literal_eval(made.pattern), ["self", ["index", None], "values"]) == [
        "self",
        "values",
        "index",
    ]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("buf0, s5, triton", "buf0, triton", "makes a constant of one of its numbers"),
        ("arg2_1.item()", "arg2_1", "reads one of its numbers from memory"),
    ],
)
def test_a_number_that_is_not_open_is_told(old: str, new: str, why: str) -> None:
    assert old in NUMBERED
    with pytest.raises(NoKernel, match=why):
        Form.of(0, NUMBERED.replace(old, new), [LAUNCHED], [*TENSORS, float, Real], [Tensor(), OPEN, OPEN])


def test_a_kernel_has_its_helpers_to_itself() -> None:
    """What a scan combines by is a function of its own, of the same name in every kernel."""
    helper = "@triton.jit\ndef _helper(a, b):\n    return a + b\n"
    source = KERNEL.replace("@triton_heuristics", f"{helper}@triton_heuristics").replace(
        "filename=__file__)\n", "filename=__file__,\n    x=(1),\n)\n"
    )
    made = Form.of(
        0,
        CODE,
        [Launch("triton_poi_0", source.replace("pass", "_helper(1, 2)"), {}, 4, 1)],
        TENSORS,
        [Tensor()],
    )
    assert made.text.count("_helper_of_triton_poi_0_of_form_0(") == 2
    assert "heuristics" not in made.text
    numbered = Launch("triton_poi_0", source.replace("out_ptr0, xnumel", "out_ptr0, ks0, xnumel"), {}, 4, 1)
    made = Form.of(0, NUMBERED, [numbered], [*TENSORS, float, Real], [Tensor(), OPEN, OPEN])
    assert "@triton.jit(do_not_specialize=['ks0'])\ndef triton_poi_0_of_form_0_function(" in made.text


def test_the_file_has_code_for_other_forms() -> None:
    general = dataclasses.replace(RELU, family="pointwise")
    file = assemble(general, [form()], [form()])
    ast.parse(file)
    assert "def simplified(given):" in file
    assert "def simplified(given):" not in assemble(general, [form()])


def calls_of(op: torch._ops.OpOverload, call: Call) -> list[str]:
    def told(value: Any) -> Any:
        return f"{value.dtype}{list(value.shape)}" if isinstance(value, torch.Tensor) else value

    return [
        repr(([*map(told, each.args)], {k: told(v) for k, v in each.kwargs.items()}))
        for each in simplified(op, call)
    ]


def test_simple_forms_have_one_dimension_or_two() -> None:
    aten, x = torch.ops.aten, torch.empty(3, 4, 5)
    assert calls_of(aten.gelu.default, Call((x,), {"approximate": "none"})) == [
        "(['torch.float32[60]'], {'approximate': 'none'})",
        "(['torch.float32[60]'], {'approximate': 'tanh'})",
    ]
    assert calls_of(aten._softmax.default, Call((x, 1, False))) == [
        "(['torch.float32[15, 4]', 1, False], {})",
        "(['torch.float32[15, 4]', 1, True], {})",
    ]
    assert calls_of(aten.sum.dim_IntList, Call((x, [0, 2], True), {"dtype": None}))[:2] == [
        "(['torch.float32[4, 15]', [1], False], {'dtype': None})",
        "(['torch.float32[4, 15]', [1], False], {'dtype': torch.float32})",
    ]
    assert calls_of(aten.add.Tensor, Call((x, torch.empty(())), {"alpha": 1}))[0] == (
        "(['torch.float32[60]', 'torch.float32[]'], {'alpha': 1})"
    )
    assert calls_of(aten.cat.default, Call(([x, x], 0))) == []


SHAPES = [(3, 4, 5), (4,), (), (2, 0, 3), (1, 1, 2, 3)]


def simplify(
    family: str, given: dict[str, Any], **names: Any
) -> tuple[dict[str, Any], Callable[[torch.Tensor], torch.Tensor]]:
    """As the file does it."""
    namespace: dict[str, Any] = {"torch": torch, "math": math, "LINES": [1], **names}
    exec(SIMPLIFIED[family], namespace)
    simple, back = namespace["simplified"](given)
    return simple, back


@pytest.mark.parametrize("shape", SHAPES)
def test_any_call_along_a_dimension_is_one_along_the_last(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    for dim in range(-len(shape), max(len(shape), 1)):
        simple, back = simplify("along", {"self": x, "dim": dim})
        assert (simple["self"].dim(), simple["dim"]) == (2, 1)
        assert torch.equal(back(simple["self"].cumsum(1)), x.cumsum(dim))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keepdim", [True, False])
def test_any_reduction_is_one_of_rows(shape: tuple[int, ...], keepdim: bool) -> None:
    x = torch.randn(shape).double()
    each: list[Any] = [None, [], *range(-len(shape), len(shape)), list(range(len(shape)))]
    for dim in each:
        simple, back = simplify("reduces", {"self": x, "dim": dim, "keepdim": keepdim})
        assert (simple["self"].dim(), simple["dim"], simple["keepdim"]) == (2, [1], False)
        torch.testing.assert_close(back(simple["self"].sum(1)), x.sum(dim, keepdim))


def test_any_pointwise_call_is_one_of_lines() -> None:
    x, y, z = torch.randn(3, 1, 5), torch.randn(4, 1), torch.randn(())
    simple, back = simplify("pointwise", {"self": x, "other": y, "third": z, "alpha": 2})
    assert [simple[name].shape for name in ("self", "other", "third")] == [(60,), (60,), ()]
    assert torch.equal(back(simple["self"] + simple["other"] * simple["third"]), x + y * z)
    simple, back = simplify("pointwise", {"self": z})
    assert simple["self"].shape == (1,)
    assert torch.equal(back(simple["self"]), z)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("family", ["along", "pointwise"])
def test_what_is_written_to_comes_back_where_it_was(family: str, dim: int) -> None:
    """In another order of dimensions, and without a change before the end."""
    x = torch.randn(3, 4, 5).transpose(0, 2)
    expected = x.cumsum(dim) if family == "along" else x * 2

    def called(given: dict[str, Any], forms: object) -> tuple[torch.Tensor]:
        given["self"].cumsum_(1) if family == "along" else given["self"].mul_(2)
        return (given["self"],)

    namespace: dict[str, Any] = {"torch": torch, "called": called, "GENERAL": [], "WRITTEN": ("self",)}
    exec(SIMPLIFIED[family] + GENERALLY, namespace)
    namespace["generally"]({"self": x, "dim": dim})
    assert torch.equal(x, expected)


def test_a_tensor_that_is_given_twice_is_copied_once() -> None:
    """One copy would not know what was written to the other."""
    file = assemble(dataclasses.replace(RELU, written=("self",)), [form()])
    namespace: dict[str, Any] = {"torch": torch}
    exec(file[file.index("def inputs(") : file.index("def relu__default_kernel_impl")], namespace)
    namespace |= {"ARGUMENTS": ("self", "other"), "WRITTEN": ("self",), "NUMBER": (int, float)}
    x = torch.randn(5, 4).t()
    twice = 2 * x
    pattern = [(str(x.dtype), ("s0", "s1"))] * 2
    namespace["called"]({"self": x, "other": x}, [(pattern, lambda one, other: one.add_(other))])
    assert torch.equal(x, twice)


def test_an_open_number_is_finite() -> None:
    file = assemble(RELU, [form()])
    namespace: dict[str, Any] = {"torch": torch, "math": math, "NUMBER": (number := (int, float))}
    exec(file[file.index("def fits(") : file.index("def called(")], namespace)
    fits = [namespace["fits"](number, value, {}) for value in (0, 2.5, math.inf, math.nan, True, None)]
    assert fits == [True, True, False, False, False, False]


def test_numbers_are_left_open_and_modes_are_not() -> None:
    aten = torch.ops.aten
    assert is_open(aten.add.Tensor, "alpha", 2)
    assert is_open(aten.add.Tensor, "other", 2.5)
    assert is_open(aten.native_layer_norm.default, "eps", 1e-5)
    assert not is_open(aten._softmax.default, "dim", 1)
    assert not is_open(aten._softmax.default, "half_to_float", True)
    assert not is_open(aten.std.correction, "correction", 1)


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(MissingExtra, match=r'needs torch .*pip install "backend-bench\[interpreter\]"'):
        named("builtin/inductor")


def test_arguments_are_read_with_and_without_a_remark() -> None:
    text = "x\n((T([4, 1], f32), 1e-06), {})  # 548 calls\n((T([5], f32),), {'dim': 1})\n`((no, {})`\n"
    assert inductor._CASE.findall(text) == ["((T([4, 1], f32), 1e-06), {})", "((T([5], f32),), {'dim': 1})"]


def asked(op: str, *cases: str) -> list[dict[str, str]]:
    brief = Brief(entry=Entry(op=op, correctness=cases), language="triton", device="cpu")
    return [{"role": "user", "content": prompt(brief)}]


@pytest.mark.slow
@pytest.mark.parametrize("op", ["relu.default", "add_.Tensor", "sum.dim_IntList"])
def test_what_inductor_writes_is_right_for_forms_that_it_was_not_shown(op: str, judge: Judge) -> None:
    """Other ranks, dimensions, dtypes, settings and numbers than the cases have: all draws of the judge."""
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    code = read_reply(
        Inductor().reply(asked(op, *read_index("local", spec).entries[op].correctness)),
        Operator.parse(op).function,
    ).code
    assert code is not None
    submission = Submission(
        op=Operator.parse(op), source=code, language="triton", suite=spec, seed=1, only="correctness"
    )
    verdict = judge(submission)
    assert verdict.status is Status.OK, verdict


@pytest.mark.slow
def test_dynamo_finds_last_what_is_in_a_list() -> None:
    case = "((T([50], f32), [T([7], i64)], T([7], f32)), {})"
    code = read_reply(
        Inductor().reply(asked("index_put_.default", case)), "index_put___default_kernel_impl"
    ).code
    assert code is not None
    pattern = "[('torch.float32', ('s0',)), [('torch.int64', ('s2',))], ('torch.float32', ('s1',)), 'False']"
    assert pattern in code
    # Values are the second input and indices the third, which is what counts from the end where it is negative.
    assert ".run(input_2, input_1, input_0, " in code
    assert "tmp0 = tl.load(in_ptr0 + (x0), xmask" in code
    assert "tmp3 = tmp0 < 0" in code


@pytest.mark.slow
def test_where_aten_does_the_work_there_is_no_kernel() -> None:
    said = Inductor().reply(asked("mm.default", "((T([5, 4], f32), T([4, 3], f32)), {})"))
    assert said == "torch.compile has no Triton kernel for `mm.default`: Inductor calls mm for it."
