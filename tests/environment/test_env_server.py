"""The environment as a trainer plays it: verifiers' own server with two workers, and what the death of one costs."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import verifiers.v1 as vf
from verifiers.v1.serve import EnvClient

from backend_bench.records import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rollouts() -> ModuleType:
    """The benchmark, which drives the server in the same way."""
    spec = importlib.util.spec_from_file_location("rollouts", ROOT / "benchmarks" / "rollouts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_configuration_for_prime_rl_is_understood(rollouts: ModuleType) -> None:
    found = rollouts.source()
    config = vf.resolve_env_config(found["env"])
    assert type(config).__name__ == "BackendBenchEnvConfig"
    assert (config.num_turns, config.retries.max_retries) == (3, 2)
    assert config.taskset.task.gpu == "http://gpu-host:8700"
    assert vf.ServeConfig.model_validate(found["serve"]).pool.num_workers == 2


def workers(server: int) -> list[int]:
    """The processes of a server that play rollouts, in the order in which they were started."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def recorded(run: Run) -> set[str]:
    """The rollouts that were written down as played to their end."""
    lines = run.rollouts.read_text().splitlines() if run.rollouts.exists() else []
    return {json.loads(line)["rollout"] for line in lines}


def ids(episodes: list[Any]) -> set[str]:
    return {trace.id for episode in episodes for trace in episode.traces}


@pytest.mark.slow
def test_what_was_finished_survives_the_death_of_a_worker(
    rollouts: ModuleType, tmp_path: Path, runtime_folder: Path
) -> None:
    """And the other worker goes on. What was in flight at the dead one is not answered: verifiers has no more to offer."""
    found = rollouts.source()
    env = rollouts.on_this_host(found["env"], tmp_path, turns=1, ops="relu.default")
    config = vf.resolve_env_config(env)
    (task,) = vf.load_taskset(config.taskset)
    run = Run(tmp_path / config.taskset.task.run)

    async def story(address: str, server: int, model: str) -> None:
        client = EnvClient(address)
        first = await rollouts.play(client, model, [task], 4)
        assert all(episode.ok for episode in first)
        assert ids(first) == recorded(run)
        doomed, _ = workers(server)
        # Of rollouts that come at once every other one goes to the same worker.
        at_once = [asyncio.create_task(rollouts.play(client, model, [task], 1)) for _ in range(8)]
        await asyncio.wait(at_once, return_when=asyncio.FIRST_COMPLETED)
        os.kill(doomed, signal.SIGKILL)
        of_one_worker = [asyncio.gather(*at_once[start::2]) for start in (0, 1)]
        done, lost = await asyncio.wait(of_one_worker, return_when=asyncio.FIRST_COMPLETED)
        (survivor,) = done
        assert all(episode.ok for episodes in survivor.result() for episode in episodes)
        finished = [episode for one in at_once if one.done() for episode in one.result()]
        assert ids(first) | ids(finished) <= recorded(run)
        for task_ in (*at_once, *lost):
            task_.cancel()
        await asyncio.gather(*at_once, *lost, return_exceptions=True)
        await client.close()

    with (
        rollouts.served(config, found["serve"]) as (address, server),
        rollouts.serving(rollouts.MODEL) as model,
    ):
        asyncio.run(story(address, server, model))
