"""Verdicts as tables on a terminal, and as plain text elsewhere. Reads and formats; never judges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from backend_bench.report.runs import Rollout, best_of
from backend_bench.verdict import CaseResult, Status, Tally, Verdict

_STYLE = {
    Status.OK: "green",
    Status.WRONG: "yellow",
    Status.COMPILE_ERROR: "red",
    Status.CRASHED: "red",
    Status.TIMED_OUT: "magenta",
    Status.CHEATED: "bold red",
    Status.NO_CASES: "dim",
    Status.ERROR: "bold white on red",
}
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_SHOWN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)},
    0x7F: "␡",
    **{code: f"⟨U+{code:04X}⟩" for code in [*range(0x80, 0xA0), *map(ord, _BIDI)]},
}
"""Characters that would steer a terminal or turn the text around, and how they are shown."""
_PLAIN_WIDTH = 160
"""Columns where no terminal says how wide it is."""


def print_verdicts(verdicts: Sequence[Verdict], *, console: Console | None = None) -> None:
    """One line a verdict, then the totals, then what a person must read: messages and evidence."""
    (console or own_console()).print(verdict_table(verdicts))


def print_run(
    rollouts: Sequence[Rollout],
    *,
    episodes: int = 0,
    failed: int = 0,
    console: Console | None = None,
) -> None:
    """One line an operator of a run, the best turn over all its rollouts."""
    (console or own_console()).print(run_table(rollouts, episodes=episodes, failed=failed))


def verdict_table(verdicts: Sequence[Verdict]) -> RenderableType:
    """A table for `grade` and `selfcheck`."""
    table = plain_table("operator", "status", "correctness", "performance", "speed-up", "reward", "time")
    for verdict in verdicts:
        table.add_row(
            verdict.op,
            status(verdict.status),
            tally(verdict.correctness),
            tally(verdict.performance),
            speed(verdict),
            number(verdict.reward),
            f"{verdict.wall_s:.1f} s",
        )
    return Group(table, _totals(verdicts), *_remarks(verdicts), *_notes(verdicts))


def case_table(cases: Sequence[CaseResult]) -> RenderableType:
    """One line a case, with errors and times; a failure's message below its arguments."""
    table = plain_table("case", "status", "abs error", "rel error", "PyTorch µs", "kernel µs", "speed-up")
    table.columns[0].no_wrap = False
    for case in cases:
        failed = f"\n{printable(case.message)}" if case.message else ""
        table.add_row(
            Text(printable(case.args)).append(failed, "yellow"),
            Text(case.status.value.replace("_", " "), "green" if case.passed else "yellow"),
            *(_figure(value) for value in (case.max_abs_error, case.max_rel_error)),
            *(_figure(value) for value in (case.reference_us, case.candidate_us)),
            Text("–", "dim") if case.speedup is None else Text(_banded(case.speedup, case.noise)),
        )
    return table


def run_table(rollouts: Sequence[Rollout], *, episodes: int = 0, failed: int = 0) -> RenderableType:
    """A table for `eval` and `report --text`, from the rollouts of a run."""
    by_op: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        by_op.setdefault(rollout.op, []).append(rollout)
    table = plain_table("operator", "status", "correctness", "performance", "speed-up", "reward", "best of")
    best: list[Verdict] = []
    rewards: list[float] = []
    for op, attempts in sorted(by_op.items()):
        turns = sum(len(attempt.turns) for attempt in attempts)
        tries = f"{turns} in {len(attempts)}" if len(attempts) > 1 else str(turns)
        finished = [turn for attempt in attempts if attempt.finished for turn in attempt.turns]
        if not finished:
            table.add_row(op, Text("unfinished", "dim"), "–", "–", "–", "–", tries)
            continue
        top = best_of(finished)
        if top.reward is not None:
            rewards.append(top.reward)
        if top.verdict is None:
            table.add_row(op, Text("no code", "red"), "–", "–", "–", number(top.reward), tries)
            continue
        best.append(top.verdict)
        table.add_row(
            op,
            status(top.verdict.status),
            tally(top.verdict.correctness),
            tally(top.verdict.performance),
            speed(top.verdict),
            number(top.reward),
            tries,
        )
    parts: list[RenderableType] = [table] if by_op else []
    summary = []
    if rewards:
        right = sum(verdict.status is Status.OK for verdict in best)
        mean = math.fsum(rewards) / len(rewards)
        summary.append(f"{right} of {len(rewards)} operators right, mean reward of the best {mean:.3g}")
    if left_out := len(by_op) - len(rewards):
        summary.append(f"{left_out} not counted: unfinished, without cases, or by a fault of ours")
    if episodes:
        summary.append(f"{episodes} episodes" + (f", {failed} failed" if failed else ""))
    parts.append(Text("; ".join(summary) or "nothing was judged", "bold"))
    return Group(*parts, *_remarks(best), *_notes(best))


def status(value: Status) -> Text:
    """A status in its colour."""
    return Text(value.value.replace("_", " "), _STYLE[value])


def tally(value: Tally) -> Text:
    """`12/20`, green when full."""
    if not value.total:
        return Text("–", "dim")
    return Text(f"{value.passed}/{value.total}", "green" if value.passed == value.total else "yellow")


def speed(verdict: Verdict) -> Text:
    """The performance score, and the median noise of its cases; none of a cheat, whose times are nobody's speed-up."""
    score = None if verdict.status is Status.CHEATED else verdict.performance_score
    if score is None or not any(case.speedup for case in verdict.cases):
        return Text("–", "dim")
    noise = sorted(case.noise for case in verdict.cases if case.noise is not None)
    text = _banded(score, noise[len(noise) // 2] if noise else None)
    return Text(text, "green" if score >= 1 else "default")


def _banded(speedup: float, noise: float | None) -> str:
    return f"{speedup:.2f}×" + ("" if noise is None else f" ±{100 * noise:.0f}%")


def _figure(value: float | None) -> Text:
    return Text("–", "dim") if value is None else Text(f"{value:.4g}")


def number(value: float | None) -> Text:
    """A score; a dash where there is none."""
    return Text("–", "dim") if value is None else Text(f"{value:.3f}")


def printable(text: str) -> str:
    """A stranger's text with control characters and changes of direction made visible."""
    return text.translate(_SHOWN)


def own_console() -> Console:
    """Standard output: colours on a terminal, and enough width elsewhere that no line is folded."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


def plain_table(*columns: str) -> Table:
    """An empty table in the house's look: words to the left, numbers to the right."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="left" if at < 2 else "right", no_wrap=True)
    return table


def _totals(verdicts: Sequence[Verdict]) -> Text:
    counts: dict[Status, int] = {}
    for verdict in verdicts:
        counts[verdict.status] = counts.get(verdict.status, 0) + 1
    text = Text("nothing graded" if not verdicts else "", "bold")
    for at, (value, count) in enumerate(sorted(counts.items())):
        text.append(", " if at else "").append(f"{count} ").append_text(status(value))
    scores = [verdict.reward for verdict in verdicts if verdict.reward is not None]
    if scores:
        text.append(f"; mean reward {math.fsum(scores) / len(scores):.3g}")
    return text


def _remarks(verdicts: Sequence[Verdict]) -> Iterable[Text]:
    """Below the table: evidence in full, and the first failure of each operator."""
    for verdict in verdicts:
        for sign in verdict.evidence:
            claimed = " (claimed by the worker)" if sign.claimed else ""
            yield Text.assemble(
                "\n",
                (f"{verdict.op}: {sign.rule}{claimed} ", "bold red"),
                (printable(sign.detail), "default"),
            )
        remark = _first_failure(verdict)
        if remark and remark not in {sign.detail for sign in verdict.evidence}:
            yield Text.assemble("\n", (f"{verdict.op}: ", _STYLE[verdict.status]), printable(remark))


def _notes(verdicts: Sequence[Verdict]) -> Iterable[Text]:
    """What a reader must know about the figures, once for all operators that it holds for."""
    told: dict[str, list[str]] = {}
    for verdict in verdicts:
        for note in verdict.notes:
            told.setdefault(note, []).append(verdict.op)
    for note, ops in told.items():
        whose = "all operators" if len(ops) == len(verdicts) > 1 else ", ".join(ops)
        yield Text.assemble("\n", ("note ", "bold cyan"), f"{note} ({whose})")


def _first_failure(verdict: Verdict) -> str:
    if verdict.status is Status.OK:
        return ""
    if verdict.message:
        return verdict.message.strip()[-1500:]
    failed = next((case for case in verdict.cases if not case.passed and case.message), None)
    return f"{failed.args}: {failed.message}" if failed else ""
