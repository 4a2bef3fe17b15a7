"""Progress, listings and facts on a terminal. Reads and formats; never judges."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from backend_bench.report.table import own_console


class Named(Protocol):
    """What is finished is told by its operator: a verdict, an audit."""

    @property
    def op(self) -> str: ...


_FEW = 3
"""So few kernels need no bar."""


@contextlib.contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[Named], None]]:
    """A bar on standard error that names each operator as it comes; silent where nobody watches."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    hidden = not console.is_terminal or total < _FEW
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=total)

        def advance(finished: Named) -> None:
            bar.update(task, advance=1, description=f"{what} · {finished.op}")

        yield advance


def print_operators(listing: Sequence[Mapping[str, Any]], *, title: str) -> None:
    """A suite's operators with their numbers of cases."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column, justify in (("operator", "left"), ("correctness", "right"), ("performance", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]  # literals
    counts = ["correctness_cases", "performance_cases"]
    if any("error_inputs" in line for line in listing):
        table.add_column("error inputs", justify="right")
        counts.append("error_inputs")
    table.add_column("without cases because", style="dim")
    for line in listing:
        because = line.get("reason") or (f"not timed: {line['untimed']}" if "untimed" in line else "")
        table.add_row(line["op"], *(str(line[count]) for count in counts), because)
    tested = sum(1 for line in listing if line["correctness_cases"] or line["performance_cases"])
    own_console().print(table)
    own_console().print(f"{tested} operators with cases, {len(listing) - tested} without")


def print_finding(place: str, step: str, holds: bool, text: str) -> None:
    """One step of `doctor --gpu`."""
    mark = ("has    ", "green") if holds else ("lacks  ", "red")
    own_console().print(Text.assemble((f"{place}  ", "bold"), mark, f"{step:<14}", text))


def print_facts(facts: Mapping[str, Any]) -> None:
    """What `doctor` found: one line a fact, the walls of the sandbox one by one."""
    console = own_console()
    told = {name: value for name, value in facts.items() if name not in ("sandbox", "gpus")}
    if why := told.pop("timing_cores_why", ""):
        told["timing_cores"] = why
    for name, value in told.items():
        shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        console.print(Text.assemble((f"{name.replace('_', ' '):<14}", "bold"), shown))
    for number, gpu in enumerate(facts.get("gpus", ())):
        console.print(
            Text.assemble((f"gpu {number:<10}", "bold"), ", ".join(f"{k} {v}" for k, v in gpu.items()))
        )
    for device, walls in facts.get("sandbox", {}).items():
        console.print(Text.assemble((f"sandbox of workers on {device}", "bold")))
        for wall in walls["holds"]:
            console.print(Text.assemble(("  holds    ", "green"), wall))
        for wall in walls["missing"]:
            console.print(Text.assemble(("  missing  ", "red"), wall))


def print_languages(offered: Mapping[str, Mapping[str, str]]) -> None:
    """Which languages proved themselves on each kind of device, and why one did not."""
    console = own_console()
    for device, languages in offered.items():
        console.print(Text.assemble((f"languages on {device}", "bold")))
        for name, reason in languages.items():
            mark = ("  missing  ", "red") if reason else ("  works    ", "green")
            console.print(Text.assemble(mark, f"{name}: {reason}" if reason else name))
