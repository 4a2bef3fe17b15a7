"""Fifty submissions that every place must judge alike: right, wrong, crashing, hanging, cheating, and no kernel at all.

The same seed everywhere, on a CPU, so that a verdict depends on nothing but the place. `likeness` is what two places
must agree on: all of a verdict but its times.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend_bench.authors.scripted import Scripted
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

CORPUS = Path(__file__).parent / "corpus"
SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")
LIMITS = Limits(load_s=10, call_s=10, first_call_s=10, total_s=120, memory_bytes=512 << 20)
"""A busy machine is slow, and a hanging kernel is judged four times over."""
SEED = 20261127

FOLDERS = (
    "honest_add", "honest_code_writer", "honest_fallback", "honest_housekeeping", "honest_numpy", "honest_object",
    "honest_sort_by_argsort", "honest_topk", "honest_where",
    "clobbers_input", "drops_the_tail", "exits", "identity", "ignores_a_keyword", "not_in_place", "overflows",
    "closes_and_lives_on", "daemonises", "dies_at_import", "dies_in_call", "removes_the_builtins", "segfaults",
    "hangs_at_import", "hangs_in_call",
    "answers_twice", "claims_infinity", "decoy_kernel", "passthrough", "sends_garbage",
    "no_function",
)  # fmt: skip
"""Folders of the corpus whose verdict is always the same."""


@dataclass(frozen=True, slots=True)
class Case:
    """One submission, and what it must get."""

    name: str
    submission: Submission
    status: Status


def _authors() -> list[Case]:
    """What the built-in author answers first, which is wrong on purpose, and then."""
    author = Scripted("pytorch")
    return [
        Case(
            f"{folder}:{turn}",
            _submission(str(Operator.from_folder(folder)), author.kernel(folder, turn) or ""),
            status,
        )
        for folder in author.folders()
        for turn, status in (("first", Status.WRONG), ("second", Status.OK))
    ]


def _corpus() -> list[Case]:
    found = []
    for name in FOLDERS:
        expect = tomllib.loads((CORPUS / name / "expect.toml").read_text())
        source = (CORPUS / name / "kernel.py").read_text()
        submission = _submission(expect["op"], source, language=expect.get("language", "auto"))
        found.append(Case(name, submission, Status(expect["status"])))
    return found


def _submission(op: str, source: str, **more: Any) -> Submission:
    return Submission(
        op=Operator.parse(op),
        source=source,
        suite=SMOKE,
        only="correctness",
        seed=SEED,
        limits=LIMITS,
        **more,
    )


FIFTY = [*_authors(), *_corpus()]
assert len(FIFTY) == 50


def likeness(verdict: Verdict) -> dict[str, Any]:
    """What does not depend on when and where it was judged."""
    return {
        "op": verdict.op,
        "language": verdict.language,
        "status": verdict.status,
        "correctness_score": verdict.correctness_score,
        "correctness": verdict.correctness,
        "cases": [(case.args, case.kind, case.status) for case in verdict.cases],
        "rules": [evidence.rule for evidence in verdict.evidence],
        "sandbox": verdict.sandbox,
        "source_sha256": verdict.source_sha256,
    }
