"""The person's door to a judge: grade and selfcheck. Says what is to be judged, shows progress, keeps what came back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args

import typer

from backend_bench import grade as grading_run
from backend_bench import kernels, languages
from backend_bench.cases import SuiteIndex
from backend_bench.cli.ending import INTERRUPTED, check_writable, fail, usage, write_json
from backend_bench.cli.options import (
    JsonOption,
    OpsOption,
    SeedOption,
    SuiteOptions,
    TimingOption,
    check_choice,
    chosen_operators,
    expanded,
)
from backend_bench.errors import BackendBenchError
from backend_bench.executors import Executor, choose
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Only, Profile, Sandbox, Submission, SuiteSpec
from backend_bench.suites.near_matches import near_matches
from backend_bench.verdict import Verdict

OnlyOption = Annotated[str | None, typer.Option("--only", help="correctness or performance")]
GpuOption = Annotated[
    str, typer.Option("--gpu", help="where it is judged: local, cpu, a service's URL, ray://…")
]
SandboxOption = Annotated[str, typer.Option("--sandbox", help="required, best-effort or off")]

_CHOICES = {
    "language": ("auto", *languages.NAMES),
    "profile": get_args(Profile),
    "only": get_args(Only),
    "sandbox": get_args(Sandbox),
}
"""Rules of a submission that are one of a few words."""


@expanded
def grade(
    path: Annotated[Path, typer.Argument(help="a kernel file, or a folder of operators' folders")],
    *,
    op: Annotated[
        str | None, typer.Option("--op", help="the operator; read from the file by default")
    ] = None,
    options: SuiteOptions,
    language: Annotated[str, typer.Option("--language", help=", ".join(_CHOICES["language"]))] = "auto",
    profile: Annotated[str, typer.Option("--profile", help="strict or backendbench")] = "strict",
    only: OnlyOption = None,
    gpu: GpuOption = "local",
    correctness_on: Annotated[
        str | None, typer.Option("--correctness-on", help="where correctness is judged, if not at --gpu")
    ] = None,
    performance_on: Annotated[
        str | None, typer.Option("--performance-on", help="where performance is judged, if not at --gpu")
    ] = None,
    sandbox: SandboxOption = "best-effort",
    seed: SeedOption = None,
    timing_s: TimingOption = None,
    json_file: JsonOption = None,
) -> None:
    """Judge kernel files: right first, then fast."""
    with usage():
        limits = Limits(timing_s=timing_s)
        rules = _rules(
            language=language, profile=profile, only=only, sandbox=sandbox, seed=seed, limits=limits
        )
        place = choose.place(gpu, correctness_on, performance_on)
        choose.check(place)
        spec = options.spec(place)
        languages.check_device(language, spec.device)
        found = kernels.find(path, op=op, profile=rules["profile"])
        index = _index(spec, place, rules["sandbox"])
    work = [_submission(kernel, index, rules) for kernel in found]
    _judge(_Job(work, index, place=place, what="grading", rules=rules), json_file)


@expanded
def selfcheck(
    *,
    options: SuiteOptions,
    ops: OpsOption = "",
    only: OnlyOption = None,
    gpu: GpuOption = "local",
    sandbox: SandboxOption = "best-effort",
    seed: SeedOption = None,
    timing_s: TimingOption = None,
    json_file: JsonOption = None,
) -> None:
    """Judge ATen against itself through the whole path: nothing may fail."""
    with usage():
        rules = _rules(only=only, sandbox=sandbox, seed=seed, limits=Limits(timing_s=timing_s))
        choose.check(gpu)
        index = _index(options.spec(gpu), gpu, rules["sandbox"])
        names = chosen_operators(ops, index)
    work = [
        Submission(op=Operator.parse(name), suite=index.spec, kind="reference", **rules) for name in names
    ]
    _judge(_Job(work, index, place=gpu, what="checking", rules=rules), json_file)


# --- what is to be judged ----------------------------------------------------------------------


def _rules(**given: Any) -> dict[str, Any]:
    """These fields of a `Submission`, once each is one of its words. Raises `UsageError`."""
    for what, choices in _CHOICES.items():
        check_choice(what, given.get(what), choices)
    return given


def _index(spec: SuiteSpec, place: str, sandbox: Sandbox) -> SuiteIndex:
    """The suite's index. A judge of this host that must be started imports torch while the index is read."""
    from backend_bench import runtime
    from backend_bench.executors import launch

    if place in choose.LOCAL:
        launch.ensure(runtime.address(sandbox), sandbox)
    return choose.read_index(place, spec)


def _submission(
    kernel: kernels.KernelFile, index: SuiteIndex, rules: Mapping[str, Any]
) -> Submission | Verdict:
    """A kernel as it goes to the judge; its verdict, where there is nothing to judge."""
    name = str(kernel.op)
    if name not in index.entries:
        return grading_run.unknown_operator(kernel, index.spec.name, near_matches(name, index.entries))
    if kernel.source is None:
        return grading_run.missing_kernel(kernel, rules.get("only"))
    return Submission(op=kernel.op, source=kernel.source, suite=index.spec, **rules)


# --- judging it --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """What a command has judged, and where."""

    work: Sequence[Submission | Verdict]
    """Submissions, and verdicts that are known already, in the order in which they are told."""
    index: SuiteIndex
    """The suite's."""
    place: str
    """Where it is judged."""
    what: str
    """What the progress bar says is going on."""
    rules: Mapping[str, Any]
    """What all submissions have in common."""


def _judge(job: _Job, json_file: str | None) -> NoReturn:
    """Judge, show progress, write what there is even when interrupted, and exit with the right code."""
    from backend_bench.report import table

    with usage():
        check_writable(json_file)
    verdicts = {number: each for number, each in enumerate(job.work) if isinstance(each, Verdict)}
    machine: Mapping[str, Any] = {}
    fault = ""
    try:
        machine = asyncio.run(_submit(job, verdicts))
    except BackendBenchError as error:
        fault = str(error)
    except KeyboardInterrupt:
        fault = INTERRUPTED
    ordered = [verdicts[number] for number in sorted(verdicts)]
    if json_file != "-" and ordered:
        table.print_verdicts(ordered)
    if json_file:
        with usage():
            write_json(json_file, _document(job, ordered, machine, fault))
    if fault:
        fail(fault)
    raise typer.Exit(grading_run.exit_code(ordered))


async def _submit(job: _Job, verdicts: dict[int, Verdict]) -> Mapping[str, Any]:
    """Add each verdict under its number as it comes. Returns machine facts; none where nothing went out."""
    from backend_bench.report import terminal

    submissions = {number: each for number, each in enumerate(job.work) if isinstance(each, Submission)}
    if not submissions:
        return {}
    numbers = list(submissions)
    async with _executor(job.place, job.rules["sandbox"]) as executor:
        facts = asyncio.create_task(executor.machine())
        with terminal.progress(len(submissions), job.what) as advance:

            def done(position: int, verdict: Verdict) -> None:
                verdicts[numbers[position]] = verdict
                advance(verdict)

            await grading_run.grade_all(executor, list(submissions.values()), done=done)
        return await facts


@contextlib.asynccontextmanager
async def _executor(place: str, sandbox: Sandbox) -> AsyncIterator[Executor]:
    """The way to a place, closed afterwards."""
    from backend_bench.executors.local import LocalExecutor

    if place in choose.LOCAL:
        async with contextlib.aclosing(LocalExecutor(sandbox)) as executor:
            yield executor
        return
    try:
        yield choose.choose(place)
    finally:
        await choose.release()


def _document(
    job: _Job, verdicts: Sequence[Verdict], machine: Mapping[str, Any], fault: str
) -> dict[str, Any]:
    """The JSON of grade and selfcheck, schema 1."""
    from backend_bench.records import verdict_json

    return {
        "schema": 1,
        "machine": machine,
        "suite": job.index.spec.name,
        "source": job.index.source,
        "device": job.index.spec.device,
        "dtype": job.index.spec.dtype,
        "profile": job.rules.get("profile", "strict"),
        "verdicts": [verdict_json(verdict) for verdict in verdicts],
        **({"fault": fault} if fault else {}),
    }
