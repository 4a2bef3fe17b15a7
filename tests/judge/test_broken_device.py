"""A fault of ours that breaks a GPU's context ends the judge, and an index out of bounds never gets that far."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.grading.running import Unjudgeable, run_reference
from backend_bench.judge import cores, desk, requests
from backend_bench.judge.desk import Desk
from backend_bench.judge.devices import is_broken

aten = torch.ops.aten
BREAK = """
import torch
from backend_bench.judge.devices import is_broken
device = torch.device("cuda", 0)
assert not is_broken(device)
x = torch.zeros(4, device=device)
assert not is_broken(device)
x[torch.tensor([9], device=device)]
try:
    torch.cuda.synchronize()
except RuntimeError:
    assert is_broken(device)
    print("broken")
"""


class Ended(BaseException):
    """In place of the end of the process."""


def test_a_judge_with_a_broken_device_ends_before_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def end(why: str) -> None:
        said.append(why)
        raise Ended

    monkeypatch.setattr(desk, "end_process", end)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        zygotes = SimpleNamespace(of=lambda kind: SimpleNamespace(mode="fork"))
        made = Desk(theirs, zygotes, cores.UNDIVIDED)  # type: ignore[arg-type]
        made._judges["cuda:0"] = None  # type: ignore[assignment]
        question = requests.Question(1, requests.WarmUp())
        made._answer(question)
        assert requests.answered(ours.recv(1 << 16)).number == 1
        monkeypatch.setattr(desk, "is_broken", lambda device: device.type == "cuda")
        with pytest.raises(Ended):
            made._answer(question)
        theirs.close()
        assert ours.recv(1) == b""
    assert said == ["the context on cuda:0 is broken after: WarmUp"]


def test_a_cpu_does_not_break() -> None:
    assert not is_broken(torch.device("cpu"))


@pytest.mark.gpu
def test_a_broken_context_is_seen() -> None:
    done = subprocess.run([sys.executable, "-c", BREAK], capture_output=True, text=True)
    assert done.stdout == "broken\n", done.stderr


@pytest.mark.gpu
def test_an_index_out_of_bounds_is_refused_and_breaks_nothing() -> None:
    target, places = torch.zeros(9, device="cuda"), torch.tensor([-14], device="cuda")
    with pytest.raises(Unjudgeable, match="out of range"):
        run_reference(aten.take.default, Call((target, places)))
    assert run_reference(aten.take.default, Call((target, places + 10))).result.tolist() == [0.0]
