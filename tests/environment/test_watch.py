"""A run is watched, interrupted and taken up again: nothing that was finished is lost or played twice."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from verifiers.v1.cli.eval import runner

from backend_bench.environment.watch import own_view, standing, watching
from backend_bench.submission import Submission
from backend_bench.verdict import Status, Verdict

from .conftest import Play, kernel, rewards, verdict


def test_away_from_a_terminal_each_rollout_is_a_line(play: Play) -> None:
    played = play("-c", "1", model=rewards(0.5, 1.5), watched=True, num_turns=2, ops="relu,add.Tensor")
    lines = [line for line in played.out.splitlines() if line.startswith("[")]
    assert [line.split()[1] for line in lines] == ["relu.default", "add.Tensor"]
    assert "reward  1.500" in lines[0]
    assert "2 turns" in lines[0]
    assert "\x1b" not in played.out


def test_a_rollout_that_fails_says_why_on_its_line(play: Play) -> None:
    played = play(script=lambda _: verdict(None, status=Status.ERROR), watched=True, ops="relu")
    (line,) = [line for line in played.out.splitlines() if line.startswith("[")]
    assert "failed" in line
    assert "the judge tripped" in line
    assert "--resume" in played.out


def right(submission: Submission) -> Verdict:
    return verdict(1.5, op=str(submission.op))


def test_ctrl_c_keeps_what_is_done_and_the_rest_is_resumed(play: Play) -> None:
    async def interrupted(submission: Submission) -> Verdict:
        if str(submission.op) == "relu.default":
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        return right(submission)

    first = play("-c", "1", script=interrupted, watched=True, ops="add.Tensor,relu")
    assert first.code == 130
    assert [episode["task"]["data"]["op"] for episode in first.episodes] == ["add.Tensor"]
    (told,) = [line for line in first.out.splitlines() if line.startswith("resume ")]
    assert "eval.json --resume" in told

    second = play(script=right, resumed=True)
    assert second.code == 0, second.err
    assert [str(submission.op) for submission in second.executor.submissions] == ["relu.default"]
    assert {episode["task"]["data"]["op"] for episode in second.episodes} == {"add.Tensor", "relu.default"}
    assert "2 of 2 operators right" in second.out
    assert "resume " not in second.out


def test_a_port_that_is_taken_is_said(play: Play) -> None:
    """A saved run of a built-in model needs the very address that it was started with."""
    import json
    import socket

    first = play(script=right, ops="relu")
    saved = first.kernels.parents[1] / "out" / "run" / "configs" / "resolved" / "eval.json"
    port = int(json.loads(saved.read_text())["client"]["base_url"].rsplit(":", 1)[1].split("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        second = play(script=right, resumed=True)
    assert second.code == 2
    assert f"port {port}" in second.err


def test_the_hosts_dashboard_is_where_it_was_afterwards() -> None:
    """Also the seam itself: a host without this name would need another one."""
    theirs = runner.dashboard
    with own_view():
        assert runner.dashboard is not theirs
    assert runner.dashboard is theirs


def slot(**more: Any) -> Any:
    """A slot as the host has it, with what the board reads."""
    call = SimpleNamespace(time=SimpleNamespace(end=105.0))
    timing = SimpleNamespace(start=100.0, agent=SimpleNamespace(end=0.0), scoring=SimpleNamespace(end=0.0))
    given = {"info": {}, "calls": [call], "timing": timing, "errors": []} | more.pop("trace", {})
    task = SimpleNamespace(data=SimpleNamespace(op="relu.default", name="relu.default"))
    return SimpleNamespace(
        **{"task": task, "traces": [SimpleNamespace(**given)], "episode": None, "done": False} | more
    )


def test_a_slot_is_at_the_model_or_at_the_judge() -> None:
    asked = standing(slot(), 110.0)
    assert (asked.stage, asked.turn, asked.since_s) == ("model", 1, 5.0)
    judged = standing(slot(trace={"info": {"at_judge": 108.0}}), 110.0)
    assert (judged.stage, judged.since_s) == ("judge", 2.0)
    assert standing(slot(traces=[]), 110.0).stage == "waiting"


def test_on_a_terminal_there_is_a_board() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, height=30)

    async def watch() -> None:
        async with watching([slot()], 100.0, console):
            await asyncio.sleep(0)

    asyncio.run(watch())
    assert "0 of 1 rollouts" in out.getvalue()
    assert "relu.default" in out.getvalue()


def test_a_trace_forgets_that_it_was_at_the_judge(play: Play) -> None:
    played = play(model=lambda messages: kernel("reward 1.0"), ops="relu")
    assert "at_judge" not in played.trace["info"]
