"""Installed kernels serve every model of the process, and only inside their context."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import backend_bench
from backend_bench.errors import UsageError

RELU = """
import torch
def relu__default_kernel_impl(x):
    return torch.relu(x) + 1  # what it calls itself is ATen's
"""
ADD = """
import torch
def add__Tensor_kernel_impl(x, y, *, alpha=1):
    return torch.sub(x, y, alpha=-alpha)
"""
IN_PLACE = """
def add___Tensor_kernel_impl(x, y, *, alpha=1):
    return x.copy_(x.sub(y, alpha=-alpha))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for op, code in {"relu__default": RELU, "add__Tensor": ADD, "add___Tensor": IN_PLACE}.items():
        (tmp_path / op).mkdir()
        (tmp_path / op / f"{op}_implementation_v1.py").write_text(code)
    return tmp_path


def test_a_model_runs_on_the_kernels_and_then_on_aten_again(folder: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU())
    x = torch.randn(2, 3)
    plain = model(x)
    with backend_bench.install(folder, device="cpu") as installed:
        served = model(x)
    assert torch.equal(served, plain + 1)
    assert installed.calls == {"relu.default": 1}
    assert torch.equal(model(x), plain)


def test_a_kernels_own_calls_run_on_aten(folder: Path) -> None:
    """relu's kernel calls relu and add: neither comes back to an installed kernel, and nothing recurs."""
    with backend_bench.install(folder, device="cpu") as installed:
        assert torch.relu(torch.tensor([-1.0, 2.0])).tolist() == [1.0, 3.0]
    assert installed.calls == {"relu.default": 1}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int64])
@pytest.mark.parametrize("shape", [(3,), ()])
@pytest.mark.parametrize("number", [2, 1.5])
def test_numbers_promote_in_a_kernel_as_they_do_elsewhere(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...], number: float
) -> None:
    (tmp_path / "add__Tensor").mkdir()
    code = "import torch\ndef add__Tensor_kernel_impl(x, y, *, alpha=1):\n    return torch.add(x, y, alpha=alpha)\n"
    (tmp_path / "add__Tensor" / "k.py").write_text(code)
    x = torch.ones(shape, dtype=dtype)
    expected = x + number
    with backend_bench.install(tmp_path, device="cpu"):
        result = x + number
    assert result.dtype == expected.dtype
    assert torch.equal(result, expected)


def test_gradients_keep_atens_formulas(folder: Path) -> None:
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    y = torch.tensor([1.0, 1.0], requires_grad=True)
    with backend_bench.install(folder, device="cpu") as installed:
        torch.add(x, y, alpha=3).sum().backward()
    assert installed.calls == {"add.Tensor": 1}
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.tolist(), y.grad.tolist()) == ([1.0, 1.0], [3.0, 3.0])


def test_an_operator_in_place_changes_its_input(folder: Path) -> None:
    x = torch.ones(3)
    with backend_bench.install(folder, device="cpu") as installed:
        x += 2
    assert x.tolist() == [3.0, 3.0, 3.0]
    assert installed.calls == {"add_.Tensor": 1}


def test_a_kernel_that_raises_is_not_replaced_in_silence(tmp_path: Path) -> None:
    (tmp_path / "relu__default").mkdir()
    (tmp_path / "relu__default" / "k.py").write_text(
        "def relu__default_kernel_impl(x):\n    raise ValueError('mine')\n"
    )
    x = torch.ones(2)
    with backend_bench.install(tmp_path, device="cpu"):
        with pytest.raises(ValueError, match="mine"):
            torch.relu(x)
        with pytest.raises(ValueError, match="mine"):
            torch.relu(x)
    assert torch.relu(x).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("relu__default", "1 / 0", "cannot be imported: ZeroDivisionError"),
        ("relu__default", "x = 1", "defines no function relu__default_kernel_impl"),
        ("no_such_operator__default", "def no_such_operator__default_kernel_impl(): ...", "has no operator"),
        ("linear__default", "def linear__default_kernel_impl(): ...", "made of other operators"),
    ],
)
def test_what_cannot_be_installed_is_said(tmp_path: Path, name: str, code: str, why: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "k.py").write_text(code)
    with pytest.raises(UsageError, match=why), backend_bench.install(tmp_path, device="cpu"):
        pass
    assert torch.relu(torch.ones(1)).item() == 1.0


def test_only_the_operators_that_were_named_are_served(folder: Path) -> None:
    with backend_bench.install(folder, device="cpu", ops=["relu"]) as installed:
        assert (torch.relu(torch.tensor([-1.0])) + 1).tolist() == [2.0]
    assert installed.calls == {"relu.default": 1}
    with (
        pytest.raises(UsageError, match=r"no kernel of mm\.default"),
        backend_bench.install(folder, device="cpu", ops=["mm"]),
    ):
        pass


def test_an_exception_names_its_kernel(tmp_path: Path) -> None:
    (tmp_path / "relu__default").mkdir()
    (tmp_path / "relu__default" / "k.py").write_text("def relu__default_kernel_impl(x):\n    return 1 / 0\n")
    with backend_bench.install(tmp_path, device="cpu"), pytest.raises(ZeroDivisionError) as caught:
        torch.relu(torch.ones(1))
    assert caught.value.__notes__ == [f"in the kernel of relu.default, {tmp_path / 'relu__default' / 'k.py'}"]
