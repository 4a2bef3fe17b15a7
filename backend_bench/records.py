"""Kernels on disk: every kernel of a run with its verdict, and the best one of each operator.

    kernels_dir/<run>/
    ├── run.json                                     arguments, versions, and the machines that judged
    ├── verdicts.jsonl                               one line a verdict, in the order they came
    ├── rollouts.jsonl                               one line a rollout that was played to its end
    ├── best/add__Tensor/                            best over all rollouts; what BackendBench's
    │   ├── add__Tensor_implementation_v1.py         directory loader reads (one .py a folder)
    │   └── add__Tensor_implementation_v1.verdict.json
    └── <rollout>/add__Tensor/                       one folder a rollout, one file a turn
        ├── add__Tensor_implementation_v1.py
        ├── add__Tensor_implementation_v1.verdict.json
        └── add__Tensor_implementation_v1.feedback.md

Several processes may write one run. This module stores; it neither judges nor scores.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backend_bench import __version__
from backend_bench.errors import UsageError
from backend_bench.files import write_whole
from backend_bench.operator import Operator
from backend_bench.verdict import Status, Verdict

SCHEMA = 1
"""Version of the verdict's JSON form."""
KERNELS_DIR = Path("runs/kernels")
"""Where runs are kept unless told otherwise, below the working directory."""


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON, schema 1: field names as in `Verdict`, non-finite numbers null.

    A case that loses a number this way says so in its message.
    """
    data: dict[str, Any] = msgspec.to_builtins(verdict)
    for case in data["cases"]:
        lost = [name for name, value in case.items() if not _finite(value)]
        if lost:
            said = f"{case['message']} " if case["message"] else ""
            case["message"] = f"{said}(not finite: {', '.join(lost)})"
    return {name: plain(value) for name, value in data.items()}


def read_verdict(data: Mapping[str, Any]) -> Verdict:
    """The verdict again from its JSON form; fields that this version does not know are ignored.

    Raises `UsageError` when it is not a verdict.
    """
    try:
        return msgspec.convert(dict(data), Verdict)
    except msgspec.ValidationError as error:
        raise UsageError(f"not a verdict of schema {SCHEMA}: {error}") from error


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: tuples become lists, paths and enums text, NaN and inf null."""
    if isinstance(value, bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def new_run_name() -> str:
    """A name that sorts by time and does not collide: `20261124-070501-3f9a1c`."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of one rollout, as it is stored."""

    op: Operator
    """The operator."""
    rollout: str
    """Identity of the rollout: its folder's name."""
    turn: int
    """Counted from 1."""
    code: str | None
    """The kernel file's text; None when the reply held none."""
    verdict: Verdict | None
    """None when there was no code."""
    reward: float | None
    """The turn's reward; None when the verdict is our own fault."""
    feedback: str = ""
    """What the model was told about it."""
    model: str = ""
    """Name of the model that wrote it, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A rollout that was played to its end; one that was interrupted or failed has none."""

    op: Operator
    """The operator."""
    rollout: str
    """Identity of the rollout."""
    turns: int
    """How many turns it had."""
    reward: float
    """The best turn's reward."""
    model: str = ""
    """Name of the model, where it is known."""
    prompt_tokens: int | None = None
    """Tokens that the model read, all turns together; None where its server does not say."""
    completion_tokens: int | None = None
    """Tokens that the model wrote, likewise."""


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of one run."""

    path: Path
    """`kernels_dir/<run>`."""

    @property
    def verdicts(self) -> Path:
        return self.path / "verdicts.jsonl"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts.jsonl"

    def describe(self, arguments: Mapping[str, Any]) -> None:
        """Write run.json unless another process has. Raises `UsageError` where the folder cannot be written."""
        try:
            self._describe(arguments)
        except OSError as error:
            raise UsageError(
                f"kernels cannot be kept in {self.path}: {error.strerror}; name another folder as kernels_dir"
            ) from error

    def _describe(self, arguments: Mapping[str, Any]) -> None:
        if (self.path / "run.json").exists():
            return
        with self._locked():
            if not (self.path / "run.json").exists():
                facts = {
                    "schema": SCHEMA,
                    "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                    "arguments": arguments,
                    "versions": {"backend_bench": __version__, "python": sys.version.split()[0]},
                }
                _write_json(self.path / "run.json", facts)

    def add_machine(self, facts: Mapping[str, Any]) -> None:
        """Note a machine that judges for this run in run.json, once; a resumed run may have moved."""
        with self._locked():
            try:
                known = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
            except FileNotFoundError:
                known = {"schema": SCHEMA}
            machines = known.setdefault("machines", [])
            if plain(facts) not in machines:
                _write_json(self.path / "run.json", {**known, "machines": [*machines, facts]})

    def end(self, ending: Ending) -> None:
        """Note that a rollout was played to its end."""
        line = {**{name: getattr(ending, name) for name in Ending.__slots__}, "op": str(ending.op)}
        with self._locked():
            _append(self.rollouts, line)

    def write(self, turn: Turn) -> Path:
        """Store a turn, count it, and let it be the operator's best if it is. Returns its folder.

        Blocks on the disk and on the run's lock: call it in a thread.
        """
        folder = self.path / turn.rollout / turn.op.folder
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{turn.op.folder}_implementation_v{turn.turn}"
        if turn.code is not None:
            _write(folder / f"{stem}.py", turn.code)
        if turn.verdict is not None:
            _write_json(folder / f"{stem}.verdict.json", verdict_json(turn.verdict))
        if turn.feedback:
            _write(folder / f"{stem}.feedback.md", turn.feedback)
        with self._locked():
            self._append(turn)
            self._keep_best(turn)
        return folder

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines of verdicts.jsonl: op, rollout, turn, model, reward, verdict.

        A line that a killed process left half-written is passed over.
        """
        return _lines(self.verdicts)

    def read_endings(self) -> Iterator[dict[str, Any]]:
        """The lines of rollouts.jsonl, read likewise."""
        return _lines(self.rollouts)

    def _append(self, turn: Turn) -> None:
        line = {
            "op": str(turn.op),
            "rollout": turn.rollout,
            "turn": turn.turn,
            "model": turn.model,
            "reward": turn.reward,
            "verdict": None if turn.verdict is None else verdict_json(turn.verdict),
        }
        _append(self.verdicts, line)

    def _keep_best(self, turn: Turn) -> None:
        """Only a kernel that earned something is kept, and the first of equals stays."""
        if turn.code is None or turn.verdict is None or not turn.reward or turn.reward <= 0:
            return
        if turn.verdict.status in (Status.CHEATED, Status.ERROR) or not math.isfinite(turn.reward):
            return
        folder = self.path / "best" / turn.op.folder
        kernel = folder / f"{turn.op.folder}_implementation_v1.py"
        record = kernel.with_suffix(".verdict.json")
        if turn.reward <= _best_reward(record):
            return
        folder.mkdir(parents=True, exist_ok=True)
        _write(kernel, turn.code)
        origin = {"rollout": turn.rollout, "turn": turn.turn, "run_reward": turn.reward}
        _write_json(record, verdict_json(turn.verdict) | origin)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The run's lock, shared by processes; the system drops it with its holder."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _best_reward(record: Path) -> float:
    """What the kept kernel earned; 0 when none is kept or its record cannot be read."""
    try:
        return float(json.loads(record.read_text(encoding="utf-8"))["run_reward"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0.0


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a whole line or nothing. Only for who holds the run's lock.

    A line that was cut short (its writer was killed) is ended first, or it would take this one with it.
    """
    data = json.dumps(plain(line), allow_nan=False).encode() + b"\n"
    with path.open("ab+", buffering=0) as file:
        length = file.seek(0, os.SEEK_END)
        if length:
            file.seek(length - 1)
            data = data if file.read(1) == b"\n" else b"\n" + data
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:  # the disk is full: whoever reads shall find no half of it
            file.truncate(length)
            raise


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode("utf-8", errors="replace"))


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    _write(path, json.dumps(plain(data), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
