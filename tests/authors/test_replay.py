"""The replaying author: version N at turn N, from a folder in BackendBench's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from backend_bench import authors
from backend_bench.authors.server import serving
from backend_bench.dialogue.reply import read_reply
from backend_bench.errors import UsageError
from backend_bench.operator import Operator

from .test_authors import after, asked

RELU = Operator("relu")


def kernel(mark: object) -> str:
    return f"def {RELU.function}(x):\n    return x  # {mark}\n"


def lay_out(root: Path, *versions: int) -> Path:
    folder = root / RELU.folder
    folder.mkdir(parents=True)
    for version in versions:
        (folder / f"{RELU.folder}_implementation_v{version}.py").write_text(kernel(version))
    return root


def said(root: Path, turns: int, op: str = "relu.default") -> str:
    return authors.named(f"builtin/replay:{root}").reply(after(asked(op), turns))


def test_version_n_at_turn_n_and_the_last_one_again(tmp_path: Path) -> None:
    """By number: ten comes after two."""
    lay_out(tmp_path, 1, 2, 10)
    codes = [read_reply(said(tmp_path, turn), RELU.function).code for turn in range(5)]
    assert [str(code).rsplit("# ", 1)[1].strip() for code in codes] == ["1", "2", "10", "10", "10"]


def test_the_kernel_arrives_as_it_lies_there(tmp_path: Path) -> None:
    """A fence in it is no end of it."""
    text = f'"""Usage:\n\n```python\n{RELU.function}(x)\n```\n"""\n\n' + kernel("é")
    lay_out(tmp_path, 1)
    (tmp_path / RELU.folder / f"{RELU.folder}_implementation_v1.py").write_text(text)
    assert read_reply(said(tmp_path, 0), RELU.function).code == text


def test_an_operator_without_a_kernel_is_told(tmp_path: Path) -> None:
    lay_out(tmp_path, 1)
    reply = said(tmp_path, 0, "add.Tensor")
    assert "I have no kernel for `add__Tensor`" in reply
    assert read_reply(reply, Operator.parse("add.Tensor").function).code is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: "", "needs a folder of kernels: builtin/replay:DIR"),
        (lambda root: root / "none", "there is no folder"),
        (lambda root: root, "holds no operator folder"),
        (lambda root: lay_out(root / "empty"), "no kernel file in any"),
    ],
)
def test_a_folder_without_kernels_is_refused_at_once(make: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        authors.named(f"builtin/replay:{make(tmp_path)}")


def test_no_other_folder_is_open_to_who_asks_the_server(tmp_path: Path) -> None:
    mine, other = lay_out(tmp_path / "mine", 1), lay_out(tmp_path / "other", 1)
    with serving(f"builtin/replay:{mine}") as url:

        def ask(model: str) -> Any:
            return httpx.post(
                f"{url}/chat/completions", json={"model": model, "messages": asked("relu.default")}
            )

        assert ask(f"builtin/replay:{mine}").status_code == ask("").status_code == 200
        for model in (f"builtin/replay:{other}", f"replay:{other}", "builtin/replay", "builtin/replay:/"):
            assert ask(model).status_code == 400
            assert "replays no other folder" in ask(model).json()["error"]["message"]
