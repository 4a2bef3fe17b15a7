"""Options that several commands share are written once, and typer sees each of them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from backend_bench import cli
from backend_bench.cases import Entry, SuiteIndex
from backend_bench.cli.options import SuiteNamed, SuiteOptions, chosen_operators, device_at, expanded
from backend_bench.errors import UsageError
from backend_bench.submission import SuiteSpec

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group
INDEX = SuiteIndex(
    spec=SuiteSpec(),
    source="none",
    torch="none",
    entries={
        "add.Tensor": Entry(op="add.Tensor", correctness=("()",)),
        "relu.default": Entry(op="relu.default"),
    },
)


seen: list[Any] = []
app = typer.Typer()


@app.command()
@expanded
def look(
    word: Annotated[str, typer.Argument()],
    *,
    options: SuiteOptions,
    loud: Annotated[bool, typer.Option("--loud")] = False,
) -> None:
    seen[:] = [word, options, loud]


@app.command()
@expanded
def name(*, options: SuiteNamed) -> None:
    seen[:] = [options]


def told(line: str) -> int | list[Any]:
    """What the command is given; the exit code where it is not called."""
    done = CliRunner().invoke(app, line.split())
    return done.exit_code or seen


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", {}),
        ("--suite opinfo --dtype float32", {"suite": "opinfo", "dtype": "float32"}),
        ("--source x --device cpu", {"source": "x", "device": "cpu"}),
        ("--cases-per-op 3 --topn 4", {"cases_per_op": 3, "topn": 4}),
        ("--overhead-dominated", {"overhead_dominated": True}),
        ("--error-inputs --perf-cases traces", {"error_inputs": True, "perf_cases": "traces"}),
    ],
)
def test_a_command_is_given_its_options_as_one(line: str, given: dict[str, Any]) -> None:
    assert told(f"look word --loud {line}") == ["word", SuiteOptions(**given), True]


def test_a_suite_that_has_to_be_named_is_an_argument_and_no_option() -> None:
    assert told("name facto --topn 2") == [SuiteNamed(suite="facto", topn=2)]
    assert told("name") == 2
    assert told("name --suite facto") == 2


@pytest.mark.parametrize("command", ["grade", "selfcheck", "audit-suite", "ops", "prompt"])
def test_commands_on_suites_have_the_same_options(command: str) -> None:
    shown = [parameter.name for parameter in COMMANDS[command].params]
    fields = [field.name for field in dataclasses.fields(SuiteOptions)]
    assert [name for name in shown if name in fields] == fields


def test_the_options_are_the_spec_and_its_defaults() -> None:
    assert SuiteOptions(device="cpu").spec() == SuiteSpec()
    given = {field.name for field in dataclasses.fields(SuiteOptions)}
    assert given - {"suite"} == {field.name for field in dataclasses.fields(SuiteSpec)} - {"name"}


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown device 'cud'; did you mean cuda"):
        device_at("local", "cud")


def test_without_names_those_with_cases_are_chosen() -> None:
    assert chosen_operators("", INDEX) == ["add.Tensor"]
    assert chosen_operators("relu, aten.add.Tensor,", INDEX) == ["relu.default", "add.Tensor"]


def test_an_operator_that_the_suite_has_not_is_refused_with_near_matches() -> None:
    with pytest.raises(UsageError, match=r"smoke has no operator add\.Scalar; near matches: add\.Tensor"):
        chosen_operators("add.Scalar", INDEX)
