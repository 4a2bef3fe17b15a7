"""A judge service at work: its queues and devices, drawn again and again; plain lines where nobody watches.

Draws what a service says of itself; asks nothing and judges nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from backend_bench.report.table import own_console

State = Mapping[str, Any]

_LATEST = 12
"""Finished submissions that are shown."""


def watch(states: Iterable[State], *, title: str) -> None:
    """Show every state as it comes, until there are no more."""
    if not sys.stdout.isatty():
        _watch_plainly(states, title)
        return
    with Live(console=own_console(), auto_refresh=False) as live:
        for state in states:
            live.update(picture(state, title), refresh=True)


def picture(state: State, title: str) -> Group:
    """One state: a line for each device, and what was finished last."""
    devices = Table(box=None, pad_edge=False)
    for column in ("device", "running", "waiting"):
        devices.add_column(column)
    for device in state["devices"]:
        running = ", ".join(f"{place['op']} {place['for_s']:.0f} s" for place in device["running"])
        waiting = ", ".join(f"{client}: {count}" for client, count in device["waiting"].items())
        devices.add_row(device["device"], Text(running or "–"), Text(waiting or "–"))
    finished = Table(box=None, pad_edge=False)
    for column in ("finished", "outcome", "queue", "time", "client"):
        finished.add_column(column)
    for done in list(state["finished"])[-_LATEST:]:
        finished.add_row(*_cells(done))
    parts = [devices] if state["devices"] else [Text("nothing has been asked yet", style="dim")]
    return Group(Text(title, style="bold"), *parts, *([finished] if state["finished"] else []))


def _watch_plainly(states: Iterable[State], title: str) -> None:
    print(title, flush=True)
    seen: set[int] = set()
    for state in states:
        for done in state["finished"]:
            if done["number"] not in seen:
                seen.add(done["number"])
                print("  ".join(_cells(done)), flush=True)


def _cells(done: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        done["op"],
        str(done["outcome"]),
        f"{done['queue_s']:.1f} s",
        f"{done['wall_s']:.1f} s on {done['device']}",
        done["client"],
    )


def print_services(services: Iterable[Mapping[str, Any]]) -> None:
    """Which services run: one line each."""
    console = own_console()
    for service in services:
        facts = f"process {service['pid']}, {service['name']}, log {service['log']}"
        console.print(Text.assemble((f"{'service':<12}", "bold"), facts), soft_wrap=True)
