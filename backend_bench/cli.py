"""The person's door: parses, calls, prints. What a command does is done elsewhere.

Exit codes: 0 all right, 1 a kernel failed, 2 wrong usage, our own fault, or nothing graded.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from backend_bench import __version__, cli_runs, cli_service, cli_trace
from backend_bench.cli_runs import usage, write_json
from backend_bench.errors import BackendBenchError, UsageError

app = typer.Typer(
    name="backend-bench",
    help="How well does a language model write GPU kernels for PyTorch operators?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
T = TypeVar("T")

_SUITE = Annotated[str, typer.Option("--suite", help="smoke, opinfo, torchbench or facto")]
_DEVICE = Annotated[str, typer.Option("--device", help="auto (a GPU if there is one), cpu or cuda")]
_DTYPE = Annotated[
    str | None,
    typer.Option("--dtype", help="floating dtype; bfloat16 by default, torchbench keeps the recorded ones"),
]
_SOURCE = Annotated[str | None, typer.Option("--source", help="where the suite takes its data from")]
_CASES = Annotated[
    int | None,
    typer.Option("--cases-per-op", help="torchbench: correctness cases of an operator, at most (12)"),
]
_TOPN = Annotated[
    int | None, typer.Option("--topn", help="torchbench: only so many recorded calls, the largest that fit")
]
_OVERHEAD = Annotated[
    bool, typer.Option("--overhead-dominated", help="torchbench: time calls that are mostly launch, too")
]
_JSON = Annotated[str | None, typer.Option("--json", help="write JSON to this file; - is standard output")]
_OPS = Annotated[str, typer.Option("--ops", help="comma-separated; all by default")]
_SANDBOX = Annotated[str, typer.Option("--sandbox", help="required, best-effort or off")]
_SEED = Annotated[int | None, typer.Option("--seed", help="fix the draws; secret and fresh by default")]
_ONLY = Annotated[str | None, typer.Option("--only", help="correctness or performance")]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="say the version and stop")] = False,
) -> None:
    if version:
        print(f"backend-bench {__version__}")
        raise typer.Exit


@app.command()
def grade(
    path: Annotated[Path, typer.Argument(help="a kernel file, or a folder of operators' folders")],
    op: Annotated[
        str | None, typer.Option("--op", help="the operator; read from the file by default")
    ] = None,
    suite: _SUITE = "smoke",
    source: _SOURCE = None,
    cases_per_op: _CASES = None,
    topn: _TOPN = None,
    overhead_dominated: _OVERHEAD = False,
    device: _DEVICE = "auto",
    dtype: _DTYPE = None,
    language: Annotated[str, typer.Option("--language", help="auto, triton or pytorch")] = "auto",
    profile: Annotated[str, typer.Option("--profile", help="strict or backendbench")] = "strict",
    only: _ONLY = None,
    sandbox: _SANDBOX = "best-effort",
    seed: _SEED = None,
    json_file: _JSON = None,
) -> None:
    """Judge kernel files: right first, then fast."""
    from backend_bench import grade as grading_run
    from backend_bench import kernels
    from backend_bench.submission import Submission

    with usage():
        rules = _rules(language=language, profile=profile, only=only, sandbox=sandbox, seed=seed)
        spec = _spec(suite, device, dtype, source, cases_per_op, topn, overhead_dominated)
        found = kernels.find(path, op=op, profile=rules["profile"])
        _begin(rules["sandbox"])
        index = _index(spec)
    known: list[Any] = []
    ready: dict[int, Any] = {}
    for number, kernel in enumerate(found):
        if str(kernel.op) not in index.entries:
            ready[number] = grading_run.unknown_operator(kernel, suite, _near(str(kernel.op), index.entries))
        elif kernel.source is None:
            ready[number] = grading_run.missing_kernel(kernel)
        else:
            submission = Submission(op=kernel.op, source=kernel.source, suite=index.spec, **rules)
            known.append((number, submission))
    _judge(
        known, ready, index=index, profile=rules["profile"], sandbox=sandbox, json_file=json_file,
        what="grading",
    )  # fmt: skip


@app.command()
def selfcheck(
    suite: _SUITE = "smoke",
    ops: _OPS = "",
    source: _SOURCE = None,
    cases_per_op: _CASES = None,
    topn: _TOPN = None,
    overhead_dominated: _OVERHEAD = False,
    device: _DEVICE = "auto",
    dtype: _DTYPE = None,
    only: _ONLY = None,
    sandbox: _SANDBOX = "best-effort",
    seed: _SEED = None,
    json_file: _JSON = None,
) -> None:
    """Judge ATen against itself through the whole path: nothing may fail."""
    from backend_bench.operator import Operator
    from backend_bench.submission import Submission

    with usage():
        rules = _rules(only=only, sandbox=sandbox, seed=seed)
        spec = _spec(suite, device, dtype, source, cases_per_op, topn, overhead_dominated)
        _begin(rules["sandbox"])
        index = _index(spec)
        names = _selected(ops, index)
    submissions = [
        Submission(op=Operator.parse(name), suite=index.spec, kind="reference", **rules) for name in names
    ]
    _judge(
        list(enumerate(submissions)), {}, index=index, profile="strict", sandbox=sandbox, json_file=json_file,
        what="checking",
    )  # fmt: skip


@app.command()
def audit_suite(
    suite: Annotated[str, typer.Argument(help="smoke, opinfo, torchbench or facto")],
    ops: _OPS = "",
    source: _SOURCE = None,
    cases_per_op: _CASES = None,
    topn: _TOPN = None,
    overhead_dominated: _OVERHEAD = False,
    device: _DEVICE = "auto",
    dtype: _DTYPE = None,
    seed: _SEED = None,
    json_file: _JSON = None,
) -> None:
    """Run trivial kernels against every operator of a suite: none may survive where it is wrong."""
    import secrets

    from backend_bench.report import audit, terminal

    with usage():
        index = _index(_spec(suite, device, dtype, source, cases_per_op, topn, overhead_dominated))
        names = _selected(ops, index)
        _extra("torch", "auditing a suite on this host needs torch", "[judge]")
        _check_writable(json_file)
        seed = secrets.randbits(32) if seed is None else seed
        with terminal.progress(len(names), "auditing") as advance:
            audits, machine = _audits(index, names, seed, advance)
    document = audit.document(audits, machine=machine, index=index, seed=seed)
    if json_file:
        _write_json(json_file, document)
    if json_file != "-":
        audit.print_audit(document)
    raise typer.Exit(audit.exit_code(audits))


@app.command()
def ops(
    suite: _SUITE = "smoke",
    source: _SOURCE = None,
    cases_per_op: _CASES = None,
    topn: _TOPN = None,
    overhead_dominated: _OVERHEAD = False,
    device: _DEVICE = "auto",
    dtype: _DTYPE = None,
    json_file: _JSON = None,
) -> None:
    """List a suite's operators and how many cases each has."""
    from backend_bench.report import terminal

    with usage():
        index = _index(_spec(suite, device, dtype, source, cases_per_op, topn, overhead_dominated))
    listing = [
        {
            "op": entry.op,
            "correctness_cases": len(entry.correctness),
            "performance_cases": len(entry.performance),
            **_counts(entry),
            **({"reason": entry.reason} if entry.reason else {}),
        }
        for entry in index.entries.values()
    ]
    if json_file:
        _write_json(json_file, {"schema": 1, "suite": suite, "source": index.source, "operators": listing})
    if json_file != "-":
        terminal.print_operators(listing, title=f"{suite}: {index.source}")


def _counts(entry: Any) -> dict[str, Any]:
    """How often models make these calls, where that was recorded."""
    if not entry.calls:
        return {}
    return {
        "calls": entry.calls,
        "correctness_calls": list(entry.correctness_calls),
        "performance_calls": list(entry.performance_calls),
    }


@app.command()
def prompt(
    op: Annotated[str, typer.Argument(help="an operator, such as add.Tensor")],
    language: Annotated[str, typer.Option("--language", help="triton or pytorch")] = "triton",
    suite: _SUITE = "smoke",
    source: _SOURCE = None,
    cases_per_op: _CASES = None,
    topn: _TOPN = None,
    overhead_dominated: _OVERHEAD = False,
    device: _DEVICE = "auto",
    dtype: _DTYPE = None,
    template: Annotated[Path | None, typer.Option("--template", help="a prompt template of your own")] = None,
) -> None:
    """Print what a model is asked for an operator."""
    from backend_bench.dialogue import prompt as prompts
    from backend_bench.operator import Operator

    with usage():
        _choice("language", language, ("triton", "pytorch"))
        index = _index(_spec(suite, device, dtype, source, cases_per_op, topn, overhead_dominated))
        name = str(Operator.parse(op))
        if name not in index.entries:
            near = _near(name, index.entries)
            raise UsageError(
                f"suite {suite} has no operator {name}; near matches: {', '.join(near) or 'none'}"
            )
        brief = prompts.Brief(
            entry=index.entries[name],
            language=language,  # type: ignore[arg-type]  # checked above
            device=index.spec.device,
        )
        print(prompts.prompt(brief, template=prompts.read_template(template) if template else None))


@app.command()
def doctor(
    device: _DEVICE = "auto",
    json_file: _JSON = None,
) -> None:
    """Say what this machine has, which walls of the sandbox hold here, and which judge services run."""
    from backend_bench.executors import services
    from backend_bench.report import live, terminal

    with usage():
        _device(device)
        facts = _at_judge("best-effort", lambda executor: executor.machine())
        running = [
            {"pid": seen.pid, "name": seen.address.name, "log": str(seen.address.log), "state": seen.state}
            for seen in services.running()
        ]
    if json_file:
        _write_json(json_file, {"schema": 1, "machine": dict(facts), "services": running})
    if json_file != "-":
        terminal.print_facts(facts)
        live.print_services(running)


@app.command()
def author(
    name: Annotated[str, typer.Argument(help="builtin/pytorch or builtin/triton")],
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="port to listen on")] = 8000,
) -> None:
    """Serve a built-in model over the OpenAI protocol, for vf-eval or anything else."""
    from backend_bench.authors.server import serve

    with usage():
        serve(name if name.startswith("builtin/") else f"builtin/{name}", host, port)


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
def eval(context: typer.Context) -> None:
    """Evaluate a model: -m MODEL -b URL -k KEY_VAR -a '{"suite": "smoke", "num_turns": 2}' …"""
    _extra("verifiers", "evaluating a model needs verifiers")
    from backend_bench.environment.eval import run_eval

    raise typer.Exit(run_eval(context.args))


cli_runs.add_to(app)
cli_service.add_to(app)
app.command()(cli_trace.trace)


# --- what the commands share -------------------------------------------------------------------


def _fail(message: str) -> NoReturn:
    print(f"backend-bench: {message}", file=sys.stderr)
    raise typer.Exit(2)


def _extra(module: str, because: str, extra: str = "") -> None:
    import importlib.util

    if importlib.util.find_spec(module) is None:
        _fail(f'{because}: pip install "backend-bench{extra}"')


def _choice(what: str, value: str | None, choices: Sequence[str]) -> None:
    from backend_bench.suites.near_matches import did_you_mean

    if value is not None and value not in choices:
        raise UsageError(
            f"unknown {what} {value!r}{did_you_mean(value, choices)}; choose {', '.join(choices)}"
        )


def _rules(**given: Any) -> dict[str, Any]:
    choices = {
        "language": ("auto", "triton", "pytorch"),
        "profile": ("strict", "backendbench"),
        "only": ("correctness", "performance"),
        "sandbox": ("required", "best-effort", "off"),
    }
    for what, values in choices.items():
        if what in given:
            _choice(what, given[what], values)
    return given


def _spec(
    suite: str, device: str, dtype: str | None, source: str | None,
    cases_per_op: int | None, topn: int | None, overhead_dominated: bool,
) -> Any:  # fmt: skip
    from backend_bench.submission import SuiteSpec

    return SuiteSpec(
        name=suite,  # type: ignore[arg-type]  # the suite checks
        device=_device(device),  # type: ignore[arg-type]  # checked there
        dtype=dtype,
        source=source,
        cases_per_op=cases_per_op,
        topn=topn,
        overhead_dominated=overhead_dominated,
    )


def _device(device: str) -> str:
    """`cpu` or `cuda`, whichever is meant and there."""
    from backend_bench.executors import choose

    _choice("device", device, ("auto", "cpu", "cuda"))
    if device == "auto":
        device = choose.device("local")
        print(f"device: {device}", file=sys.stderr)
    elif device == "cuda" and choose.device("local") != "cuda":
        raise UsageError("no CUDA device on this host; use --device cpu, or a host with a GPU")
    return device


def _begin(sandbox: str) -> None:
    """A judge that must be started imports torch while the suite is read here."""
    from backend_bench import runtime
    from backend_bench.executors import launch

    launch.ensure(runtime.address(sandbox), sandbox)  # type: ignore[arg-type]  # checked by the caller


def _index(spec: Any) -> Any:
    from backend_bench.executors import choose

    return choose.read_index("local", spec)


def _near(name: str, known: Any) -> list[str]:
    from backend_bench.suites.near_matches import near_matches

    return list(near_matches(name, list(known)))


def _selected(text: str, index: Any) -> list[str]:
    from backend_bench.operator import Operator

    if not text:
        return [name for name, entry in index.entries.items() if entry.correctness or entry.performance]
    names = [str(Operator.parse(part)) for part in text.split(",") if part.strip()]
    for name in names:
        if name not in index.entries:
            near = ", ".join(_near(name, index.entries)) or "none"
            raise UsageError(f"suite {index.spec.name} has no operator {name}; near matches: {near}")
    return names


def _at_judge(sandbox: str, ask: Callable[[Any], Any]) -> Any:
    from backend_bench.executors.local import LocalExecutor

    async def run() -> Any:
        executor = LocalExecutor(sandbox)  # type: ignore[arg-type]  # checked by the caller
        try:
            return await ask(executor)
        finally:
            await executor.aclose()

    return asyncio.run(run())


def _judge(
    submissions: list[tuple[int, Any]], ready: dict[int, Any], *, index: Any, profile: str,
    sandbox: str, json_file: str | None, what: str,
) -> NoReturn:  # fmt: skip
    """Judge, show progress, write what there is even when interrupted, and exit with the right code."""
    from backend_bench import grade as grading_run
    from backend_bench.report import table, terminal

    _check_writable(json_file)
    verdicts: dict[int, Any] = dict(ready)
    machine: dict[str, Any] = {}
    fault = ""

    async def ask(executor: Any) -> None:
        if not submissions:
            return
        facts = asyncio.create_task(executor.machine())
        numbers = [number for number, _ in submissions]
        with terminal.progress(len(submissions), what) as advance:

            def done(position: int, verdict: Any) -> None:
                verdicts[numbers[position]] = verdict
                advance(verdict)

            await grading_run.grade_all(executor, [submission for _, submission in submissions], done=done)
        machine.update(await facts)

    try:
        _at_judge(sandbox, ask)
    except BackendBenchError as error:
        fault = str(error)
    except KeyboardInterrupt:
        fault = "interrupted; what was finished is kept"
    ordered = [verdicts[number] for number in sorted(verdicts)]
    if json_file != "-" and ordered:
        table.print_verdicts(ordered)
    if json_file:
        _write_json(json_file, _document(ordered, index, machine, profile, fault))
    if fault:
        _fail(fault)
    raise typer.Exit(grading_run.exit_code(ordered))


def _document(verdicts: list[Any], index: Any, machine: dict[str, Any], profile: str, fault: str) -> Any:
    from backend_bench.records import verdict_json

    return {
        "schema": 1,
        "machine": machine,
        "suite": index.spec.name,
        "source": index.source,
        "device": index.spec.device,
        "dtype": index.spec.dtype,
        "profile": profile,
        "verdicts": [verdict_json(verdict) for verdict in verdicts],
        **({"fault": fault} if fault else {}),
    }


def _audits(
    index: Any, names: list[str], seed: int, advance: Callable[[Any], None]
) -> tuple[list[Any], dict[str, Any]]:
    """The audits of the operators in the order asked for, and machine facts."""
    from backend_bench.mutants import fleet

    found: dict[str, Any] = {}

    def done(one: Any) -> None:
        found[one.op] = one
        advance(one)

    with_cases = [name for name in names if index.entries[name].correctness]
    machine = fleet.audit_suite(fleet.Order(index.spec, seed), with_cases, done=done)
    return [found[name] for name in with_cases], machine


def _check_writable(json_file: str | None) -> None:
    """Say so before an hour of judging and not after it."""
    if json_file in (None, "-"):
        return
    folder = Path(json_file or "").parent
    if not folder.is_dir() or Path(json_file or "").is_dir():
        _fail(f"cannot write {json_file}: {folder} is no folder, or {json_file} is one")


def _write_json(target: str, document: Any) -> None:
    with usage():
        write_json(target, document)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
