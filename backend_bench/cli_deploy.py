"""The person's door to rented GPUs: deploy. Parses and prints; the place's own room does the work."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from backend_bench.cli_runs import usage


def deploy(
    place: Annotated[Literal["modal"], typer.Argument(help="where to: modal")],
    max_containers: Annotated[
        int, typer.Option("--max-containers", min=1, help="at most so many of a kind of GPU at once")
    ] = 8,
    buffer_containers: Annotated[
        int | None, typer.Option("--buffer-containers", min=0, help="so many idle ones beside those at work")
    ] = None,
    min_containers: Annotated[
        list[str] | None,
        typer.Option(
            "--min-containers",
            metavar="GPU=N",
            help="keep so many started; they cost money until the next deployment",
        ),
    ] = None,
    scaledown_window: Annotated[
        int | None, typer.Option("--scaledown-window", min=2, help="seconds that an idle container waits")
    ] = None,
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="seconds for one submission")] = 900,
    cpu: Annotated[float, typer.Option("--cpu", min=1, help="cores of a container")] = 4.0,
    memory: Annotated[int, typer.Option("--memory", min=2048, help="MiB of a container")] = 16384,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="several submissions a container, if its sandbox is whole")
    ] = False,
) -> None:
    """Put the judge into your Modal account; afterwards `gpu` may name a GPU to rent."""
    from backend_bench.executors import modal as rented

    with usage():
        rented.check("H100")
        from backend_bench.executors.modal import deployment

        scale = deployment.Scale(
            max_containers=max_containers,
            buffer_containers=buffer_containers,
            scaledown_window_s=scaledown_window,
            timeout_s=timeout,
            cpu=cpu,
            memory_mib=memory,
            reuse=reuse,
            min_containers=deployment.parse_min_containers(min_containers or []),
        )
        where = deployment.deploy(scale)
    print(f"deployed as {rented.app_name()}: {where}")


def add_to(app: typer.Typer) -> None:
    """Put this command among the others."""
    app.command()(deploy)
