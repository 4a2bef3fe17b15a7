"""A language is offered where its hello-world runs; where it does not, nobody is blamed for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from backend_bench import languages
from backend_bench.judge import hello
from backend_bench.judge.judge import Judge
from backend_bench.judge.zygotes import Zygotes
from backend_bench.languages import NAMES
from backend_bench.operator import Operator
from backend_bench.submission import Language, Submission, SuiteSpec
from backend_bench.suites import open_suite
from backend_bench.verdict import Status

from ..conftest import Judge as Judging

RELU = Operator("relu")
HELION_THAT_FAILS = "import helion\n@helion.kernel()\ndef f(): pass\n"
"""It defines no function to call."""


@pytest.fixture(scope="module")
def zygotes() -> Iterator[Zygotes]:
    made = Zygotes()
    yield made
    made.close()


@pytest.fixture
def own_judge(zygotes: Zygotes) -> Iterator[Judge]:
    """One that knows nothing yet."""
    with Judge(torch.device("cpu"), zygotes) as judge:
        yield judge


def submission(language: Language, source: str | None = None, device: str = "cpu") -> Submission:
    source = languages.example(language, RELU) if source is None else source
    spec = SuiteSpec(name="smoke", device=device, dtype="float32")  # type: ignore[arg-type]
    return Submission(op=RELU, source=source or "", language=language, suite=spec, only="correctness")


def test_a_kernel_in_a_language_that_this_machine_lacks_gets_no_score(judge: Judging) -> None:
    verdict = judge(submission("cuda"))
    assert verdict.status is Status.ERROR
    assert verdict.reward is None
    assert verdict.message == (
        "language cuda is not offered on this machine: it needs a GPU; judge with --device cuda, on a host that has one"
    )


def test_a_file_in_another_language_is_refused_first(judge: Judging) -> None:
    """That is the author's fault, whatever the machine has."""
    assert judge(submission("cuda", "import torch\n")).status is Status.COMPILE_ERROR


@pytest.mark.slow
def test_a_machine_says_what_it_offers(own_judge: Judge) -> None:
    offered = own_judge.languages()
    assert list(offered) == list(NAMES)
    assert offered["pytorch"] == offered["triton"] == ""
    assert "needs a GPU" in offered["cutedsl"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import no_such_module\n",
            "ModuleNotFoundError: No module named 'no_such_module'; to have it: pip install",
        ),
        (
            "def relu__default_kernel_impl(x):\n    import torch\n    return torch.zeros_like(x)\n",
            "it gave wrong values",
        ),
        ("def relu__default_kernel_impl(x):\n    return 1\n", "it gave wrong values"),
        (
            "def relu__default_kernel_impl(x):\n    raise OSError('no libnvrtc.so')\n",
            "OSError: no libnvrtc.so",
        ),
        ("import os\ndef relu__default_kernel_impl(x):\n    os._exit(3)\n", "the worker died"),
    ],
)
def test_a_hello_world_that_fails_says_how(
    source: str, reason: str, own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hello, "example", lambda language, op: source)
    told = own_judge.languages()["helion"]
    assert told.startswith("its hello-world failed here: ")
    assert reason in told
    verdict = own_judge.judge(submission("helion", HELION_THAT_FAILS))
    assert verdict.status is Status.ERROR
    assert reason in verdict.message


def test_a_kernel_that_works_somewhere_is_its_own_proof(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for no hello-world; one that works nowhere is told where the hello-world does."""
    works = "def relu__default_kernel_impl(x):\n    return x.clamp_min(0)\n"
    monkeypatch.setattr(hello, "example", lambda language, op: "raise OSError\n")
    assert own_judge.judge(submission("pytorch", works)).status is Status.OK
    fails = "def relu__default_kernel_impl(x):\n    raise OSError\n"
    assert own_judge.judge(submission("pytorch", fails)).status is Status.ERROR
    monkeypatch.setattr(hello, "example", lambda language, op: works)
    monkeypatch.setattr(hello, "FORGET_S", 0.0)
    assert own_judge.judge(submission("pytorch", fails)).status is Status.WRONG


def test_a_failure_is_forgotten_and_a_success_is_not(
    own_judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "import no_such_module\n"
    right = "def relu__default_kernel_impl(x):\n    return x.clamp_min(0)\n"
    told = []
    for source, forget_s in ((broken, 1e9), (right, 1e9), (right, 0.0), (broken, 0.0)):
        monkeypatch.setattr(hello, "example", lambda language, op, source=source: source)
        monkeypatch.setattr(hello, "FORGET_S", forget_s)
        told.append(bool(own_judge.languages()["pytorch"]))
    assert told == [True, True, False, False]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("language", "op"), [(name, op) for name in NAMES for op in languages.examples(name)], ids=str
)
def test_every_worked_example_is_right_on_a_gpu(
    language: Language, op: Operator, dtype: str, judge: Judging
) -> None:
    smoke = SuiteSpec(name="smoke", device="cuda", dtype=dtype)
    has_it = open_suite(smoke).entry(op) is not None
    spec = smoke if has_it else dataclasses.replace(smoke, name="opinfo")
    source = languages.example(language, op)
    assert source is not None
    verdict = judge(Submission(op=op, source=source, language=language, suite=spec))
    if verdict.status is Status.ERROR and "ModuleNotFoundError" in verdict.message:
        pytest.skip(verdict.message)
    assert verdict.status is Status.OK, verdict
