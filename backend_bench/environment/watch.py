"""Puts our board in the place of the host's dashboard: reads its slots, and draws what it finds there.

The host offers no seam for a view of one's own, so its runner's name for the dashboard is put aside while `eval` runs.
`--rich.show-logs` and `-d` keep the host's own views.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live

from backend_bench.environment import scores
from backend_bench.environment.taskset import AT_JUDGE
from backend_bench.report import board

_TICK_S = 0.5
"""How often the board is drawn; a verdict takes seconds."""
_STOPPING = "stopping: what is finished is kept, what is in flight is not; another Ctrl-C is ignored"


@contextlib.contextmanager
def own_view() -> Iterator[None]:
    """The host's evaluations show our board, inside this context."""
    from verifiers.v1.cli.eval import runner

    theirs = runner.dashboard

    def ours(slots: Any, config: Any, start: float, push: Any = None) -> Any:
        if config.rich is not None and config.rich.show_logs:
            return theirs(slots, config, start, push=push)
        return watching(slots, start, Console())

    runner.dashboard = ours
    try:
        yield
    finally:
        runner.dashboard = theirs


@contextlib.asynccontextmanager
async def watching(slots: Sequence[Any], start: float, console: Console) -> AsyncIterator[None]:
    """Show the host's slots until the block ends: a board on a terminal, a line a rollout elsewhere."""
    view = _board(slots, start, console) if console.is_terminal else _lines(slots, console)
    ended = asyncio.Event()
    task = asyncio.create_task(_draw(view, ended))
    try:
        yield
    finally:
        ended.set()
        await task


async def _draw(view: Iterator[None], ended: asyncio.Event) -> None:
    """Draw now and then, and once more at the end; Ctrl-C cancels every task, and must not end the last view."""
    while not ended.is_set():
        next(view)
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(ended.wait(), _TICK_S)
    next(view)
    view.close()  # type: ignore[attr-defined]  # they are generators


def _board(slots: Sequence[Any], start: float, console: Console) -> Iterator[None]:
    from verifiers.v1.utils.interrupt import cleaning_up

    with Live(console=console, auto_refresh=False) as screen:
        while True:
            now = time.time()
            standings = [standing(slot, now) for slot in slots]
            note = _STOPPING if cleaning_up() else ""
            height = console.size.height
            screen.update(
                board.picture(standings, elapsed_s=now - start, height=height, note=note), refresh=True
            )
            yield


def _lines(slots: Sequence[Any], console: Console) -> Iterator[None]:
    told = {id(slot) for slot in slots if slot.done}  # those of an earlier attempt, in a resumed run
    while True:
        for slot in slots:
            if slot.done and id(slot) not in told:
                told.add(id(slot))
                text = board.line(standing(slot, time.time()), len(told), len(slots))
                console.print(text, soft_wrap=True, markup=False, highlight=False)
        yield


def standing(slot: Any, now: float) -> board.Standing:
    """How a slot of the host stands."""
    op = str(getattr(slot.task.data, "op", None) or slot.task.data.name)
    trace = slot.traces[-1] if slot.traces else None
    if trace is None:
        return board.Standing(op=op, stage="failed" if slot.done else "waiting", error=_error(slot))
    turns = trace.info.get("turns", [])
    best = scores.best_turn(turns) or {}
    verdict = best.get("verdict") or {}
    outcome = verdict.get("status", "no_code") if turns else ""
    timed = any(case.get("speedup") for case in verdict.get("cases", ()))
    stage, since = _stage(slot, trace, now)
    return board.Standing(
        op=op,
        stage=stage,
        turn=len(turns) + (stage in ("model", "judge")),
        since_s=now - since if stage in ("model", "judge") else max(0.0, _end(trace, now) - since),
        reward=best.get("reward"),
        speedup=verdict.get("performance_score") if outcome == "ok" and timed else None,
        outcome=outcome,
        waits_s=tuple(
            turn["verdict"]["stages_s"]["queue"]
            for turn in turns
            if turn["verdict"] and "queue" in turn["verdict"].get("stages_s", {})
        ),
        error=_error(slot),
    )


def _stage(slot: Any, trace: Any, now: float) -> tuple[board.Stage, float]:
    """The stage, and since when (of an ended rollout: when it began), in seconds since the epoch."""
    began = trace.timing.start or now
    if slot.done:
        return ("done" if slot.episode is None or slot.episode.ok else "failed"), began
    if (arrived := trace.info.get(AT_JUDGE)) is not None:
        return "judge", arrived
    return "model", max([began, *(call.time.end for call in trace.calls if call.time.end)])


def _end(trace: Any, now: float) -> float:
    return float(trace.timing.scoring.end or trace.timing.agent.end or now)


def _error(slot: Any) -> str:
    """The last error of an episode that failed, one line; the host keeps some on its traces only."""
    if slot.episode is None or slot.episode.ok:
        return ""
    errors = slot.episode.errors or [error for trace in slot.traces for error in trace.errors]
    return str(errors[-1].message or errors[-1].type).split("\n", 1)[0] if errors else "no reason given"
