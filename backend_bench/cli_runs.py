"""The person's door to what was recorded: report. Reads records; judges nothing and starts nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from backend_bench.errors import BackendBenchError

_RUN = "a run's folder below runs/kernels, or a JSON file of grade or selfcheck"


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN [RUN…]", help=f"{_RUN}; several are compared")],
    out: Annotated[Path, typer.Option("--out", "-o", help="the file to write")] = Path("report.html"),
    text: Annotated[bool, typer.Option("--text", help="print tables instead of writing a file")] = False,
) -> None:
    """Write one HTML file on runs: figures, operators, kernels, cases, machines."""
    from backend_bench.report import page, table
    from backend_bench.report.runs import read

    with usage():
        found = [read(run) for run in runs]
        if text:
            for run in found:
                print(run.path)
                table.print_run(run.rollouts)
            return
        page.write(found, out)
    print(out)


def add_to(app: typer.Typer) -> None:
    """Put these commands beside the others."""
    for command in (report,):
        app.command()(command)


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """A request that makes no sense ends with one sentence and exit code 2."""
    try:
        yield
    except BackendBenchError as error:
        print(f"backend-bench: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
