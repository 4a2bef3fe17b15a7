"""Inductor's code becomes a kernel file: legal Triton, for the forms that were shown, and nothing where ATen does the work."""

from __future__ import annotations

import ast
import importlib.util
import re
from typing import Any

import pytest

from backend_bench.authors import inductor, named
from backend_bench.authors.inductor import Inductor
from backend_bench.cases import Entry
from backend_bench.dialogue.prompt import Brief, prompt
from backend_bench.dialogue.reply import read_reply
from backend_bench.errors import MissingExtra
from backend_bench.languages import mismatch
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status
from backend_bench.writers.kernel_file import Form, Launch, NoKernel, Operation, assemble, kernels_of

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
@pytest.mark.parametrize(
    ("op", "cases"),
    [
        ("relu.default", ("((T([5], f32),), {})", "((T([17, 33], f32),), {})")),
        (
            "add_.Tensor",
            ("((T([5], f32), T([5], f32)), {})", "((T([17, 33], f32), T([17, 33], f32)), {'alpha': 2})"),
        ),
    ],
)
def test_what_inductor_writes_is_right_where_it_was_asked(
    op: str, cases: tuple[str, ...], judge: Judge
) -> None:
    """The other cases of the suite, and some draws, have forms that it was not shown, and fail with that message alone."""
    code = read_reply(Inductor().reply(asked(op, *cases)), Operator.parse(op).function).code
    assert code is not None
    spec = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    verdict = judge(Submission(op=Operator.parse(op), source=code, language="triton", suite=spec, seed=1))
    assert verdict.status is Status.WRONG, verdict
    shown = [case for case in verdict.cases if "no arguments of this form" not in case.message]
    assert shown, verdict
    assert all(case.passed for case in shown), shown


@pytest.mark.slow
def test_where_aten_does_the_work_there_is_no_kernel() -> None:
    said = Inductor().reply(asked("mm.default", "((T([5, 4], f32), T([4, 3], f32)), {})"))
    assert said == "torch.compile has no Triton kernel for `mm.default`: Inductor calls mm for it."
