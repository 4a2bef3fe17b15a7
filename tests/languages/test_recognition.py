"""A file's language is told by what it uses, not by what it mentions; a stated one is binding."""

from __future__ import annotations

import ast
from typing import Any, get_args

import pytest

from backend_bench import languages
from backend_bench.errors import UsageError
from backend_bench.languages import MOST_SOURCE_BYTES, NAMES, PLUGINS, language_of, mismatch, recognise
from backend_bench.operator import Operator
from backend_bench.submission import Language, Submission

RELU = Operator("relu")
TRITON = "import triton\n@triton.jit\ndef f(): pass\n"
CUDA = "from cuda.core import Program\nSOURCE = r'''__global__ void f() {}'''\nProgram(SOURCE, 'c++')\n"
HELION = "import helion\n@helion.kernel()\ndef f(): pass\n"
CUTEDSL = "import cutlass.cute as cute\n@cute.kernel\ndef f(): pass\n"
PYTORCH = "import torch\ndef f(x): return x.clamp_min(0)\n"

IS = {
    "plain": ("triton", TRITON),
    "under another name": ("triton", "import triton as tt\n@tt.jit\ndef f(): pass"),
    "function imported": ("triton", "from triton import jit\n@jit\ndef f(): pass"),
    "function imported under another name": ("triton", "from triton import cdiv, jit as compiled\ng = compiled(f)"),
    "in a list of imports": ("triton", "import torch, triton\nf = triton.jit(g)"),
    "in brackets": ("triton", "from triton import (  # these\n    cdiv,\n    jit as k,\n)\n@k\ndef f(): pass"),
    "over two lines": ("triton", "from triton \\\n    import jit\n@jit\ndef f(): pass"),
    "behind a semicolon": ("triton", "import torch; import triton\n@triton.jit\ndef f(): pass"),
    "behind a condition": ("triton", "if True: import triton\n@triton.jit\ndef f(): pass"),
    "inside a function": ("triton", "def g():\n\timport triton\n\treturn triton.jit(f)"),
    "everything imported": ("triton", "from triton import *\n@jit\ndef f(): pass"),
    "a blank after the at": ("triton", "import triton\n@ triton.jit\ndef f(): pass"),
    "autotuned": ("triton", "import triton\n@triton.autotune([], key=[])\n@triton.jit\ndef f(): pass"),
    "gluon": ("triton", "from triton.experimental import gluon\n@gluon.jit\ndef f(): pass"),
    "after an odd string": ("triton", 's = "\\"" \'"\'  # "\n' + TRITON),
    "after a doc that quotes": ("triton", '"""He said \\"""no\\""" and ""stayed."""\n' + TRITON),
    "wrong further down": ("triton", TRITON + "def (:\n"),
    "windows": ("triton", TRITON.replace("\n", "\r\n")),
    "in a comment": ("pytorch", "# import triton\n# @triton.jit\n" + PYTORCH),
    "in a doc": ("pytorch", f'"""No longer:\n{TRITON}"""\n' + PYTORCH),
    "in a string with an escape": ("pytorch", "s = 'it\\'s import triton; triton.jit'\n" + PYTORCH),
    "in a string that never ends": ("pytorch", PYTORCH + f'"""\n{TRITON}'),
    "imported and not used": ("pytorch", "import triton\nfrom triton import jit\n" + PYTORCH),
    "another's jit": ("pytorch", "import torch\nimport triton\n@torch.jit.script\ndef f(x): return x"),
    "a variable of that name": ("pytorch", "class triton: jit = 1\nx = self.triton.jit\n" + PYTORCH),
    "a name that goes on": ("pytorch", "import triton\ntriton.jitter(1)\ntriton_jit = 2\n"),
    "nothing": ("pytorch", ""),
    "cuda.core": ("cuda", CUDA),
    "cuda.core of before": ("cuda", CUDA.replace("cuda.core", "cuda.core.experimental")),
    "cupy": ("cuda", "import cupy as cp\nk = cp.RawKernel(r'__global__ void f() {}', 'f')"),
    "load_inline": ("cuda", "from torch.utils.cpp_extension import load_inline\nS = '__global__'\nload_inline('m', S)"),
    "load_inline by its module": ("cuda", "import torch.utils.cpp_extension as e\nS = '__global__'\ne.load_inline('m', S)"),
    "torch's own NVRTC": ("cuda", "import torch\nk = torch.cuda._compile_kernel('__global__ void f() {}', 'f')"),
    "C++ for a CPU": ("pytorch", "from torch.utils.cpp_extension import load_inline\nload_inline('m', 'int f();')"),
    "CUDA that nobody compiles": ("pytorch", "import torch\nSOURCE = '__global__ void f() {}'\n"),
    "CUDA in a comment": ("pytorch", "from cuda.core import Program\n# __global__\nProgram('int x;', 'c++')"),
    "helion": ("helion", HELION),
    "helion by its function": ("helion", "from helion import kernel\n@kernel(config=None)\ndef f(): pass"),
    "helion's words alone": ("pytorch", "import helion.language as hl\nfor i in hl.tile(3): pass\n"),
    "cute": ("cutedsl", CUTEDSL),
    "cute from cutlass": ("cutedsl", "from cutlass import cute\n@cute.kernel\ndef f(): pass"),
    "cute by its full name": ("cutedsl", "import cutlass.cute\n@cutlass.cute.kernel\ndef f(): pass"),
    "host code of cute alone": ("pytorch", "import cutlass.cute as cute\n@cute.jit\ndef f(): pass"),
}  # fmt: skip


@pytest.mark.parametrize(("language", "source"), IS.values(), ids=IS.keys())
def test_what_a_file_is_written_in(language: str, source: str) -> None:
    assert recognise(source) == language


@pytest.mark.parametrize(
    "text",
    ["\n" * 10**6, '\\"""' * 10**5, '"""' * 99_999, "import triton as a\n" * 10**5, "from x import (" * 10**5,
     "from x import *\n" * 10**5, "a." * 10**6, "(" * 10**6, " " * 10**6, "'\\\n" * 10**5, "\\" * 10**5],
    ids=lambda text: repr(text[:16]),
)  # fmt: skip
def test_a_hostile_text_takes_no_longer_than_an_honest_one(text: str) -> None:
    """It takes time in proportion: a square of these lengths would not end today."""
    assert recognise(text + "\n") == "pytorch"


def test_the_language_asked_for_is_binding() -> None:
    assert mismatch(Submission(op=RELU, source=TRITON, language="triton")) == ""
    assert mismatch(Submission(op=RELU, source=TRITON)) == ""
    for asked in ("cuda", "helion", "cutedsl"):
        told = mismatch(Submission(op=RELU, source=TRITON, language=asked))
        assert told.startswith(f"the kernel must be written in {PLUGINS[asked].title}: the file has no ")
        assert told.endswith("; it is written in Triton")
    told = mismatch(Submission(op=RELU, source=PYTORCH, language="triton"))
    assert told == "the kernel must be written in Triton: the file has no @triton.jit function"


@pytest.mark.parametrize("asked", ["triton", "cuda"])
def test_a_decoy_in_the_language_asked_for_hides_no_kernel_of_another(asked: Language) -> None:
    assert "alone: the file also has" in mismatch(Submission(op=RELU, source=TRITON + CUDA, language=asked))


@pytest.mark.parametrize("asked", ["auto", "triton"])
@pytest.mark.parametrize(
    "line",
    ["g = torch.compile(f)", "from torch import compile as c\n@c\ndef f(): pass", "g = torch.jit.script(f)"],
)
def test_a_kernel_beside_which_torch_writes_another_is_refused(asked: Any, line: str) -> None:
    source = f"import torch\n{TRITON}{line}\n"
    assert "torch.compile would write it" in mismatch(Submission(op=RELU, source=source, language=asked))
    honest = f"import torch\n{TRITON}# torch.compile is slower\nfrom torch._inductor.runtime import triton_helpers\n"
    assert mismatch(Submission(op=RELU, source=honest, language=asked)) == ""


@pytest.mark.parametrize("source", [TRITON, CUDA, HELION, CUTEDSL])
def test_pytorch_means_no_kernels(source: str) -> None:
    assert "in PyTorch alone" in mismatch(Submission(op=RELU, source=source, language="pytorch"))
    assert mismatch(Submission(op=RELU, source=PYTORCH, language="pytorch")) == ""


def test_auto_reads_the_source_and_a_stated_language_stands() -> None:
    assert language_of(Submission(op=RELU, source=CUDA)) == "cuda"
    assert language_of(Submission(op=RELU, source=CUDA, language="triton")) == "triton"


def test_what_needs_a_gpu_is_refused_without_one() -> None:
    languages.check_device("auto", "cpu")
    languages.check_device("triton", "cpu")
    with pytest.raises(UsageError, match="language cuda cannot be judged on cpu: it needs a GPU"):
        languages.check_device("cuda", "cpu")


def test_every_language_is_declared() -> None:
    assert set(NAMES) == set(get_args(Language))


@pytest.mark.parametrize("language", NAMES)
def test_every_language_has_worked_examples_in_it(language: Language) -> None:
    """One is the hello-world; a prompt for its operator shows the other."""
    operators = languages.examples(language)
    assert languages.HELLO in operators
    assert len(operators) > 1
    for op in operators:
        source = languages.example(language, op)
        assert source is not None
        assert mismatch(Submission(op=op, source=source, language=language)) == ""
        assert recognise(source) == language
        functions = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
        assert op.function in functions
    assert languages.example(language, Operator("no_such")) is None


@pytest.mark.parametrize(
    "op", ["_softmax.default", "_softmax.out", "relu_.default", "lerp.Tensor", "mean.dim"]
)
@pytest.mark.parametrize("language", languages.NAMES)
def test_the_example_beside_an_operator_is_of_another_one(op: str, language: Language) -> None:
    found = languages.example_beside(language, Operator.parse(op))
    assert found is not None
    shown, code = found
    assert shown.base != Operator.parse(op).base.rstrip("_")
    assert f"def {shown.function}(" in code
    assert languages.recognise(code) == language


def test_a_file_that_no_message_holds_is_refused_with_its_length() -> None:
    written = "def relu__default_kernel_impl(x): ...\n"
    for spare, is_refused in ((0, False), (1, True)):
        source = written + "#" * (MOST_SOURCE_BYTES - len(written) + spare)
        why = mismatch(Submission(op=Operator("relu"), source=source, language="pytorch"))
        assert ("the file has 2,097,153 bytes; at most 2,097,152 are judged" in why) == is_refused
