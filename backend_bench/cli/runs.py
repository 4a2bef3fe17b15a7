"""The person's door to what was recorded: report, show, rescore, export. Reads records; judges nothing and starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend_bench.cli.ending import usage, write_json
from backend_bench.errors import UsageError

_RUN = "a run's folder below runs/kernels, or a JSON file of grade or selfcheck"


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN [RUN…]", help=f"{_RUN}; several are compared")],
    out: Annotated[Path, typer.Option("--out", "-o", help="the file to write")] = Path("report.html"),
    text: Annotated[bool, typer.Option("--text", help="print tables instead of writing a file")] = False,
    backendbench: Annotated[
        Path | None,
        typer.Option(
            "--backendbench", metavar="DIR", help="write BackendBench's own result files there instead"
        ),
    ] = None,
) -> None:
    """Write one HTML file on runs: figures, operators, kernels, cases, machines."""
    from backend_bench.report import backendbench as their_files
    from backend_bench.report import page, table
    from backend_bench.report.runs import read

    with usage():
        found = [read(run) for run in runs]
        if backendbench is not None:
            if len(found) > 1 or text:
                raise UsageError("--backendbench takes one run, and neither --text")
            command = f"backend-bench report {runs[0]} --backendbench {backendbench}"
            their_files.write(found[0], backendbench, command=command)
            print(backendbench)
            return
        if text:
            for run in found:
                print(run.path)
                table.print_run(run.rollouts)
            return
        page.write(found, out)
    print(out)


def show(
    run: Annotated[Path, typer.Argument(help=_RUN)],
    op: Annotated[str, typer.Argument(help="an operator, such as add.Tensor")],
    rollout: Annotated[
        str | None, typer.Option("--rollout", help="the beginning of its name; the best one")
    ] = None,
    turn: Annotated[
        int | None, typer.Option("--turn", help="number of the turn; the best one by default")
    ] = None,
) -> None:
    """Print one kernel of a run with its verdict; by default the operator's best."""
    from backend_bench.report import kernel
    from backend_bench.report.runs import read

    with usage():
        kernel.print_kernel(*kernel.choose(read(run), op, rollout=rollout, turn=turn))


def rescore(
    run: Annotated[Path, typer.Argument(help=_RUN)],
    reward: Annotated[str, typer.Option("--reward", help="product, strict, fast_p or capped")] = "product",
    p: Annotated[float, typer.Option("--p", help="fast_p: how many times as fast as PyTorch")] = 1.0,
    cap: Annotated[
        float, typer.Option("--cap", help="capped: the performance score that counts at most")
    ] = 3.0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="write every rollout's reward to this file; - is standard output"),
    ] = None,
) -> None:
    """Reckon a run's rewards by another rule, from its records; nothing is run."""
    from backend_bench.grading.rewards import RULES, Reward
    from backend_bench.report import rescore as rescoring
    from backend_bench.report.runs import read

    with usage():
        if reward not in RULES:
            raise UsageError(f"unknown reward {reward!r}; choose {', '.join(RULES)}")
        if not (0 <= p < float("inf") and 0 < cap < float("inf")):
            raise UsageError("--p must be a number from 0, --cap one above 0")
        rule = Reward(rule=reward, p=p, cap=cap)
        before = read(run)
        told = rescoring.document(before, rescoring.rescored(before, rule), rule)
        if json_file is not None:
            write_json(str(json_file), told)
        if str(json_file) != "-":
            rescoring.print_rescored(told, rule)


def export(
    run: Annotated[Path, typer.Argument(help="a run's folder below runs/kernels")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="a new or empty folder")],
    wrong_too: Annotated[
        bool, typer.Option("--wrong-too", help="also the best kernels that are not right")
    ] = False,
) -> None:
    """Copy the best right kernel of each operator, in the layout that grade and install read."""
    from backend_bench.report import export as exporting
    from backend_bench.report.runs import read

    with usage():
        exported = exporting.export(read(run), target, wrong_too=wrong_too)
    print(f"{len(exported)} kernels in {target}")
