"""`show`: the kernel that counts, or the one that is asked for; nothing in it steers the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from backend_bench.cli import runs
from backend_bench.errors import UsageError
from backend_bench.report.kernel import choose
from backend_bench.report.runs import Recorded, read

from .recorded import HOSTILE, folder, rollout


@pytest.fixture
def run(tmp_path: Path) -> Recorded:
    kept = folder(tmp_path / "run")
    rollout(kept, "aaa", None, 2.0)
    rollout(kept, "abb", 1.0, code=f"x = '''{HOSTILE}'''\n", message=HOSTILE)
    return read(kept.path)


def test_the_best_is_shown_unless_another_is_named(run: Recorded) -> None:
    def chosen(**given: object) -> tuple[str, int]:
        rollout, turn = choose(run, "relu", **given)  # type: ignore[arg-type]  # str and int
        return rollout.id, turn.number

    assert chosen() == ("aaa", 2)
    assert chosen(turn=1) == ("abb", 1)
    assert chosen(rollout="aa", turn=1) == ("aaa", 1)
    assert chosen(rollout="abb") == ("abb", 1)


@pytest.mark.parametrize(
    ("op", "given", "why"),
    [("add.Tensor", {}, "it has relu.default"), ("relu", {"rollout": "a"}, "2 rollouts"),
     ("relu", {"turn": 7}, "has a turn 7"), ("no such", {}, "not an operator name")],
)  # fmt: skip
def test_what_is_not_there_is_said(run: Recorded, op: str, given: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        choose(run, op, **given)  # type: ignore[arg-type]  # str and int


def test_kernel_verdict_cases_and_feedback_are_printed(
    run: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.show(run.path, "relu")
    out = capsys.readouterr().out
    for part in (
        "turn 2 of 2",
        "def relu__default_kernel_impl(x):",
        "2.00× ±3%",
        "12.35",
        "told after turn 2",
    ):
        assert part in out, part


def test_a_hostile_kernel_cannot_steer_the_terminal(
    run: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.show(run.path, "relu", rollout="abb")
    out = capsys.readouterr().out
    assert not set(out) & {"\x1b", "\x00", "\u202e"}
    assert "␛[31m␀⟨U+202E⟩" in out.replace("\n", "")


def test_a_run_that_is_none_ends_with_2(tmp_path: Path) -> None:
    with pytest.raises(typer.Exit) as end:
        runs.show(tmp_path, "relu")
    assert end.value.exit_code == 2
