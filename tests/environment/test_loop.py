"""Whole rollouts: a scripted model, a scripted judge, the host in between."""

from __future__ import annotations

import asyncio
import errno
import json
import os

import pytest

from backend_bench.environment.loop import ANOTHER
from backend_bench.errors import ServiceError
from backend_bench.submission import Submission
from backend_bench.verdict import Status, Verdict

from .conftest import Play, kernel, rewards, verdict


def test_a_rollout_from_prompt_to_score(play: Play) -> None:
    """Three turns; the best counts, whatever came last."""
    played = play(model=rewards(0.5, 1.5, 0.25), ops="relu", num_turns=3)
    assert played.code == 0
    assert [turn["reward"] for turn in played.turns] == [0.5, 1.5, 0.25]
    assert played.reward == 1.5
    metrics = played.trace["metrics"]
    assert metrics["last_reward"] == 0.25
    assert metrics["best_reward"] == 1.5
    assert metrics["test_accuracy"] == 1.0
    assert metrics["perf_accuracy"] == 1.0
    assert metrics["best_run_correctness_score"] == 1.0
    assert metrics["best_run_performance_score"] == 1.5
    assert metrics["turns"] == 3
    assert metrics["best_turn"] == 2
    assert metrics["no_code_turns"] == 0
    assert metrics["judge_s"] == pytest.approx(0.75)
    assert played.turns[0]["verdict"]["status"] == "wrong"
    assert "def relu__default" in played.turns[0]["code"]


def test_the_feedback_is_what_the_model_reads(play: Play) -> None:
    played = play(model=rewards(0.5, 1.5), ops="relu", num_turns=2)
    said = [node["message"]["content"] for node in played.trace["nodes"] if node["message"]["role"] == "user"]
    assert len(said) == 2
    assert "relu__default_kernel_impl" in said[0]
    assert said[1] == played.turns[0]["feedback"]
    assert "values differ at [2]" in said[1]


def test_the_end_of_a_rollout_is_recorded_with_its_model(play: Play) -> None:
    played = play(model=rewards(0.5, 1.5), ops="relu", num_turns=2)
    (ending,) = [json.loads(line) for line in (played.kernels / "rollouts.jsonl").read_text().splitlines()]
    assert (ending["rollout"], ending["turns"], ending["reward"]) == (played.trace["id"], 2, 1.5)
    assert (ending["op"], ending["model"]) == ("relu.default", "test")
    assert ending["completion_tokens"] > 0
    lines = [json.loads(line) for line in (played.kernels / "verdicts.jsonl").read_text().splitlines()]
    assert {line["model"] for line in lines} == {"test"}
    assert json.loads((played.kernels / "run.json").read_text())["machines"] == [{"executor": "scripted"}]


def test_a_rollout_that_the_judge_failed_has_no_ending(play: Play) -> None:
    played = play(model=rewards(0.5), script=lambda _: verdict(None, status=Status.ERROR), ops="relu")
    assert played.code == 1
    assert not (played.kernels / "rollouts.jsonl").exists()


def test_kernels_and_verdicts_are_on_disk(play: Play) -> None:
    played = play(model=rewards(0.5, 1.5), ops="relu", num_turns=2)
    rollout = played.kernels / played.trace["id"] / "relu__default"
    assert "reward 0.5" in (rollout / "relu__default_implementation_v1.py").read_text()
    assert json.loads((rollout / "relu__default_implementation_v2.verdict.json").read_text())["reward"] == 1.5
    assert (
        "reward 1.5" in (played.kernels / "best/relu__default/relu__default_implementation_v1.py").read_text()
    )
    assert json.loads((played.kernels / "run.json").read_text())["arguments"]["num_turns"] == 2
    assert str(played.kernels) in played.out
    assert "relu.default" in played.out


def test_what_is_submitted(play: Play) -> None:
    played = play(model=rewards(1.0), ops="relu", profile="backendbench", dtype="float32", sandbox="off")
    (submission,) = played.executor.submissions
    assert (str(submission.op), submission.language, submission.profile) == (
        "relu.default",
        "pytorch",
        "backendbench",
    )
    assert (submission.suite.name, submission.suite.device, submission.suite.dtype) == (
        "smoke",
        "cpu",
        "float32",
    )
    assert submission.sandbox == "off"
    assert submission.kind == "candidate"
    assert submission.seed is None


def test_until_correct_stops_at_the_first_right_kernel(play: Play) -> None:
    played = play(model=rewards(0.5, 1.25, 2.0), ops="relu", num_turns=3, feedback_loop="until_correct")
    assert [turn["reward"] for turn in played.turns] == [0.5, 1.25]


def test_none_gives_no_feedback(play: Play) -> None:
    played = play(model=rewards(0.5, 0.75), ops="relu", num_turns=2, feedback_loop="none")
    said = [node["message"]["content"] for node in played.trace["nodes"] if node["message"]["role"] == "user"]
    assert said[1] == ANOTHER
    assert "values differ" in played.turns[0]["feedback"]


@pytest.mark.parametrize("feedback_loop", ["until_max_turns", "none"])
def test_a_turn_without_code_costs_a_turn(play: Play, feedback_loop: str) -> None:
    played = play(
        model=rewards("I would rather not.", 1.5), ops="relu", num_turns=2, feedback_loop=feedback_loop
    )
    first, second = played.turns
    assert first["verdict"] is None
    assert first["code"] is None
    assert first["reward"] == 0.0
    assert "no code block" in first["feedback"]
    said = [node["message"]["content"] for node in played.trace["nodes"] if node["message"]["role"] == "user"]
    assert said[1] == first["feedback"]
    assert second["reward"] == played.reward == 1.5
    assert played.trace["metrics"]["no_code_turns"] == 1
    assert len(played.executor.submissions) == 1


def test_a_model_that_never_writes_code_earns_nothing(play: Play) -> None:
    played = play(model=rewards("no"), ops="relu", num_turns=2)
    assert played.code == 0
    assert played.reward == 0.0
    assert played.episodes[0]["ok"]
    assert "no code" in played.out


@pytest.mark.parametrize("answer", [verdict(None, status=Status.ERROR), ServiceError("the socket is gone")])
def test_our_own_fault_is_an_error_and_never_a_zero(play: Play, answer: Verdict | Exception) -> None:
    played = play(model=rewards(1.0), ops="relu", script={"relu.default": answer})
    (episode,) = played.episodes
    assert not episode["ok"]
    assert episode["traces"][0]["rewards"] == {}
    assert played.code == 1
    assert ("the judge tripped" in played.err) or ("the socket is gone" in played.err)


def test_a_full_disk_is_an_error_and_never_a_zero(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("backend_bench.records.Run.write", full)
    played = play(model=rewards(1.0), ops="relu")
    (episode,) = played.episodes
    assert not episode["ok"]
    assert episode["traces"][0]["rewards"] == {}
    assert "No space left on device" in played.err


def test_an_error_can_be_tried_again(play: Play) -> None:
    """With the host's retries a passing fault costs nothing."""
    answers = [ServiceError("busy"), verdict(1.5)]
    played = play("--max-retries", "2", model=rewards(1.0), ops="relu", script=lambda _: answers.pop(0))
    assert played.code == 0
    assert played.episodes[0]["ok"]
    assert played.reward == 1.5


def test_some_failures_do_not_fail_the_run(play: Play) -> None:
    script = {"relu.default": verdict(1.0), "add.Tensor": ServiceError("gone")}
    played = play(script=script)
    assert sorted(episode["ok"] for episode in played.episodes) == [False, True]
    assert played.code == 0
    assert "gone" in played.err


@pytest.mark.parametrize(
    ("performance", "earned"),
    [(None, 0.5), (float("nan"), 0.0), (float("inf"), 0.0)],
)
def test_every_score_is_finite(play: Play, performance: float | None, earned: float) -> None:
    """Speed that was not measured counts as 1; a number that is none counts as 0."""
    odd = Verdict(
        op="relu.default",
        language="pytorch",
        status=Status.WRONG,
        correctness_score=0.5,
        performance_score=performance,
        reward=performance,
    )
    played = play(model=rewards(1.0), ops="relu", script={"relu.default": odd})
    assert played.reward == earned
    assert all(isinstance(value, float) for value in played.trace["metrics"].values())


@pytest.mark.parametrize("env", [("single-agent",), ("best-of-n", "--env.n", "2")])
def test_the_hosts_own_environments_grade_too(play: Play, env: tuple[str, ...]) -> None:
    """`Task.finalize` judges the last reply where no loop has."""
    flags = ("--env.id", *env, "--env.agent.runtime.type", "subprocess")
    played = play(*flags, model=rewards(0.75), ops="relu")
    (episode,) = played.episodes
    assert [trace["rewards"]["reward"]["score"] for trace in episode["traces"]] == [0.75] * len(
        episode["traces"]
    )


def test_the_built_in_author_fails_and_then_mends(play: Play) -> None:
    def script(submission: Submission) -> Verdict:
        return verdict(1.25 if "maximum" in submission.source else 0.5)

    played = play(script=script, ops="relu", num_turns=3, feedback_loop="until_correct")
    assert [turn["reward"] for turn in played.turns] == [0.5, 1.25]


@pytest.mark.slow
def test_64_rollouts_at_once_never_mix(play: Play) -> None:
    """Each model writes its own number; its verdict, feedback and files come back to it alone."""

    async def script(submission: Submission) -> Verdict:
        mark = float(submission.source.rpartition("# reward ")[2].split()[0])
        await asyncio.sleep(0)
        return verdict(mark, op=str(submission.op))

    seen: list[int] = []

    def speak(messages: list[dict[str, str]]) -> str:
        if len(messages) == 1:
            seen.append(len(seen))
            return kernel(f"reward {0.001 * seen[-1]:.3f}")
        mine = messages[1]["content"].rpartition("# reward ")[2].split()[0]
        assert f"Score of this turn: {float(mine):.3g}." in messages[2]["content"]
        return kernel(f"reward {1 + float(mine):.3f}")

    played = play("-r", "64", "-c", "64", model=speak, script=script, ops="relu", num_turns=2)
    assert played.code == 0
    assert len(played.episodes) == 64
    starts = set()
    for episode in played.episodes:
        (trace,) = episode["traces"]
        first, second = trace["info"]["turns"]
        assert second["reward"] == pytest.approx(1 + first["reward"])
        starts.add(first["reward"])
        folder = played.kernels / trace["id"] / "relu__default"
        assert f"reward {first['reward']:.3f}" in (folder / "relu__default_implementation_v1.py").read_text()
        assert f"reward {second['reward']:.3f}" in (folder / "relu__default_implementation_v2.py").read_text()
    assert len(starts) == 64
    assert len((played.kernels / "verdicts.jsonl").read_text().splitlines()) == 128
    assert (
        "reward 1.063"
        in (played.kernels / "best/relu__default/relu__default_implementation_v1.py").read_text()
    )
