"""What a place has and what it lacks, step by step: the first thing that is missing is told, with what to do.

Asks the place itself, as a submission would; repairs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend_bench.errors import BackendBenchError
from backend_bench.executors import choose


@dataclass(frozen=True, slots=True)
class Finding:
    """One step's outcome."""

    place: str
    """The place that was looked at."""
    step: str
    """What was looked at."""
    holds: bool
    """Whether it is there."""
    text: str
    """What was found; else what is missing, and what to do."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the place, with the last step."""


def diagnose(gpu: str) -> Iterator[Finding]:
    """Look at a place, or at each of two; nothing is looked at beyond the first thing that is missing."""
    for place in gpu.split(choose.THEN):
        yield from _diagnose_one(place)


def _diagnose_one(place: str) -> Iterator[Finding]:
    step = "name"
    try:
        choose.check(place)
        yield Finding(place, step, True, "a place that is known")
        for step, look in choose.steps(place):
            yield Finding(place, step, True, look())
        step = "answer"
        facts = asyncio.run(_machine(place))
        yield Finding(place, step, True, _summary(facts), facts)
    except BackendBenchError as error:
        yield Finding(place, step, False, str(error))


async def _machine(place: str) -> dict[str, Any]:
    try:
        return dict(await choose.choose(place).machine())
    finally:
        await choose.release()


def _summary(facts: Mapping[str, Any]) -> str:
    """The build that judges there, and on what."""
    cards: Sequence[Any] = [gpu.get("name") for gpu in facts.get("gpus", ())] or ["its CPU"]
    missing = sum(len(walls["missing"]) for walls in facts.get("sandbox", {}).values())
    walls = f"{missing} walls of the sandbox missing" if missing else "every wall of the sandbox stands"
    return f"backend-bench {facts.get('version')}, torch {facts.get('torch')}, {', '.join(map(str, cards))}; {walls}"
