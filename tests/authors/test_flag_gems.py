"""Kernels of an installed flag-gems become kernel files: of a small package that is laid out as the real one is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from backend_bench.authors import flag_gems, named
from backend_bench.authors.author import Answer, Request
from backend_bench.authors.flag_gems import Function
from backend_bench.errors import UsageError
from backend_bench.languages import recognise
from backend_bench.operator import Operator

FILES = {
    "__init__.py": """
from flag_gems.fused import *
from flag_gems.ops import *

raise RuntimeError("flag-gems does not like it here")
_FULL_CONFIG = (
    ("relu", relu),
    ("add.Tensor", add),
    ("add_.Tensor", add_, lambda: version.parse(torch.__version__) >= version.parse("2.4")),
    # ("contiguous", contiguous),
    ("log_softmax.int", log_softmax),
    ("zeros_like", zeros_like),
    ("exp", odd),
    ("mm", ops.mm),
    ("mv",),
    *MORE,
)
""",
    "fused/__init__.py": "from flag_gems.fused.relu import relu\n",
    "fused/relu.py": "raise ImportError('not the one')\n",
    "ops/__init__.py": """
from flag_gems.ops.add import add, add_ as add_
from flag_gems.ops.relu import relu
from .log import log_softmax
from .zeros import zeros_like
from .odd import odd
""",
    "ops/relu.py": '''"""Rectifies."""
from __future__ import annotations

import triton
from .helper import offset
from ..names import NAME


@triton.jit
def relu_kernel(x):
    pass


def relu(x):
    return NAME, offset, x
''',
    "ops/helper.py": "offset = 3\n",
    "names.py": "NAME = 'relu of flag-gems'\n",
    "ops/add.py": "import triton\n\n@triton.jit\ndef kernel(x):\n    pass\n\ndef add(x, y, *, alpha=1):\n    return x + alpha * y\n\ndef add_(x, y):\n    return x\n",
    "ops/log/__init__.py": "import triton\nfrom .part import text\n\n@triton.jit\ndef kernel(x):\n    pass\n\ndef log_softmax(x):\n    return text\n",
    "ops/log/part.py": "text = 'log'\n",
    "ops/odd.py": "@staticmethod\ndef first():\n    pass\n\nimport triton\nfrom  .helper import (\n    offset,\n)\n\f\n@triton.jit\ndef kernel(x):\n    pass\n\ndef odd(x):\n    return offset\n",
    "ops/zeros.py": "def zeros_like(x):\n    return 0 * x\n",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flag-gems that may be read, and must not be imported before a kernel is."""
    for name, text in FILES.items():
        file = tmp_path / "flag_gems" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "flag_gems"


def answer(op: str) -> Answer:
    return named("builtin/flag-gems").answer(Request(Operator.parse(op).folder, turn=0, said=""))


def loaded(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The kernel file, imported where flag-gems likes to be."""
    (folder / "__init__.py").write_text("")
    file = folder.parent / "kernel.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location("kernel", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setenv("GEMS_VENDOR", "another")
    monkeypatch.delenv("GEMS_VENDOR")  # and what the kernel sets is undone
    try:
        spec.loader.exec_module(module)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "flag_gems"]:
            del sys.modules[name]
    return module


@pytest.mark.usefixtures("installed")
def test_operators_are_those_that_it_registers() -> None:
    """Which function of which file that is says what is imported last."""
    author = named("builtin/flag-gems")
    assert isinstance(author, flag_gems.FlagGems)
    assert author.functions == {
        "relu.default": Function("flag_gems.ops.relu", "relu"),
        "add.Tensor": Function("flag_gems.ops.add", "add"),
        "add_.Tensor": Function("flag_gems.ops.add", "add_"),
        "log_softmax.int": Function("flag_gems.ops.log", "log_softmax"),
        "zeros_like.default": Function("flag_gems.ops.zeros", "zeros_like"),
        "exp.default": Function("flag_gems.ops.odd", "odd"),
    }


def test_a_kernel_file_is_the_file_of_the_operator(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = answer("relu").code
    assert code is not None
    assert recognise(code) == "triton"
    assert "def relu_kernel(x):" in code
    kernel = loaded(code, installed, monkeypatch)
    assert kernel.relu__default_kernel_impl(5) == ("relu of flag-gems", 3, 5)
    assert kernel.__doc__ == "Rectifies."
    assert kernel.os.environ["GEMS_VENDOR"] == "nvidia"


def test_arguments_are_handed_on(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = loaded(str(answer("add.Tensor").code), installed, monkeypatch)
    assert kernel.add__Tensor_kernel_impl(1, 2, alpha=10) == 21


def test_a_file_may_be_a_folder(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = loaded(str(answer("log_softmax.int").code), installed, monkeypatch)
    assert kernel.log_softmax__int_kernel_impl(0) == "log"


def test_a_file_may_begin_and_import_in_any_way(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = loaded(str(answer("exp").code), installed, monkeypatch)
    assert kernel.exp__default_kernel_impl(0) == 3


def test_what_cannot_be_named_in_full_is_refused(installed: Path) -> None:
    (installed / "ops" / "odd.py").write_text(
        "import triton\nfrom \\\n    .helper import offset\n\n@triton.jit\ndef kernel(x):\n    pass\n"
    )
    with pytest.raises(
        UsageError, match=r"odd\.py cannot be made a kernel file: from \.helper import offset"
    ):
        answer("exp")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("mm", "registers no kernel for `mm.default`"),
        ("zeros_like", "`flag_gems.ops.zeros` defines no kernel"),
    ],
)
def test_what_it_has_no_kernel_for_is_told(op: str, words: str) -> None:
    said = answer(op)
    assert said.code is None
    assert words in said.words


def test_without_it_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs flag-gems .* pip install --no-deps flag-gems sqlalchemy"):
        named("builtin/flag-gems")


def test_another_layout_is_refused(installed: Path) -> None:
    (installed / "__init__.py").write_text("OPERATORS = ()\n")
    with pytest.raises(UsageError, match="has no _FULL_CONFIG"):
        named("builtin/flag-gems")
