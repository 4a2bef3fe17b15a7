"""The person's door to the judge service: serve. Starts, shows and ends; judges nothing."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

import typer

from backend_bench.cli_runs import usage
from backend_bench.errors import UsageError


def serve(
    stop: Annotated[bool, typer.Option("--stop", help="end the judge services of this user")] = False,
    idle: Annotated[
        float | None, typer.Option("--idle", help="end after so many idle seconds; never by default")
    ] = None,
    sandbox: Annotated[
        Literal["required", "best-effort", "off"],
        typer.Option("--sandbox", help="the level that it judges at"),
    ] = "best-effort",
) -> None:
    """Run the judge service in the foreground and show its queue; Ctrl-C ends it."""
    from backend_bench.executors import services
    from backend_bench.report import live

    with usage():
        if stop:
            for seen in services.running():
                services.end(seen)
                print(f"ended service {seen.pid} ({seen.address.name})")
            return
        if idle is not None and not 0 < idle < float("inf"):
            raise UsageError(f"--idle {idle:g} is no number of seconds above 0")
        with services.Foreground(sandbox, idle or float("inf")) as service:
            title = f"judge service, process {service.pid}; its log is {service.address.log}"
            with contextlib.suppress(KeyboardInterrupt):
                live.watch(service.states(), title=title)


def add_to(app: typer.Typer) -> None:
    """Put these commands among the others."""
    app.command()(serve)
