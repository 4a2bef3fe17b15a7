"""Every folder of the corpus gets the verdict that it expects, through the real judge and the real wall.

A cheat or a crash that is found becomes a folder here before it is fixed.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from backend_bench.operator import Operator
from backend_bench.records import verdict_json
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

from .conftest import Judge

CORPUS = sorted(path.parent for path in (Path(__file__).parent / "corpus").glob("*/expect.toml"))
IMPATIENT = Limits(load_s=3, call_s=3, first_call_s=3, total_s=90, memory_bytes=512 << 20)
PATIENT = Limits(load_s=20, call_s=5, first_call_s=20, total_s=60)
"""On a GPU a first call compiles."""


def _expectations() -> list[Any]:
    """The corpus; what needs a GPU is marked so."""
    found = []
    for folder in CORPUS:
        expect = tomllib.loads((folder / "expect.toml").read_text())
        marks = [pytest.mark.gpu] if expect.get("device") == "cuda" else []
        marks += [pytest.mark.slow] if expect.get("slow") else []
        found.append(pytest.param(folder, expect, id=folder.name, marks=marks))
    return found


@pytest.mark.parametrize(("folder", "expect"), _expectations())
def test_a_kernel_of_the_corpus_gets_its_verdict(folder: Path, expect: dict[str, Any], judge: Judge) -> None:
    for _ in range(expect.get("times", 1)):
        verdict = judge(_submission(folder, expect))
    needs = expect.get("needs")
    if needs and needs not in verdict.sandbox:
        pytest.skip(f"this machine's sandbox has no {needs}")
    _compare(verdict, expect)


@pytest.mark.slow
def test_after_all_of_them_an_honest_kernel_is_still_judged_right(judge: Judge) -> None:
    folder = Path(__file__).parent / "corpus" / "honest_where"
    assert judge(_submission(folder, {"op": "relu.default"})).status is Status.OK


@pytest.mark.gpu
def test_after_all_of_them_an_honest_gpu_kernel_is_still_judged_right(judge: Judge) -> None:
    folder = Path(__file__).parent / "corpus" / "gpu_honest_relu"
    expect = {"op": "relu.default", "device": "cuda", "language": "triton"}
    assert judge(_submission(folder, expect)).status is Status.OK


def _suite(name: Any, device: Any) -> SuiteSpec:
    """On real shapes in the dtypes that were recorded where it is torchbench."""
    return SuiteSpec(name=name, device=device, dtype=None if name == "torchbench" else "float32")


def _submission(folder: Path, expect: dict[str, Any]) -> Submission:
    device = expect.get("device", "cpu")
    return Submission(
        op=Operator.parse(expect["op"]),
        source=(folder / "kernel.py").read_text(),
        language=expect.get("language", "auto"),
        suite=_suite(expect.get("suite", "smoke"), device),
        only=expect.get("only"),
        limits=IMPATIENT if device == "cpu" else PATIENT,
    )


def _compare(verdict: Verdict, expect: dict[str, Any]) -> None:
    status = expect["status"]
    assert verdict.status in ([status] if isinstance(status, str) else status), verdict
    if "rule" in expect:
        assert expect["rule"] in {evidence.rule for evidence in verdict.evidence}, verdict
    if "message" in expect:
        said = verdict.message + "".join(case.message for case in verdict.cases)
        assert expect["message"] in said
    if "speedup_below" in expect and verdict.performance_score is not None:
        assert verdict.performance_score < expect["speedup_below"]
    if "verdict_below_bytes" in expect:
        text = json.dumps(verdict_json(verdict))
        assert len(text) < expect["verdict_below_bytes"]
    if expect.get("printable"):
        said = verdict.message + "".join(case.message for case in verdict.cases)
        assert all(character.isprintable() or character in "\n\t" for character in said)
    if verdict.status is not Status.OK and verdict.only is None:
        assert verdict.reward is not None
        assert verdict.reward <= 1
