"""Mutants are wrong in the way that they say, and nowhere else; what is not caught is told apart honestly."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.fates import OperatorAudit
from backend_bench.grading.checker import check
from backend_bench.grading.observing import observe
from backend_bench.grading.oracle import expect
from backend_bench.mutants.answers import wrong_answers
from backend_bench.mutants.audit import audit
from backend_bench.mutants.likeness import Likeness, is_identity, likeness
from backend_bench.mutants.mutant import DoesNotApply, Mutant
from backend_bench.mutants.probes import probes
from backend_bench.mutants.readings import wrong_readings
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, open_suite

aten = torch.ops.aten


def mutants(op: torch._ops.OpOverload, call: Call) -> dict[str, Mutant]:
    return {mutant.name: mutant for mutant in [*wrong_answers(op), *wrong_readings(op, call)]}


def message(op: torch._ops.OpOverload, mutant: str, call: Call) -> str:
    """What the checker says about it; `does not apply` where it is the operator itself."""
    try:
        return check(expect(op, call), observe(mutants(op, call)[mutant].kernel, call)).message
    except DoesNotApply:
        return "does not apply"


def smoke() -> Suite:
    return open_suite(SuiteSpec(name="smoke", device="cpu", dtype="float32"))


def fates(found: OperatorAudit) -> dict[str, str]:
    return {fate.name: fate.outcome for fate in found.fates}


def test_every_wrong_answer_to_an_addition_is_wrong_in_its_values_alone() -> None:
    call = Call((torch.randn(40, 33), torch.randn(40, 33)), {"alpha": 2})
    alone = [mutant for mutant in wrong_answers(aten.add.Tensor) if "remembers" not in mutant.name]
    for mutant in alone:
        said = message(aten.add.Tensor, mutant.name, call)
        assert "elements differ" in said or said == "does not apply", f"{mutant.name}: {said}"


def test_an_ignored_argument_is_caught_where_it_is_given() -> None:
    given = Call((torch.randn(5), torch.randn(5)), {"alpha": 2})
    assert "elements differ" in message(aten.add.Tensor, "ignores alpha", given)
    assert message(aten.add.Tensor, "ignores alpha", Call(given.args)) == "does not apply"


def test_strides_are_ignored_only_where_there_are_any() -> None:
    plain = torch.randn(4, 7)
    assert message(aten.relu.default, "ignores strides", Call((plain,))) == "does not apply"
    assert "elements differ" in message(aten.relu.default, "ignores strides", Call((plain.t(),)))


def test_a_mutant_of_an_in_place_operator_writes_where_the_operator_writes() -> None:
    call = Call((torch.randn(6, 5).t(), torch.randn(5, 6)))
    for name in ("zeros", "ignores strides", "reads transposed"):
        assert "elements differ" in message(aten.add_.Tensor, name, call), name
    assert message(aten.add_.Tensor, "does not write in place", call).startswith("output 0 is not input 0")


def test_running_statistics_are_still_written_by_a_mutant_that_misreads() -> None:
    x = torch.randn(3, 4, 5)
    call = Call((x, torch.ones(4), torch.zeros(4), torch.zeros(4), torch.ones(4), True, 0.5, 1e-5))
    said = message(aten.native_batch_norm.default, "hard-codes momentum", call)
    assert said == "does not apply"
    other = Call((*call.args[:6], 0.1, 1e-5))
    wrong = mutants(aten.native_batch_norm.default, call)["hard-codes momentum"]
    finding = check(expect(aten.native_batch_norm.default, other), observe(wrong.kernel, other))
    assert finding.message.startswith("input 3 after the call")


def test_broadcasting_along_the_first_dimension_reads_flat_and_is_no_mistake() -> None:
    whole = torch.randn(4, 5)
    trailing, leading = Call((whole, torch.randn(5))), Call((whole, torch.randn(4, 1)))
    assert message(aten.mul.Tensor, "broadcasts wrongly", trailing) == "does not apply"
    assert "elements differ" in message(aten.mul.Tensor, "broadcasts wrongly", leading)


@pytest.mark.slow
def test_a_copy_of_the_first_input_is_right_for_clone_and_is_no_survivor() -> None:
    suite = open_suite(SuiteSpec(name="opinfo", device="cpu", dtype="float32"))
    outcomes = fates(audit(suite, "clone.default", seed=3))
    assert outcomes["the first input"] == "right"
    assert outcomes["zeros"] == "killed"
    assert "survived" not in outcomes.values()


def test_a_formula_that_rounds_otherwise_is_the_operator_and_one_of_less_precision_is_not() -> None:
    call = Call((torch.randn(30),))
    exp = aten.exp.default
    assert is_identity(exp, lambda x: torch.exp2(x * 1.4426950408889634), [call])
    assert not is_identity(exp, lambda x: torch.exp(x.float()).to(x.dtype), [call])


def test_what_passes_by_tolerance_alone_is_not_called_the_same() -> None:
    call = Call((torch.randn(50),))
    expectation = expect(aten.exp.default, call)
    for factor, expected in (
        (1.0, Likeness.SAME),
        (1 + 2**-23, Likeness.ROUNDED),
        (1 + 2**-20, Likeness.DIFFERENT),
    ):
        observed = observe(lambda x, factor=factor: torch.exp(x) * factor, call)
        assert likeness(expectation, observed) is expected


@pytest.mark.slow
def test_no_trivial_kernel_survives_on_the_smoke_suite() -> None:
    suite = smoke()
    for name in suite.index().entries:
        found = audit(suite, name, seed=5)
        survivors = [(fate.name, fate.why) for fate in found.fates if fate.outcome == "survived"]
        assert not survivors, f"{name}: {survivors}"


@pytest.mark.parametrize(
    ("op", "call"),
    [
        (
            aten.native_batch_norm.default,
            Call((torch.ones(2, 3, 4), None, None, None, None, True, 0.1, 1e-5)),
        ),
        (aten.embedding_dense_backward.default, Call((torch.ones(2, 4), torch.tensor([0, 2]), 3, -1, False))),
        (aten.tril_indices.default, Call((0, 0), {"dtype": 4})),
    ],
)
def test_no_probe_sets_what_aten_believes(op: Any, call: Call) -> None:
    """It ended the process, wrote to somebody else's memory, and asked for all the memory that there is."""
    probed = [what for what, _ in probes(op, [call], random.Random(1))]
    assert probed
    assert not {"another training", "another num_weights", "another dtype"} & set(probed)
