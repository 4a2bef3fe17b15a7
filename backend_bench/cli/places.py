"""The person's door to places that judge: doctor looks at one, serve runs one here, deploy puts one into a cloud.

Starts, shows and ends them; judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from backend_bench.cli.ending import usage, write_json
from backend_bench.cli.options import DeviceOption, JsonOption, device_at
from backend_bench.errors import UsageError


def doctor(
    device: DeviceOption = "auto",
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="look at that place instead: what it has, and what it lacks")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Say what this machine has, which walls and which languages hold here, and which judge services run."""
    if gpu is None:
        _look_here(device, json_file)
    else:
        _look_at(gpu, json_file)


def _look_here(device: str, json_file: str | None) -> None:
    """What the judge of this host says, and the services that run."""
    from backend_bench.executors import services
    from backend_bench.report import live, terminal

    with usage():
        device_at("local", device)
        machine, languages = asyncio.run(_ask_judge())
        running = [
            {"pid": seen.pid, "name": seen.address.name, "log": str(seen.address.log), "state": seen.state}
            for seen in services.running()
        ]
        if json_file:
            write_json(
                json_file, {"schema": 1, "machine": machine, "languages": languages, "services": running}
            )
    if json_file != "-":
        terminal.print_facts(machine)
        terminal.print_languages(languages)
        live.print_services(running)


async def _ask_judge() -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, str]]]:
    """Facts about this host, and the languages that hold here."""
    from backend_bench.executors.local import LocalExecutor

    async with contextlib.aclosing(LocalExecutor("best-effort")) as executor:
        return await executor.machine(), await executor.languages()


def _look_at(gpu: str, json_file: str | None) -> None:
    """Look at a place step by step; exit 2 where something is missing."""
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
