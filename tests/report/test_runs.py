"""A run is read back as it was written, and what is no run is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend_bench.errors import UsageError
from backend_bench.records import verdict_json
from backend_bench.report.runs import read

from .recorded import folder, rollout, verdict


def test_a_folder_has_its_rollouts_with_turns_kernels_and_feedback(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", None, 1.5)
    rollout(run, "b", 0.5, op="add.Tensor")
    found = read(run.path)
    assert [(r.id, r.op, len(r.turns)) for r in found.rollouts] == [
        ("a", "relu.default", 2),
        ("b", "add.Tensor", 1),
    ]
    assert found.rollouts[0].best.number == 2
    assert "turn 2" in (found.rollouts[0].turns[1].code or "")
    assert found.rollouts[0].turns[0].feedback.startswith("told after turn 1")
    assert found.models == ("a-model",)
    assert found.machines[0]["torch"] == "2.13.0"
    assert found.tokens == {"prompt_tokens": 20}
    assert found.operators == ("add.Tensor", "relu.default")


def test_a_rollout_without_an_ending_is_kept_and_not_counted(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.5)
    rollout(run, "b", 1.0, ended=False)
    found = read(run.path)
    assert [r.finished for r in found.rollouts] == [True, False]
    assert [r.id for r in found.counted] == ["a"]


def test_a_run_from_before_endings_counts_all(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.5, ended=False)
    assert len(read(run.path).counted) == 1


def test_the_json_of_grade_is_a_run(tmp_path: Path) -> None:
    file = tmp_path / "graded.json"
    verdicts = [verdict_json(verdict(1.5)), verdict_json(verdict(None, op="add.Tensor"))]
    file.write_text(
        json.dumps({"suite": "smoke", "dtype": "float32", "machine": {"torch": "2"}, "verdicts": verdicts})
    )
    found = read(file)
    assert (found.name, found.kind) == ("graded", "grade")
    assert [r.best.outcome for r in found.rollouts] == ["ok", "wrong"]
    assert found.rollouts[0].best.code is None
    assert found.arguments == {"suite": "smoke", "dtype": "float32"}
    assert found.machines == ({"torch": "2"},)


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "cannot be read as JSON"), ("[]", "no JSON object"), ("{}", "no list of verdicts"),
     ('{"verdicts": [{"op": 1}]}', "not a verdict")],
)  # fmt: skip
def test_what_is_no_run_is_refused(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=why):
        read(file)


def test_a_folder_without_verdicts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no verdicts\.jsonl"):
        read(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize("line", ['{"op": "relu"}', '{"op": "relu", "rollout": "a", "turn": "x"}'])
def test_a_line_of_another_kind_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "verdicts.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match="no verdict of this package"):
        read(tmp_path)


def test_a_rollouts_name_leads_nowhere_else(tmp_path: Path) -> None:
    """The names come from a file: a path in one must not read another file into the report."""
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.5)
    outside = tmp_path / "secret" / "relu__default"
    outside.mkdir(parents=True)
    (outside / "relu__default_implementation_v1.py").write_text("secret")
    run.verdicts.write_text(run.verdicts.read_text().replace('"rollout": "a"', '"rollout": "../secret"'))
    assert read(run.path).rollouts[0].turns[0].code is None
