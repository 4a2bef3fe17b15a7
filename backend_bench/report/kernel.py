"""One operator of a run on a terminal: the kernel that counts, with its verdict. Reads and formats; never judges."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.text import Text

from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.report.runs import Recorded, Rollout, Turn, best_of
from backend_bench.report.table import case_table, own_console, printable, verdict_table


def choose(
    run: Recorded, op: str, *, rollout: str | None = None, turn: int | None = None
) -> tuple[Rollout, Turn]:
    """The rollout and turn to show: those named, else the best. Raises `UsageError` where there is none."""
    name = str(Operator.parse(op))
    found = run.of(name)
    if not found:
        raise UsageError(f"{run.path} has nothing on {name}; it has {_some(run.operators)}")
    if rollout is not None:
        found = tuple(one for one in found if one.id.startswith(rollout))
        if len(found) != 1:
            raise UsageError(f"{len(found)} rollouts of {name} begin with {rollout!r}")
    turns = [(one, this) for one in found for this in one.turns if turn in (None, this.number)]
    if not turns:
        raise UsageError(f"no rollout of {name} has a turn {turn}")
    best = best_of([this for _, this in turns])
    return next((one, this) for one, this in turns if this is best)


def print_kernel(rollout: Rollout, turn: Turn, *, console: Console | None = None) -> None:
    """The kernel, its verdict and its cases."""
    (console or own_console()).print(kernel(rollout, turn))


def kernel(rollout: Rollout, turn: Turn) -> RenderableType:
    """What `print_kernel` prints."""
    return Group(*_parts(rollout, turn))


def _parts(rollout: Rollout, turn: Turn) -> Iterable[RenderableType]:
    yield Text(f"{rollout.op} · rollout {rollout.id} · turn {turn.number} of {len(rollout.turns)}", "bold")
    if turn.code is None:
        yield Text(
            "the reply held no kernel" if turn.verdict is None else "the kernel's text was not kept", "yellow"
        )
    else:
        yield Syntax(
            printable(turn.code), "python", line_numbers=True, word_wrap=True, background_color="default"
        )
    if turn.verdict is not None:
        yield verdict_table([turn.verdict])
        yield case_table(turn.verdict.cases)
    if turn.feedback:
        yield Text("\nwhat the model was told", "bold")
        yield Text(printable(turn.feedback))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
