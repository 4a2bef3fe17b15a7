"""The kernels of a run as a folder that `grade`, `install` and BackendBench's directory loader read. Copies; never judges."""

from __future__ import annotations

import json
from pathlib import Path

from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.records import verdict_json
from backend_bench.report.runs import Recorded, Turn, best_of


def export(run: Recorded, target: Path, *, wrong_too: bool = False) -> list[str]:
    """Write the best kernel of each operator to `target`, an empty or new folder; returns the operators.

    Only right ones, unless `wrong_too`; never one that was called cheated.
    Raises `UsageError` where there is nothing to export, or where `target` holds something.
    """
    chosen = {op: turn for op in run.operators if (turn := _best(run, op, wrong_too)) is not None}
    if not chosen:
        raise UsageError(f"{run.path} holds no kernel to export; {_why(run, wrong_too)}")
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise UsageError(f"{target} is not empty; export to a new folder")
        for op, turn in chosen.items():
            _write(target, Operator.parse(op), turn)
    except OSError as error:
        raise UsageError(f"cannot write kernels to {target}: {error}") from error
    return list(chosen)


def _best(run: Recorded, op: str, wrong_too: bool) -> Turn | None:
    turns = [
        turn
        for rollout in run.of(op)
        for turn in rollout.turns
        if turn.code is not None and turn.outcome != "cheated" and (turn.right or wrong_too)
    ]
    return best_of(turns) if turns else None


def _why(run: Recorded, wrong_too: bool) -> str:
    if all(turn.code is None for rollout in run.rollouts for turn in rollout.turns):
        return "the text of its kernels was not kept"
    return "every one was called cheated" if wrong_too else "none is right (--wrong-too takes the others)"


def _write(target: Path, op: Operator, turn: Turn) -> None:
    stem = target / op.folder / f"{op.folder}_implementation_v1"
    stem.parent.mkdir()
    stem.with_name(f"{stem.name}.py").write_text(turn.code or "", encoding="utf-8")
    if turn.verdict is not None:
        record = json.dumps(verdict_json(turn.verdict), indent=2, allow_nan=False)
        stem.with_name(f"{stem.name}.verdict.json").write_text(record + "\n", encoding="utf-8")
