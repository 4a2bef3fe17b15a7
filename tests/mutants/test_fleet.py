"""The command: processes, table, JSON, exit codes; and a sample through the full judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend_bench.cli import app
from backend_bench.fates import Fate, OperatorAudit, Outcome
from backend_bench.mutants import fleet
from backend_bench.operator import Operator
from backend_bench.report import audit as report
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status

from ..conftest import Judge

SPEC = SuiteSpec(name="smoke", device="cpu", dtype="float32")

KERNELS = {
    ("sum.dim_IntList", "zeros"): "return torch.zeros_like(torch.sum(x, *rest, **named))",
    ("relu.default", "the first input"): "return x.clone()",
    ("relu.default", "without a sign"): "return torch.clamp(x, min=0).abs()",
    ("add.Tensor", "ignores alpha"): "return torch.sub(x, rest[0], alpha=-1)",
    ("add_.Tensor", "does not write in place"): "return torch.sub(x, rest[0], alpha=-named.get('alpha', 1))",
    ("mm.default", "negated"): "return -torch.matmul(x, *rest)",
    ("index_select.default", "rows shifted"): (
        "right = x.reshape(1).clone() if not x.dim() else "
        "x[(slice(None),) * (rest[0] % x.dim()) + (rest[1].reshape(-1).long(),)]\n"
        "    return right.roll(1, 0) if right.dim() and right.numel() and right.shape[0] > 1 else right"
    ),
}
"""Some mutants as a submission would hold them."""


@pytest.mark.slow
@pytest.mark.parametrize(("op", "name"), list(KERNELS), ids=" ".join)
def test_the_full_judge_says_of_a_mutant_what_the_audit_says(op: str, name: str, judge: Judge) -> None:
    operator = Operator.parse(op)
    source = f"import torch\n\ndef {operator.function}(x, *rest, **named):\n    {KERNELS[op, name]}\n"
    verdict = judge(
        Submission(op=operator, source=source, language="pytorch", suite=SPEC, only="correctness", seed=11)
    )
    found: list[OperatorAudit] = []
    fleet.audit_suite(fleet.Order(SPEC, 11), [op], done=found.append)
    (fate,) = [fate for fate in found[0].fates if fate.name == name]
    assert verdict.status is (Status.OK if fate.outcome == "right" else Status.WRONG), verdict
    if fate.outcome != "right":
        assert fate.outcome == "killed"
        said = fate.why.partition(": ")[2].partition(" (tolerance")[0]
        assert any(said in case.message for case in verdict.cases), fate.why


@pytest.mark.slow
def test_the_command_prints_the_rate_and_writes_every_fate(tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    options = ["--ops", "relu,add.Tensor", "--device", "cpu", "--dtype", "float32", "--seed", "2"]
    done = CliRunner().invoke(app, ["audit-suite", "smoke", *options, "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert "2 operators" in done.output
    document = json.loads(file.read_text())
    assert [operator["op"] for operator in document["operators"]] == ["relu.default", "add.Tensor"]
    assert document["summary"]["survived"] == 0
    assert document["summary"]["kill_rate"] == 1
    assert document["seed"] == 2
    assert document["machine"]["torch"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["audit-suite", "smoke", "--ops", "rilu", "--device", "cpu"], "no operator rilu"),
        (["audit-suite", "smock", "--device", "cpu"], "smock"),
    ],
)
def test_bad_input_is_exit_2_with_one_sentence(arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert complaint in done.output + done.stderr


@pytest.mark.slow
def test_an_operator_that_ends_its_process_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fleet._Process.audit

    def dies_at_relu(process: fleet._Process, name: str) -> OperatorAudit | None:
        if name == "relu.default":
            process._child.kill()
        return real(process, name)

    monkeypatch.setattr(fleet._Process, "audit", dies_at_relu)
    found: dict[str, OperatorAudit] = {}
    fleet.audit_suite(
        fleet.Order(SPEC, 1), ["relu.default", "topk.default"], done=lambda one: found.update({one.op: one})
    )
    assert "ended with -9" in found["relu.default"].fault
    assert found["topk.default"].fates


def test_the_exit_code_is_that_of_grade() -> None:
    def audits(*outcomes: Outcome, fault: str = "") -> list[OperatorAudit]:
        fates = tuple(Fate(kind="zeros", name="zeros", outcome=outcome) for outcome in outcomes)
        return [OperatorAudit(op="relu.default", fates=fates, fault=fault)]

    assert report.exit_code(audits("killed", "right", "not applicable")) == 0
    assert report.exit_code(audits("killed", "survived")) == 1
    assert report.exit_code(audits()) == 2
    assert report.exit_code(audits("killed", fault="it died")) == 2


def test_the_kill_rate_is_of_kernels_that_are_wrong_on_their_operator() -> None:
    fates = [("killed", 3), ("survived", 1), ("right", 5), ("not applicable", 7)]
    found = tuple(
        Fate(kind="zeros", name="zeros", outcome=outcome)  # type: ignore[arg-type]
        for outcome, count in fates
        for _ in range(count)
    )
    assert report.summary([OperatorAudit(op="relu.default", fates=found)])["kill_rate"] == 0.75
