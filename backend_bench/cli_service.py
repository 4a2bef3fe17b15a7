"""The person's door to places that judge: serve, and what doctor says of one. Starts, shows and ends; judges nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Literal

import typer

from backend_bench.cli_runs import usage, write_json
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
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="let clients of other hosts in, too")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="a private file with the token that they need")
    ] = None,
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
        if (listen is None) != (token_file is None):
            raise UsageError("--listen needs --token-file, and the other way round")
        door = services.Door.parse(listen, token_file) if listen and token_file else None
        with services.Foreground(sandbox, idle or float("inf"), door) as service:
            title = f"judge service, process {service.pid}; its log is {service.address.log}"
            if door is not None:
                title += f"; listens on {door.host}:{service.port}"
            with contextlib.suppress(KeyboardInterrupt):
                live.watch(service.states(), title=title)


def examine(gpu: str, json_file: str | None) -> None:
    """What `doctor --gpu` does: look at a place step by step; exit 2 where something is missing."""
    import dataclasses

    from backend_bench.executors import diagnosis
    from backend_bench.report import terminal

    findings = []
    for finding in diagnosis.diagnose(gpu):
        findings.append(finding)
        if json_file != "-":
            terminal.print_finding(finding.place, finding.step, finding.holds, finding.text)
    if json_file:
        with usage():
            document = {"schema": 1, "gpu": gpu, "findings": [dataclasses.asdict(one) for one in findings]}
            write_json(json_file, document)
    if not all(finding.holds for finding in findings):
        raise typer.Exit(2)


def add_to(app: typer.Typer) -> None:
    """Put these commands among the others."""
    app.command()(serve)
