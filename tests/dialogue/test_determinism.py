"""What a training loop relies on: the same in, the same out, in any process; bounded; and nothing leaks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from backend_bench.cases import Entry
from backend_bench.dialogue.feedback import feedback
from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.dialogue.prompt import Brief, prompt
from backend_bench.submission import Language
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Verdict

PROGRAM = """
import hashlib
from tests.dialogue.test_determinism import texts
print(hashlib.sha256("".join(texts()).encode()).hexdigest())
"""
ENTRY = Entry(
    op="add.Tensor",
    schema="add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    doc="Adds.",
    correctness=("((T([0, 3], f32), T([3], bf16, [2])), {'alpha': 2})", "((T([], i64), 1), {})"),
    performance=("((T([4096], f16), T([4096], f16)), {})",),
    calls=12,
    correctness_calls=(3, 4),
    performance_calls=(5,),
    tags=("pointwise",),
)


def judged(seed: int | None = None) -> Verdict:
    wrong = CaseResult(
        args="((T([5], f32),), {})",
        kind=CaseKind.CORRECTNESS,
        status=CaseStatus.WRONG,
        message="1 of 5 elements differ; worst at [1]: expected 0, got nan (tolerance 1.25e-05)",
    )
    right = CaseResult(args="((T([6], f16),), {})", kind=CaseKind.CORRECTNESS, status=CaseStatus.PASSED)
    evidence = (Evidence(rule="clock_mismatch", detail="the clock allows no less than 412 us"),)
    return Verdict(
        op="add.Tensor", language="triton", status=Status.WRONG, cases=(wrong, right), evidence=evidence, seed=seed,
        wall_s=3.25, source_sha256="feed",
    )  # fmt: skip


def texts() -> list[str]:
    languages: tuple[Language, ...] = ("triton", "pytorch")
    briefs = [
        Brief(entry=ENTRY, language=language, device="cuda", gpu={"name": "X"}) for language in languages
    ]
    return [*(prompt(brief) for brief in briefs), feedback(FeedbackInfo.of(judged(), "code"))]


def test_the_same_in_every_process() -> None:
    """Whatever the order of Python's sets is there."""

    def hashed(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert hashed("1") == hashed("2")


@pytest.mark.parametrize("secret", ["8812", "1.25e-05", "412", "3.25", "feed", "tolerance"])
def test_nothing_leaks(secret: str) -> None:
    """Neither the seed nor a tolerance, nor what the clock allows, nor how long the judge took."""
    assert secret not in feedback(FeedbackInfo.of(judged(seed=8812), "code"))


def test_a_verdict_that_differs_in_nothing_told_gives_the_same_text() -> None:
    assert feedback(FeedbackInfo.of(judged(seed=1))) == feedback(FeedbackInfo.of(judged(seed=2)))
