"""How many rollouts a second the environment server plays, and what its processes hold.

    python benchmarks/rollouts.py [--rollouts 256] [--turns 1] [--ops relu.default,add.Tensor] [--right-every 8] [--json FILE]

The server is verifiers' own, with the workers that docs/how-to/prime-rl.toml asks for; all rollouts are in flight at once.
The model is a built-in one, kernels are judged on this host's CPU, where Triton is interpreted. With `--right-every 8` seven of eight replies hold
a kernel that is refused in a moment, as those of a model that begins to learn. Printed: seconds until all were done, rollouts a
second, the statuses, how long kernels queued, and the largest
resident memory of each of the server's processes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.serve import EnvClient, env_config_data, serve_env
from verifiers.v1.utils.logging import setup_logging

from backend_bench import authors
from backend_bench.authors.server import Speaker, serving
from backend_bench.records import Run

CONFIG = Path(__file__).parents[1] / "docs" / "how-to" / "prime-rl.toml"
LANGUAGE = "triton"
"""On a CPU it is interpreted and not timed: what is measured here is the way there and back."""
MODEL = f"builtin/{LANGUAGE}"
REFUSED = "```python\ndef another_function(x):\n    return x\n```\n"


def source(path: Path = CONFIG) -> dict[str, Any]:
    """What a prime-rl configuration says of this environment."""
    (found,) = tomllib.loads(path.read_text())["orchestrator"]["train"]["source"]
    return dict(found)


def on_this_host(env: dict[str, Any], kernels: Path, *, turns: int, ops: str) -> dict[str, Any]:
    """The same environment with small tests, the built-in model's language, and this host's CPU as the judge."""
    taskset = env["taskset"]
    task = {**taskset["task"], "gpu": "cpu", "sandbox": "best-effort", "kernels_dir": str(kernels)}
    here = {"suite": "smoke", "ops": ops, "language": LANGUAGE, "dtype": "float32", "task": task}
    return {**env, "num_turns": turns, "feedback_loop": "until_max_turns", "taskset": {**taskset, **here}}


@contextlib.contextmanager
def served(config: Any, serve: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The environment served as a trainer serves it; the address, and the server's process."""
    pool = vf.ServeConfig.model_validate(serve).pool
    address = f"ipc://{tempfile.mktemp(prefix='bb-env-', dir='/tmp')}"  # the server binds it
    process = multiprocessing.get_context("spawn").Process(
        target=serve_env,
        kwargs={
            **vf.pool_serve_kwargs(pool),
            "address": address,
            "log_setup": partial(setup_logging, "WARNING"),
            "config_data": env_config_data(config),
            "max_concurrent": None,
        },
    )
    process.start()
    assert process.pid is not None
    try:
        yield address, process.pid
    finally:
        process.terminate()
        process.join()
        process.close()


async def play(client: EnvClient, model_url: str, tasks: list[Any], rollouts: int) -> list[Any]:
    """So many rollouts at once, the tasks in turn; the episodes, in the order asked for."""
    await client.wait_for_server_startup()
    context = vf.EvalClientConfig(base_url=model_url, api_key_var="EMPTY")
    asked = (
        client.run(
            context, MODEL, vf.SamplingConfig(), tasks[number % len(tasks)].data.model_dump(mode="json")
        )
        for number in range(rollouts)
    )
    return list(await asyncio.gather(*asked))


def speaker(right_every: int) -> Speaker:
    """The built-in model; but only every so many replies are its own."""
    numbers = itertools.count(1)
    author = authors.named(MODEL)

    def speak(messages: Sequence[Mapping[str, Any]]) -> str:
        return author.reply(messages) if next(numbers) % right_every == 0 else REFUSED

    return speak


def descendants(pid: int) -> list[int]:
    """The processes of a server: itself and what it has started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found += [int(child) for child in children.split()]
    return found


def resident_mib(pid: int) -> float:
    """Of a process, now; 0 where it has gone."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return 0.0


async def _watch(pid: int, peaks: dict[int, float]) -> None:
    while True:
        for process in descendants(pid):
            peaks[process] = max(peaks.get(process, 0.0), resident_mib(process))
        await asyncio.sleep(0.25)


async def _measure(options: argparse.Namespace, kernels: Path) -> dict[str, Any]:
    found = source()
    config = vf.resolve_env_config(on_this_host(found["env"], kernels, turns=options.turns, ops=options.ops))
    tasks = list(vf.load_taskset(config.taskset))
    peaks: dict[int, float] = {}
    with (
        served(config, found["serve"]) as (address, pid),
        serving(MODEL, speaker=speaker(options.right_every)) as url,
    ):
        client = EnvClient(address)
        await client.wait_for_server_startup()
        watching = asyncio.create_task(_watch(pid, peaks))
        begun = time.monotonic()
        episodes = await play(client, url, tasks, options.rollouts)
        seconds = time.monotonic() - begun
        watching.cancel()
        await client.close()
    turns = [turn for episode in episodes for trace in episode.traces for turn in trace.info["turns"]]
    queues = sorted(turn["verdict"]["stages_s"]["queue"] for turn in turns if turn["verdict"])
    ended = Run(kernels / config.taskset.task.run).rollouts.read_text().splitlines()
    return {
        "rollouts": options.rollouts,
        "turns": options.turns,
        "seconds": round(seconds, 1),
        "rollouts_per_s": round(len(episodes) / seconds, 2),
        "failed": sum(not episode.ok for episode in episodes),
        "recorded": len(ended),
        "statuses": dict(Counter(turn["verdict"]["status"] for turn in turns if turn["verdict"])),
        "median_queue_s": round(queues[len(queues) // 2], 1) if queues else None,
        "peak_resident_mib": sorted(round(peak) for peak in peaks.values()),
    }


def main() -> None:
    import common  # lies beside this file, where it is run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=256)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--ops", default="relu.default,add.Tensor")
    parser.add_argument("--right-every", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bb-rollouts-") as folder:
        result = asyncio.run(_measure(options, Path(folder)))
    result["commit"] = common.commit()
    print(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
