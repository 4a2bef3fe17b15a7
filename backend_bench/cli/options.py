"""What several commands are given, and what it means: a suite, a device, operators, a model's configuration.

A command takes the suite's options as one parameter; `expanded` shows typer what they are one by one.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import typer

from backend_bench.cases import SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.executors import choose
from backend_bench.operator import Operator
from backend_bench.submission import Device, SuiteSpec
from backend_bench.suites.near_matches import did_you_mean, near_matches

DeviceOption = Annotated[str, typer.Option("--device", help="auto (a GPU if there is one), cpu or cuda")]
OpsOption = Annotated[str, typer.Option("--ops", help="comma-separated; all by default")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="fix the draws; secret and fresh by default")]
TimingOption = Annotated[
    float | None,
    typer.Option(
        "--timing-s",
        help="seconds that a noisy performance case may be timed; 0.05 on a GPU and 0.6 on a CPU if not given",
    ),
]
JsonOption = Annotated[
    str | None, typer.Option("--json", help="write JSON to this file; - is standard output")
]

_SUITES = "smoke, opinfo, torchbench or facto"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """Which suite, and how much of it: the options that become a `SuiteSpec`."""

    suite: Annotated[str, typer.Option("--suite", help=_SUITES)] = "smoke"
    source: Annotated[str | None, typer.Option("--source", help="where the suite takes its data from")] = None
    cases_per_op: Annotated[
        int | None,
        typer.Option("--cases-per-op", help="torchbench: correctness cases of an operator, at most (12)"),
    ] = None
    topn: Annotated[
        int | None,
        typer.Option("--topn", help="torchbench: only so many recorded calls, the largest that fit"),
    ] = None
    overhead_dominated: Annotated[
        bool, typer.Option("--overhead-dominated", help="torchbench: time calls that are mostly launch, too")
    ] = False
    error_inputs: Annotated[
        bool, typer.Option("--error-inputs", help="opinfo: arguments that must be refused are cases, too")
    ] = False
    perf_cases: Annotated[
        str,
        typer.Option("--perf-cases", help="opinfo, facto: suite (none) or traces, the bundled models' calls"),
    ] = "suite"
    device: DeviceOption = "auto"
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype", help="floating dtype; bfloat16 by default, torchbench keeps the recorded ones"
        ),
    ] = None

    def spec(self, place: str = "local") -> SuiteSpec:
        """What they ask for at a place. Raises `UsageError` for the device; the suite checks the rest."""
        given = dataclasses.asdict(self) | {"device": device_at(place, self.device)}
        return SuiteSpec(name=given.pop("suite"), **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteNamed(SuiteOptions):
    """The same for a command that is about a suite: it has to be named, and without `--suite`."""

    suite: Annotated[str, typer.Argument(help=_SUITES)]  # slots hand no default down


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer is to see it: in the place of a dataclass, an option for each of its fields."""
    groups: dict[str, Any] = {}
    shown: list[inspect.Parameter] = []
    for parameter in _parameters(command):
        kind = parameter.annotation
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            groups[parameter.name] = kind
            shown += _parameters(kind)
        else:
            shown.append(parameter)

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in _parameters(group)})
        command(**given)

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # typer looks here,
    called.__annotations__ = {each.name: each.annotation for each in shown}  # and here
    return called


def _parameters(taker: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a function or a dataclass is given, all by name, with annotations that are no longer text."""
    given = inspect.signature(taker, eval_str=True).parameters.values()
    return [each.replace(kind=each.KEYWORD_ONLY) for each in given]


def check_choice(what: str, value: str | None, choices: Sequence[str]) -> None:
    """Raise `UsageError`, with what was probably meant, for a value that is none of the choices."""
    if value is not None and value not in choices:
        hint = did_you_mean(value, choices)
        raise UsageError(f"unknown {what} {value!r}{hint}; choose {', '.join(choices)}")


def device_at(place: str, device: str) -> Device:
    """Where tensors live at a place, if `--device` says so. Raises `UsageError` where there is no such device."""
    check_choice("device", device, ("auto", *get_args(Device)))
    if device == "cpu":
        return "cpu"
    there = choose.device(place)
    if device == "auto":
        print(f"device: {there}" + (f" ({place})" if place != "local" else ""), file=sys.stderr)
    elif there != "cuda":
        where = "on this host" if place == "local" else f"at {place}"
        raise UsageError(f"no CUDA device {where}; use --device cpu, or a host with a GPU")
    return there


def known_operator(op: Operator, index: SuiteIndex) -> str:
    """The operator's name in a suite. Raises `UsageError` with near matches where it has none of that name."""
    name = str(op)
    if name not in index.entries:
        near = ", ".join(near_matches(name, index.entries)) or "none"
        raise UsageError(f"suite {index.spec.name} has no operator {name}; near matches: {near}")
    return name


def chosen_operators(ops: str, index: SuiteIndex) -> list[str]:
    """The names that `--ops` gives, or all that have cases. Raises `UsageError` for one that the suite has not."""
    if not ops:
        return [name for name, entry in index.entries.items() if entry.correctness or entry.performance]
    named = [Operator.parse(part) for part in ops.split(",") if part.strip()]
    return [known_operator(op, index) for op in named]


def read_config(config: str) -> Any:
    """The JSON of `--config`. Raises `UsageError` where it is none."""
    try:
        return json.loads(config) if config else {}
    except json.JSONDecodeError as problem:
        raise UsageError(f"--config is no JSON object: {problem}") from None
