"""A model on kernels is compared with itself on ATen, and what is wrong is found and named."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from typer.testing import CliRunner

from backend_bench import cli, model_check
from backend_bench.authors.scripted import Scripted
from backend_bench.errors import UsageError
from backend_bench.model_check import _error
from backend_bench.recording import libraries, manifest

RELU = """
def relu__default_kernel_impl(x):
    return x.clamp_min(0)
"""
LEAKY = """
import torch
def relu__default_kernel_impl(x):
    return torch.where(x > 0, x, x * 0.01)
"""
FIRST_OF_EQUALS = """
import torch
def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    values, order = torch.sort(x, dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k).contiguous(), order.narrow(dim, 0, k).contiguous()
"""
LAST_OF_EQUALS = """
import torch
def topk__default_kernel_impl(x, k, dim=-1, largest=True, sorted=True):
    values, order = torch.sort(x.flip(dim), dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k).contiguous(), (x.shape[dim] - 1 - order).narrow(dim, 0, k).contiguous()
"""
TIES = torch.arange(8.0).repeat(2)
ANOTHER_OF_EQUALS = FIRST_OF_EQUALS if torch.topk(TIES, 3).indices[2] >= 8 else LAST_OF_EQUALS
"""Than ATen's; nobody promises which that is."""
NEARLY_LARGEST = LAST_OF_EQUALS.replace("narrow(dim, 0, k)", "narrow(dim, 1, k)")
RAISES = """
def relu__default_kernel_impl(x):
    raise ValueError("mine")
"""
FLAT = """
def relu__default_kernel_impl(x):
    return x.clamp_min(0).flatten()
"""
ADD = """
import torch
def add__Tensor_kernel_impl(x, y, *, alpha=1):
    return torch.sub(x, y, alpha=-alpha)
"""
TRITON_RELU = """
import torch
import triton
import triton.language as tl

@triton.jit
def relu(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n)
    tl.store(y + at, tl.where(value <= 0, 0, value), mask=at < n)

def relu__default_kernel_impl(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    relu[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y
"""
NETWORK = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(8, 16), torch.nn.Linear(16, 4)
        self.noise = torch.nn.Dropout(0.5)

    def forward(self, x):
        hidden = torch.relu(self.first(x)) + 1
        return {"scores": self.last(self.noise(hidden)), "norm": hidden.square().mean()}

def net():
    return Net(), torch.randn(4, 8)

class Ties(torch.nn.Module):
    # The largest of two lists that begin as the same: whose value is taken decides whose parameter learns.
    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.arange(8.0))
        self.other = torch.nn.Parameter(torch.arange(8.0))

    def forward(self, x):
        return torch.topk(torch.cat([self.one, self.other]), 3).values + x.relu().sum()

def ties():
    return Ties(), torch.randn(4, 8)

def silent():
    return torch.nn.Linear(2, 2).requires_grad_(False), torch.randn(1, 2)

def function():
    return torch.relu, torch.randn(2)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model of one's own; kernels go to `kernels`."""
    (tmp_path / "own_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    return tmp_path


def put(place: Path, **kernels: str) -> Path:
    for op, code in kernels.items():
        (place / "kernels" / op).mkdir(parents=True, exist_ok=True)
        (place / "kernels" / op / f"{op}_implementation_v1.py").write_text(code)
    return place / "kernels"


def check(folder: Path, source: str = "own_network:net", **more: object) -> model_check.Check:
    step = manifest.step({"mode": "training", "batch": 2, "length": 8, **more.pop("step", {})})  # type: ignore[dict-item]
    model = manifest.model(name="", source=source, steps=[step], config=more.pop("config", {}))
    return model_check.check(model, step, folder, device="cpu", repeat=1, **more)  # type: ignore[arg-type]


def test_right_kernels_give_the_models_outputs_and_gradients(place: Path) -> None:
    found = check(put(place, relu__default=RELU, add__Tensor=ADD))
    assert found.right
    assert {(row.kind, row.name) for row in found.compared} == {
        ("output", "scores"), ("output", "norm"),
        ("gradient", "first.weight"), ("gradient", "first.bias"),
        ("gradient", "last.weight"), ("gradient", "last.bias"),
    }  # fmt: skip
    rows = {row.op: row for row in found.called}
    assert (rows["relu.default"].calls, rows["relu.default"].served) == (1, 1)
    assert rows["relu.default"].kernel is not None
    assert rows["addmm.default"].kernel is None
    assert found.served == rows["relu.default"].served + rows["add.Tensor"].served
    assert len(found.aten_ms) == len(found.kernels_ms) == 1


def test_a_wrong_kernel_is_found_and_named(place: Path) -> None:
    found = check(put(place, relu__default=LEAKY, add__Tensor=ADD))
    assert not found.right
    assert list(found.alone) == ["relu.default"]
    assert not found.kernels_ms, "wrong kernels are not timed"


def test_another_choice_among_equals_is_explained_and_right(place: Path) -> None:
    folder = put(place, topk__default=ANOTHER_OF_EQUALS, relu__default=RELU)
    found = check(folder, "own_network:ties")
    assert not all(row.right for row in found.compared)
    assert list(found.explained) == list(found.alone) == ["topk.default"]
    assert "each of its 1 calls is right" in found.explained["topk.default"]
    assert found.right


def test_what_is_wrong_in_a_call_is_not_explained(place: Path) -> None:
    found = check(put(place, topk__default=NEARLY_LARGEST), "own_network:ties")
    assert list(found.alone) == ["topk.default"]
    assert not found.explained
    assert not found.right


def test_an_explained_kernel_does_not_excuse_another(place: Path) -> None:
    found = check(put(place, topk__default=ANOTHER_OF_EQUALS, relu__default=LEAKY), "own_network:ties")
    assert set(found.alone) == {"topk.default", "relu.default"}
    assert not found.explained
    assert not found.right


@pytest.mark.parametrize(
    ("code", "why"),
    [(RAISES, r"ValueError: mine \(in the kernel of relu.default"), (FLAT, r"outside of them")],
)
def test_a_kernel_that_stops_the_model_is_named(place: Path, code: str, why: str) -> None:
    found = check(put(place, relu__default=code, add__Tensor=ADD))
    assert not found.right
    assert re.search(why, found.failure)
    assert list(found.alone) == ["relu.default"]


def test_a_tolerance_of_ones_own(place: Path) -> None:
    folder = put(place, relu__default=LEAKY)
    assert check(folder, tolerance=10.0).right
    assert not check(folder, tolerance=0.0).right


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("own_network:silent", "nothing that depends on a parameter"),
        ("own_network:function", "torch.nn.Module with parameters"),
    ],
)
def test_what_cannot_be_checked_says_why(place: Path, source: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check(put(place, relu__default=RELU), source)


@pytest.mark.slow
def test_triton_kernels_run_interpreted_on_a_cpu(place: Path) -> None:
    """In a process of its own: once triton interprets, it interprets for all."""
    pytest.importorskip("triton")
    folder = put(place, relu__default=TRITON_RELU)
    arguments = ["check-model", "own_network:net", str(folder), "--device", "cpu", "--repeat", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "backend_bench.cli", *arguments, "--json", "-"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["interpreted"]
    assert {row["op"]: row["served"] for row in found["operators"]}["relu.default"] == 1


@pytest.mark.parametrize(
    ("language", "device"), [("pytorch", "cpu"), pytest.param("triton", "cuda", marks=pytest.mark.gpu)]
)
def test_every_operator_of_smoke_serves_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str, device: Literal["cpu", "cuda"]
) -> None:
    """The network in benchmarks/ calls all ten, and the built-in author has right kernels of them."""
    root = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    author = Scripted(language)
    for folder in author.folders():
        put(tmp_path, **{folder: author.kernel(folder, "second") or ""})
    step = manifest.step({"mode": "training"})
    model = manifest.model(name="", source="ten_operators:build", steps=[step])
    found = model_check.check(model, step, tmp_path / "kernels", device=device, repeat=1)
    assert found.right, (found.failure, found.alone)
    assert sum(row.served > 0 for row in found.called if row.kernel) == 10


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_of_transformers_is_small_unless_told(place: Path, dtype: str) -> None:
    step = manifest.step({"mode": "training", "dtype": dtype, "batch": 2, "length": 8})
    source = "transformers:LlamaForCausalLM"
    model = manifest.model(name="", source=source, steps=[step], config={"num_hidden_layers": 1})
    small = libraries.small(model)
    assert small.config["num_hidden_layers"] == 1
    found = model_check.check(small, step, put(place, add__Tensor=ADD), device="cpu", repeat=1)
    assert found.right
    assert found.parameters < 200_000
    assert found.dtype == dtype
    assert {"logits", "loss"} <= {row.name for row in found.compared if row.kind == "output"}


@pytest.mark.parametrize(
    ("reference", "found", "error"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 1e-9], math.inf),
        ([math.nan, 2.0], [0.0, 2.0], math.inf),
        ([math.nan, 2.0], [math.nan, 1.0], 0.5),
        ([math.inf, 2.0], [math.inf, 2.0], 0.0),
        ([math.inf, 2.0], [-math.inf, 2.0], math.inf),
        ([1.0, 2.0], [math.inf, 2.0], math.inf),
        ([], [], 0.0),
    ],
)
def test_an_error_is_a_share_of_the_largest_value(
    reference: list[float], found: list[float], error: float
) -> None:
    assert _error(torch.tensor(reference), torch.tensor(found), 0.0) == error


def test_faint_gradients_are_held_to_a_share_of_the_largest() -> None:
    """The bias of a key has the gradient zero, and rounding makes noise of it."""
    assert _error(torch.tensor([0.0]), torch.tensor([1e-9]), 1e-3) == pytest.approx(1e-6)
    assert _error(torch.ones(2), torch.ones(3), 0.0) == math.inf


def test_the_command_says_all_and_ends_as_found(place: Path) -> None:
    folder = put(place, relu__default=RELU)
    arguments = ["check-model", "own_network:net", str(folder), "--device", "cpu", "--repeat", "1"]
    done = CliRunner().invoke(cli.app, [*arguments, "--json", "check.json"])
    assert done.exit_code == 0, done.output
    assert "6 of 6 outputs and gradients as ATen's; kernels answered 1 calls" in done.output
    written = json.loads(Path("check.json").read_text())
    assert written["right"]
    assert {row["op"] for row in written["operators"]} >= {"relu.default", "addmm.default"}
    ties = ["check-model", "own_network:ties", str(put(place / "ties", topk__default=ANOTHER_OF_EQUALS))]
    right = CliRunner().invoke(cli.app, [*ties, "--device", "cpu", "--repeat", "1"])
    assert right.exit_code == 0, right.output
    assert "right, and not as ATen: topk.default: " in right.output
    put(place, relu__default=LEAKY)
    wrong = CliRunner().invoke(cli.app, arguments)
    assert wrong.exit_code == 1
    assert "wrong alone: relu.default: " in wrong.output


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--config", "{"], "no JSON object"),
        (["--tolerance", "-1"], "--tolerance"),
        (["--repeat", "0"], "--repeat"),
        (["--device", "tpu"], "unknown device"),
        (["--dtype", "int8"], "dtype"),
    ],
)
def test_wrong_usage_ends_with_two(place: Path, more: list[str], why: str) -> None:
    folder = put(place, relu__default=RELU)
    done = CliRunner().invoke(
        cli.app, ["check-model", "own_network:net", str(folder), "--device", "cpu", *more]
    )
    assert done.exit_code == 2
    assert why in done.output


def test_kernels_of_which_none_is_called_are_no_check(place: Path) -> None:
    code = "def cumsum__default_kernel_impl(x, dim, *, dtype=None):\n    return x\n"
    folder = put(place, cumsum__default=code)
    done = CliRunner().invoke(cli.app, ["check-model", "own_network:net", str(folder), "--device", "cpu"])
    assert done.exit_code == 2
    assert "calls none of the operators" in done.output
