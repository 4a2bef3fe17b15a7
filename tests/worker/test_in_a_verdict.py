"""The sandbox as a verdict knows it: a real judge, a real worker, and a kernel that looks for what it must not find."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from backend_bench.judge.judge import Judge
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Sandbox, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

pytestmark = pytest.mark.slow

SECRET = "hunter2-of-the-judge"
NAMES = ("OPENAI_API_KEY", "BACKEND_BENCH_TOKEN", "HF_HOME", "TORCH_SECRET", "XDG_SECRET")
"""A client's key, a service's token, and names that a service may see and a worker may not."""
SEARCH = f"""
import glob
import os

import torch

FOUND = [name for name, value in os.environ.items() if {SECRET[:7]!r} + {SECRET[7:]!r} in value]
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/*/task/*/environ"):
    try:
        if ({SECRET[:7]!r} + {SECRET[7:]!r}).encode() in open(path, "rb").read():
            FOUND.append(path)
    except OSError:
        continue


def relu__default_kernel_impl(x):
    if FOUND:
        raise RuntimeError(f"found in {{FOUND}}")
    return torch.clamp_min(x, 0)
"""
RIGHT = "import torch\n\n\ndef relu__default_kernel_impl(x):\n    return torch.clamp_min(x, 0)\n"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """One whose own environment, and that of its zygotes' parent, holds the secret."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setenv(name, SECRET)
        zygotes = Zygotes()
        with Judge(torch.device("cpu"), zygotes) as judge:
            yield judge
        zygotes.close()


def _judged(judge: Judge, source: str, sandbox: Sandbox = "best-effort") -> Verdict:
    return judge.judge(
        Submission(
            op=Operator("relu"),
            source=source,
            suite=SuiteSpec(name="smoke", device="cpu", dtype="float32"),
            only="correctness",
            sandbox=sandbox,
        )
    )


def test_a_secret_of_the_judge_or_its_client_is_out_of_reach(judge: Judge) -> None:
    assert os.environ["OPENAI_API_KEY"] == SECRET
    verdict = _judged(judge, SEARCH)
    assert verdict.status is Status.OK, verdict.message


def test_without_a_sandbox_the_environment_is_an_allow_list_all_the_same(judge: Judge) -> None:
    """The neighbours' is not: that is what `off` means."""
    verdict = _judged(judge, SEARCH.replace("for path in glob", "for path in [] and glob"), "off")
    assert verdict.status is Status.OK, verdict.message


def test_a_verdict_says_which_walls_stood(judge: Judge) -> None:
    verdict = _judged(judge, RIGHT)
    assert {"session", "no-new-privs"} <= set(verdict.sandbox)
    assert not any("switched off" in wall for wall in verdict.sandbox)


def test_a_verdict_says_that_there_was_no_sandbox(judge: Judge) -> None:
    verdict = _judged(judge, RIGHT, "off")
    assert verdict.sandbox[:2] == ("session", "rlimits")
    assert any(wall.startswith("missing: sandbox: switched off") for wall in verdict.sandbox)


def test_required_means_all_of_it_or_an_error_of_ours(judge: Judge) -> None:
    verdict = _judged(judge, RIGHT, "required")
    walls = {"pid-namespace", "net-namespace", "ipc-namespace", "mount-view", "rlimits", "capabilities", "no-new-privs",
             "seccomp", "no-sockets"}  # fmt: skip
    if verdict.status is Status.ERROR:
        assert "the sandbox is required" in verdict.message
        assert verdict.reward is None
    else:
        assert verdict.status is Status.OK
        assert walls <= set(verdict.sandbox)
