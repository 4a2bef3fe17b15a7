"""From a real verdict to feedback: the judge's words and the values that it kept are understood."""

from __future__ import annotations

from backend_bench.dialogue.feedback import feedback
from backend_bench.dialogue.feedback_info import FeedbackInfo
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from tests.conftest import Judge

WRONG = "def relu__default_kernel_impl(x):\n    return x * (x > 0)\n"


def test_a_usual_mistake_is_shown_with_its_values(judge: Judge) -> None:
    """-inf times 0 is NaN: the example is of a draw that holds one, in the place of a number."""
    suite = SuiteSpec(name="smoke", device="cpu", dtype="float32")
    verdict = judge(Submission(op=Operator("relu"), source=WRONG, suite=suite, only="correctness", seed=7))
    told = feedback(FeedbackInfo.of(verdict, WRONG))
    assert "nan in the place of a number in output 0" in told
    assert "-inf" in told.split("expected, from", 1)[0], "the input that did it"
    assert "in a form that is not listed" in told
    assert "tolerance" not in told
    assert "called as" not in told
