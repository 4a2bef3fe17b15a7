"""A run read back, whatever it was kept in: a folder of `eval`, or the JSON of `grade` and `selfcheck`.

Reads and orders; never judges. A verdict of `grade` stands here as a rollout of one turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.records import Run, read_verdict
from backend_bench.verdict import Status, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One kernel that was submitted, or a reply that held none."""

    number: int
    """Counted from 1."""
    reward: float | None
    """What it earned; None where the judge failed, or where nothing was to be earned."""
    verdict: Verdict | None
    """None for a reply without code."""
    code: str | None = None
    """The kernel's text, where it was kept."""
    feedback: str = ""
    """What the model was told about it."""

    @property
    def right(self) -> bool:
        """Whether every case passed."""
        return self.verdict is not None and self.verdict.status is Status.OK

    @property
    def outcome(self) -> str:
        """The verdict's status, or `no_code`."""
        return "no_code" if self.verdict is None else self.verdict.status.value

    @property
    def speedup(self) -> float | None:
        """The performance score where something was timed, and by no cheat."""
        if self.verdict is None or self.verdict.status is Status.CHEATED:
            return None
        return self.verdict.performance_score if any(case.speedup for case in self.verdict.cases) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The turns of one attempt at one operator."""

    id: str
    """Identity; for `grade` the verdict's place in the file."""
    op: str
    """The operator, `add.Tensor`."""
    turns: tuple[Turn, ...]
    """At least one, in order."""
    finished: bool = True
    """Whether it was played to its end; one that was not is shown and not counted."""

    @property
    def best(self) -> Turn:
        """The turn that it counts with."""
        return best_of(self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One run, as its records tell it."""

    name: str
    """Name of the folder or file."""
    path: Path
    """Where it was read from."""
    kind: str
    """`eval`, or `grade` for the JSON of `grade` and `selfcheck`."""
    rollouts: tuple[Rollout, ...]
    """In the order in which their first verdicts came."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for: suite, dtype, turns and so on."""
    machines: tuple[Mapping[str, Any], ...] = ()
    """Facts of the machines that judged, where they are known."""
    started: str = ""
    """When, ISO 8601."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions on the client's side."""
    models: tuple[str, ...] = ()
    """Names of the models that wrote the kernels, where they are known."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """Tokens read and written by the finished rollouts, where the server told."""

    @property
    def counted(self) -> tuple[Rollout, ...]:
        """The rollouts that figures are made of: finished, and judged without a fault of ours."""
        return tuple(
            rollout for rollout in self.rollouts if rollout.finished and rollout.best.reward is not None
        )

    def of(self, op: str) -> tuple[Rollout, ...]:
        """The rollouts of one operator, finished or not."""
        return tuple(rollout for rollout in self.rollouts if rollout.op == op)

    @property
    def operators(self) -> tuple[str, ...]:
        """Sorted names."""
        return tuple(sorted({rollout.op for rollout in self.rollouts}))


def read(path: Path) -> Recorded:
    """Read a run. Raises `UsageError` where there is none, or where it is of another schema."""
    if not path.exists():
        raise UsageError(
            f"{path} does not exist; a run is a folder such as runs/kernels/<run>, or a JSON file"
        )
    return _read_folder(path) if path.is_dir() else _read_file(path)


def _read_folder(path: Path) -> Recorded:
    run = Run(path)
    if not run.verdicts.exists():
        raise UsageError(
            f"{path} holds no verdicts.jsonl: nothing was judged in that run, or it is no run; "
            "`backend-bench eval` leaves them below runs/kernels"
        )
    facts = _json(path / "run.json") if (path / "run.json").exists() else {}
    lines, endings = list(run.read()), list(run.read_endings())
    ended = {str(ending.get("rollout")) for ending in endings} if run.rollouts.exists() else None
    turns: dict[str, list[Turn]] = {}
    ops: dict[str, str] = {}
    for line in lines:
        rollout, turn = str(line.get("rollout", "")), _turn(run, line)
        turns.setdefault(rollout, []).append(turn)
        ops[rollout] = str(line.get("op", ""))
    return Recorded(
        name=path.resolve().name,
        path=path,
        kind="eval",
        rollouts=tuple(
            Rollout(
                id=rollout,
                op=ops[rollout],
                turns=tuple(sorted(of, key=lambda turn: turn.number)),
                finished=ended is None or rollout in ended,
            )
            for rollout, of in turns.items()
        ),
        arguments=facts.get("arguments") or {},
        machines=tuple(facts.get("machines") or ()),
        started=str(facts.get("started") or ""),
        versions=facts.get("versions") or {},
        models=tuple(sorted({str(line["model"]) for line in lines if line.get("model")})),
        tokens={
            name: sum(int(ending.get(name) or 0) for ending in endings)
            for name in ("prompt_tokens", "completion_tokens")
            if any(ending.get(name) is not None for ending in endings)
        },
    )


def _turn(run: Run, line: Mapping[str, Any]) -> Turn:
    verdict = line.get("verdict")
    try:
        number, folder = int(line["turn"]), Operator.parse(str(line["op"])).folder
        rollout, reward = str(line["rollout"]), line.get("reward")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{run.verdicts} has a line that is no verdict of this package: {error!r}"
        ) from error
    stem = run.path / Path(rollout).name / folder / f"{folder}_implementation_v{number}"
    return Turn(
        number=number,
        reward=None if reward is None else float(reward),
        verdict=None if verdict is None else read_verdict(verdict),
        code=_text(stem.with_name(f"{stem.name}.py")),
        feedback=_text(stem.with_name(f"{stem.name}.feedback.md")) or "",
    )


def _read_file(path: Path) -> Recorded:
    document = _json(path)
    if not isinstance(document.get("verdicts"), list):
        raise UsageError(f"{path} has no list of verdicts; `grade --json` and `selfcheck --json` write one")
    verdicts = [read_verdict(verdict) for verdict in document["verdicts"]]
    return Recorded(
        name=path.stem,
        path=path,
        kind="grade",
        rollouts=tuple(
            Rollout(
                id=str(number),
                op=verdict.op,
                turns=(Turn(number=1, reward=verdict.reward, verdict=verdict),),
            )
            for number, verdict in enumerate(verdicts, start=1)
        ),
        arguments={
            name: document.get(name)
            for name in ("suite", "source", "device", "dtype", "profile")
            if document.get(name) is not None
        },
        machines=tuple(_machines(document)),
    )


def _machines(document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    machine = document.get("machine")
    if isinstance(machine, Mapping) and machine:
        yield machine


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} holds no JSON object")
    return document


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def best_of(turns: Sequence[Turn]) -> Turn:
    """The turn with the highest reward; of equals the one that passed more, then the first."""
    return max(turns, key=_rank)


def _rank(turn: Turn) -> tuple[float, float, int]:
    passed = (turn.verdict.correctness_score if turn.verdict else None) or 0.0
    return -1.0 if turn.reward is None else turn.reward, passed, -turn.number
