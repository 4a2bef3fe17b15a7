"""The person's door: parses, calls, prints. What a command does is done elsewhere.

Each module holds the commands for one thing that a person is after; `options` is what several of them are given, and
`ending` how they end. Exit codes: 0 all right, 1 a kernel failed, 2 wrong usage, our own fault, or nothing graded.
"""

from __future__ import annotations

from typing import Annotated

import typer

from backend_bench import __version__
from backend_bench.cli import check_model, judging, models, places, runs, suites, trace

app = typer.Typer(
    name="backend-bench",
    help="How well does a language model write GPU kernels for PyTorch operators?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="say the version and stop")] = False,
) -> None:
    if version:
        print(f"backend-bench {__version__}")
        raise typer.Exit


app.command()(judging.grade)
app.command()(judging.selfcheck)
app.command()(suites.audit_suite)
app.command()(suites.ops)
app.command()(suites.prompt)
app.command()(places.doctor)
app.command()(models.author)
app.command("eval", context_settings=models.ANY_FLAGS)(models.evaluate)
app.command()(runs.report)
app.command()(runs.show)
app.command()(runs.rescore)
app.command()(runs.export)
app.command()(places.serve)
app.command()(places.deploy)
app.command()(trace.trace)
app.command()(check_model.check_model)


def main() -> None:
    """The console script."""
    app()
