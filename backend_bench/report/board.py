"""A run while it goes, as a board on a terminal and as lines elsewhere. Draws what it is told; knows no host.

━━━━━━━━━━━━━━━━━━━━━━━━━━╺━━━━━━━━  14 of 20 rollouts · 3 min 20 s
operators 6 of 10 done · 5 right · mean reward 0.71 · 0 failed
judge     3 kernels there · waited 1.2 s (median) · 12 kernels a minute
fastest   relu.default 1.31×   add.Tensor 1.08×   cat.default 0.97×
in flight mm.default turn 2 at the judge 4 s …
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

Stage = Literal["waiting", "model", "judge", "done", "failed"]

FASTEST = 5
"""Operators that are named as the fastest."""
RECENT = 20
"""Verdicts that the waiting time is told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One rollout, as it stands now."""

    op: str
    stage: Stage
    turn: int = 0
    """The turn it is in, or its number of turns at the end."""
    since_s: float = 0.0
    """Seconds in this stage; of a finished one, its whole time."""
    reward: float | None = None
    """Of its best turn so far."""
    speedup: float | None = None
    """Of its best turn, where that one is right and timed."""
    outcome: str = ""
    """Status of its best turn; `no_code` where that had no kernel."""
    waits_s: tuple[float, ...] = ()
    """What each of its verdicts waited in the judge's queue, in seconds."""
    error: str = ""
    """Why it failed, one line."""

    @property
    def right(self) -> bool:
        """Whether its best turn is right."""
        return self.outcome == "ok"


def picture(rollouts: Sequence[Standing], *, elapsed_s: float, height: int, note: str = "") -> RenderableType:
    """The whole board, in at most `height` lines; `note` stands below it."""
    ended = [rollout for rollout in rollouts if rollout.stage in ("done", "failed")]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for what, told in (
        ("operators", _operators(rollouts)),
        ("judge", _judge(rollouts, elapsed_s)),
        ("fastest", _fastest(rollouts)),
    ):
        grid.add_row(what, told)
    going = [rollout for rollout in rollouts if rollout.stage in ("model", "judge")]
    going.sort(key=lambda rollout: -rollout.since_s)
    rows = max(1, height - 7)
    for at, rollout in enumerate(going[:rows]):
        grid.add_row("" if at else "in flight", _going(rollout))
    if len(going) > rows:
        grid.add_row("", Text(f"and {len(going) - rows} more", "dim"))
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(1, len(rollouts)), completed=len(ended), width=36)
    head.add_row(bar, f"{len(ended)} of {len(rollouts)} rollouts · {clock(elapsed_s)}")
    return Group(head, grid, *([Text(note, "yellow")] if note else []))


def line(rollout: Standing, number: int, total: int) -> str:
    """One finished rollout on one line, for a log."""
    place = f"[{number:>{len(str(total))}}/{total}] {rollout.op:<28}"
    if rollout.stage == "failed":
        return f"{place} failed   {rollout.error}"
    score = "–" if rollout.reward is None else f"{rollout.reward:.3f}"
    fast = f"{rollout.speedup:.2f}×" if rollout.speedup is not None else "–"
    turns = f"{rollout.turn} turn{'s' if rollout.turn != 1 else ''}"
    outcome = "right" if rollout.right else rollout.outcome.replace("_", " ")
    return f"{place} {outcome:<13} {fast:>7}   reward {score:>6}   {turns:<8} {clock(rollout.since_s)}"


def clock(seconds: float) -> str:
    """`41 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _operators(rollouts: Sequence[Standing]) -> Text:
    of: dict[str, list[Standing]] = {}
    for rollout in rollouts:
        of.setdefault(rollout.op, []).append(rollout)
    done = sum(all(one.stage in ("done", "failed") for one in ones) for ones in of.values())
    right = sum(any(one.right for one in ones) for ones in of.values())
    rewards = [one.reward for one in rollouts if one.stage == "done" and one.reward is not None]
    failed = sum(one.stage == "failed" for one in rollouts)
    told = Text(f"{done} of {len(of)} done · ").append(f"{right} right", "green")
    if rewards:
        told.append(f" · mean reward {math.fsum(rewards) / len(rewards):.3g}")
    return told.append(f" · {failed} failed", "red") if failed else told


def _judge(rollouts: Sequence[Standing], elapsed_s: float) -> Text:
    there = sum(rollout.stage == "judge" for rollout in rollouts)
    waits = [wait for rollout in rollouts for wait in rollout.waits_s]
    told = Text(f"{there} kernel{'s' if there != 1 else ''} there")
    if waits:
        told.append(f" · waited {statistics.median(waits[-RECENT:]):.1f} s (median)")
        told.append(f" · {60 * len(waits) / max(elapsed_s, 1.0):.3g} verdicts a minute")
    return told


def _fastest(rollouts: Sequence[Standing]) -> Text:
    best: dict[str, float] = {}
    for rollout in rollouts:
        if rollout.right and rollout.speedup is not None:
            best[rollout.op] = max(rollout.speedup, best.get(rollout.op, 0.0))
    told = Text()
    for op, speedup in sorted(best.items(), key=lambda item: -item[1])[:FASTEST]:
        told.append(f"{op} ").append(f"{speedup:.2f}×   ", "green" if speedup > 1 else "default")
    return told if best else Text("no right kernel yet", "dim")


def _going(rollout: Standing) -> Text:
    told = Text.assemble((rollout.op, "bold"), f" turn {rollout.turn} ")
    told.append(
        "at the judge" if rollout.stage == "judge" else "at the model",
        "cyan" if rollout.stage == "judge" else "magenta",
    )
    told.append(f" {clock(rollout.since_s)}")
    return told.append(f" · best so far {rollout.reward:.3g}", "dim") if rollout.reward is not None else told
