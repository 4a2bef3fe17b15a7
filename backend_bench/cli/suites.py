"""The person's door to suites: audit-suite, ops, and prompt, what a model is asked for one of their operators."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend_bench import languages
from backend_bench.cases import Entry, SuiteIndex
from backend_bench.cli.ending import INTERRUPTED, check_writable, fail, usage, write_json
from backend_bench.cli.options import (
    JsonOption,
    OpsOption,
    SeedOption,
    SuiteNamed,
    SuiteOptions,
    check_choice,
    chosen_operators,
    expanded,
    known_operator,
)
from backend_bench.errors import need
from backend_bench.executors import choose
from backend_bench.operator import Operator

if TYPE_CHECKING:
    from backend_bench.fates import OperatorAudit


@expanded
def audit_suite(
    *,
    options: SuiteNamed,
    ops: OpsOption = "",
    seed: SeedOption = None,
    json_file: JsonOption = None,
) -> None:
    """Run trivial kernels against every operator of a suite: none may survive where it is wrong."""
    from backend_bench.report import audit

    with usage():
        index = choose.read_index("local", options.spec())
        names = chosen_operators(ops, index)
        need("torch", "judge", "auditing a suite on this host needs torch")
        check_writable(json_file)
        seed = secrets.randbits(32) if seed is None else seed
        audits, machine, fault = _audits(index, names, seed)
        document = audit.document(audits, machine=machine, index=index, seed=seed)
        if json_file:
            write_json(json_file, document)
    if json_file != "-":
        audit.print_audit(document)
    if fault:
        fail(fault)
    raise typer.Exit(audit.exit_code(audits))


def _audits(
    index: SuiteIndex, names: Sequence[str], seed: int
) -> tuple[list[OperatorAudit], dict[str, Any], str]:
    """The audits of the operators in the order asked for, machine facts, and what kept it from coming to its end."""
    from backend_bench.mutants import fleet
    from backend_bench.report import terminal

    found: dict[str, OperatorAudit] = {}
    with terminal.progress(len(names), "auditing") as advance:

        def done(one: OperatorAudit) -> None:
            found[one.op] = one
            advance(one)

        with_cases = [name for name in names if index.entries[name].correctness]
        try:
            machine, fault = fleet.audit_suite(fleet.Order(index.spec, seed), with_cases, done=done), ""
        except KeyboardInterrupt:
            machine, fault = {}, INTERRUPTED
    return [found[name] for name in with_cases if name in found], machine, fault


@expanded
def ops(*, options: SuiteOptions, json_file: JsonOption = None) -> None:
    """List a suite's operators and how many cases each has."""
    from backend_bench.report import terminal

    suite = options.suite
    with usage():
        index = choose.read_index("local", options.spec())
        listing = [_listed(entry, options) for entry in index.entries.values()]
        if json_file:
            write_json(json_file, {"schema": 1, "suite": suite, "source": index.source, "operators": listing})
    if json_file != "-":
        terminal.print_operators(listing, title=f"{suite}: {index.source}")


def _listed(entry: Entry, options: SuiteOptions) -> dict[str, Any]:
    """An operator's line: its cases, and how often models make these calls where that was recorded."""
    line: dict[str, Any] = {
        "op": entry.op,
        "correctness_cases": len(entry.correctness),
        "performance_cases": len(entry.performance),
    }
    if options.error_inputs:
        line["error_inputs"] = len(entry.error_inputs)
    if entry.calls:
        line["calls"] = entry.calls
        line["correctness_calls"] = list(entry.correctness_calls)
        line["performance_calls"] = list(entry.performance_calls)
    if entry.untimed:
        line["untimed"] = entry.untimed
    if entry.reason:
        line["reason"] = entry.reason
    return line


@expanded
def prompt(
    op: Annotated[str, typer.Argument(help="an operator, such as add.Tensor")],
    *,
    language: Annotated[str, typer.Option("--language", help=", ".join(languages.NAMES))] = "triton",
    options: SuiteOptions,
    template: Annotated[Path | None, typer.Option("--template", help="a prompt template of your own")] = None,
    budget: Annotated[int | None, typer.Option("--budget", help="characters, at most (12000)")] = None,
) -> None:
    """Print what a model is asked for an operator."""
    from backend_bench.dialogue import prompt as prompts

    with usage():
        check_choice("language", language, languages.NAMES)
        index = choose.read_index("local", options.spec())
        operator = Operator.parse(op)
        brief = prompts.Brief(
            entry=index.entries[known_operator(operator, index)],
            language=language,  # type: ignore[arg-type]  # checked above
            device=index.spec.device,
            gpu=choose.gpu_facts("local") if index.spec.device == "cuda" else None,
            example=languages.example_beside(language, operator),  # type: ignore[arg-type]  # checked above
        )
        own = prompts.read_template(template) if template else None
        print(prompts.prompt(brief, template=own, budget=budget or prompts.BUDGET), end="")
