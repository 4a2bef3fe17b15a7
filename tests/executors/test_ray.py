"""A Ray cluster: work is shared out over its nodes, and what a lost node had in hand is judged elsewhere.

The cluster is Ray's own, with three nodes that are processes of this host.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from backend_bench.errors import MissingExtra, NotJudged, ServiceError, UsageError
from backend_bench.executors import choose
from backend_bench.executors.scripted import ScriptedExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

ray = pytest.importorskip("ray", reason='the extra is not installed: pip install "backend-bench[ray]"')
from backend_bench.executors import ray as place  # noqa: E402  # behind the skip

from ..fifty import FIFTY  # noqa: E402  # likewise
from .nodes import Nodes, end_actors, running  # noqa: E402  # likewise

T = TypeVar("T")
RELU = Operator.parse("relu")
SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")
ELSEWHERE = """
import asyncio, sys
from backend_bench.executors import choose
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec

gpu, source = sys.argv[1:]
spec = SuiteSpec(name="smoke", device=choose.device(gpu), dtype="float32")

async def submit():
    asked = Submission(op=Operator.parse("relu"), source=source, suite=spec, only="correctness")
    print(spec.device, (await choose.choose(gpu).submit(asked)).status)
    await choose.release()

asyncio.run(submit())
"""


@pytest.fixture(scope="module")
def client_port() -> int:
    return 20_000 + os.getpid() % 10_000


@pytest.fixture(scope="module")
def nodes(runtime_folder: Path, client_port: int) -> Iterator[Nodes]:
    with running(3, ray_client_server_port=client_port) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_actors_are_left() -> Iterator[None]:
    """They outlive their clients, and would be found by the next test."""
    yield
    place.device.cache_clear()
    end_actors()


def submission(source: str = "", **more: Any) -> Submission:
    return Submission(op=RELU, source=source, suite=SMOKE, only="correctness", **more)


def verdict(asked: Submission, **more: Any) -> Verdict:
    return Verdict(op=str(asked.op), language="pytorch", status=Status.OK, message=asked.source, **more)


async def quick(asked: Submission) -> Verdict:
    """A judge in name: says which kernel it had, and who it is."""
    await asyncio.sleep(0.01)
    return verdict(asked, notes=(str(os.getpid()),))


async def at_the_gate(folder: Path, asked: Submission) -> Verdict:
    """Begins when all are there."""
    await until((folder / "go").exists)
    return await quick(asked)


async def deadly(folder: Path, asked: Submission) -> Verdict:
    """Dies with its actor of a kernel `poison`."""
    if asked.source == "poison":
        (folder / str(os.getpid())).touch()
        await asyncio.sleep(0.2)  # so that others are in its hand, too
        os._exit(1)
    return await quick(asked)


async def endless(folder: Path, asked: Submission) -> Verdict:
    """Never comes to a verdict, and notes how it ends."""
    (folder / "begun").touch()
    try:
        await asyncio.Event().wait()
    finally:
        (folder / "given up").touch()
    return verdict(asked)


def at_cluster(
    story: Callable[[place.RayExecutor], Awaitable[T]],
    script: Callable[[Submission], Awaitable[Verdict]] = quick,
    cluster: str = "ray://auto",
) -> T:
    async def told() -> T:
        executor = place.RayExecutor(
            place.Cluster.parse(cluster), functools.partial(ScriptedExecutor, script)
        )
        try:
            return await story(executor)
        finally:
            await executor.aclose()

    return asyncio.run(told())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


@pytest.mark.slow
def test_a_thousand_submissions_survive_the_loss_of_a_node(nodes: Nodes, tmp_path: Path) -> None:
    async def story(executor: place.RayExecutor) -> None:
        tasks = [asyncio.create_task(executor.submit(submission(str(number)))) for number in range(1000)]
        await until(lambda: len(list(executor._places)) == 3)
        (tmp_path / "go").touch()
        await until(lambda: sum(task.done() for task in tasks) > 200)
        nodes.kill(nodes.list.pop())
        verdicts = await asyncio.gather(*tasks)
        assert [verdict.message for verdict in verdicts] == [str(number) for number in range(1000)]
        assert len({verdict.notes for verdict in verdicts}) == 3, "all three had a share"

    at_cluster(story, functools.partial(at_the_gate, tmp_path))


@pytest.mark.slow
def test_real_verdicts_survive_the_loss_of_a_node(nodes: Nodes) -> None:
    """The same service as everywhere judges; a few of the fifty, which get what they deserve."""
    some = FIFTY[:12]

    async def story() -> None:
        executor = choose.choose("ray://auto")
        tasks = [asyncio.create_task(executor.submit(case.submission)) for case in some]
        await until(lambda: any(task.done() for task in tasks))
        nodes.kill(nodes.list.pop())
        assert [verdict.status for verdict in await asyncio.gather(*tasks)] == [case.status for case in some]
        await choose.release()

    asyncio.run(story())
    nodes.list.append(nodes.add())


@pytest.mark.slow
def test_a_node_that_comes_gets_its_share(nodes: Nodes) -> None:
    async def story(executor: place.RayExecutor) -> None:
        before = {(await executor.submit(submission())).notes for _ in range(8)}
        nodes.list.append(nodes.add())
        seen = set(before)
        while len(seen) == len(before):
            more = await asyncio.gather(*(executor.submit(submission()) for _ in range(32)))
            seen |= {verdict.notes for verdict in more}

    at_cluster(story)


@pytest.mark.slow
def test_a_kernel_that_ends_every_judge_is_given_up_and_its_neighbours_are_judged(
    nodes: Nodes, tmp_path: Path
) -> None:
    async def story(executor: place.RayExecutor) -> None:
        poison = asyncio.create_task(executor.submit(submission("poison")))
        others = [asyncio.create_task(executor.submit(submission(str(number)))) for number in range(60)]
        with pytest.raises(NotJudged, match=r"3 judges of ray://auto were lost .* nothing else in hand"):
            await poison
        assert [verdict.message for verdict in await asyncio.gather(*others)] == [str(n) for n in range(60)]
        assert len(list(tmp_path.iterdir())) == place.TRIES

    at_cluster(story, functools.partial(deadly, tmp_path))


@pytest.mark.slow
def test_what_is_not_awaited_any_more_is_given_up_there(nodes: Nodes, tmp_path: Path) -> None:
    async def story(executor: place.RayExecutor) -> None:
        asked = asyncio.create_task(executor.submit(submission()))
        await until((tmp_path / "begun").exists)
        asked.cancel()
        await until((tmp_path / "given up").exists)

    at_cluster(story, functools.partial(endless, tmp_path))


@pytest.mark.slow
def test_an_idle_judge_ends_and_another_begins(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKEND_BENCH_IDLE_S", "0.5")

    async def story(executor: place.RayExecutor) -> None:
        first = (await executor.submit(submission())).notes
        await until(lambda: not ray.util.list_named_actors(all_namespaces=True))
        assert (await executor.submit(submission())).notes != first

    at_cluster(story)


@pytest.mark.slow
def test_every_gpu_of_the_type_has_an_actor_that_sees_it_alone(nodes: Nodes) -> None:
    node = nodes.add(num_gpus=2, resources={"accelerator_type:T4": 1})

    async def story(executor: place.RayExecutor) -> None:
        seen: set[tuple[str, ...]] = set()
        while len(seen) < 2:
            seen |= {(await executor.submit(submission())).notes}
        facts = {(judge.seat.node, judge.hello.gpus) for judge in executor._places}
        assert facts == {(node.node_id, "0"), (node.node_id, "1")}

    try:
        assert choose.device("ray://auto?accelerator=T4") == "cuda"
        with pytest.raises(UsageError, match="no GPU of that type; it has T4"):
            choose.device("ray://auto?accelerator=H100")
        at_cluster(story, cluster="ray://auto?accelerator=T4")
    finally:
        nodes.kill(node)
        asyncio.run(
            until(lambda: all(seat.node != node.node_id for seat in place._seats(place.Cluster("auto"))))
        )


@pytest.mark.gpu
def test_every_gpu_of_this_host_has_a_judge_that_times_on_it(nodes: Nodes) -> None:
    import torch

    count = torch.cuda.device_count()
    node = nodes.add(num_gpus=count)
    spec = SuiteSpec(name="smoke", device="cuda", dtype="float32")
    source = (Path(__file__).parents[1] / "corpus" / "gpu_honest_relu" / "kernel.py").read_text()

    async def story() -> None:
        executor = choose.choose("ray://auto")
        asked = [executor.submit(Submission(op=RELU, source=source, suite=spec)) for _ in range(4 * count)]
        verdicts = await asyncio.gather(*asked)
        assert {verdict.status for verdict in verdicts} == {Status.OK}, [one.message for one in verdicts]
        assert all(verdict.performance.total for verdict in verdicts)
        judges = (await executor.machine())["ray"]["judges"]
        assert sorted(judge["gpus"] for judge in judges) == [str(number) for number in range(count)]
        await choose.release()

    try:
        asyncio.run(story())
    finally:
        nodes.kill(node)


@pytest.mark.slow
def test_a_host_outside_the_cluster_gets_a_real_verdict(nodes: Nodes, client_port: int) -> None:
    wrong = "def relu__default_kernel_impl(x):\n    return x\n"
    gpu = f"ray://127.0.0.1:{client_port}"
    command = [sys.executable, "-c", ELSEWHERE, gpu, wrong]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["cpu", "wrong"], done.stderr


def test_a_server_of_rays_whose_child_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | None] = [ConnectionAbortedError("Initialization failure from server"), None]

    def init(*_: Any, **__: Any) -> None:
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(place, "_connected", [])
    place._connect(place.Cluster("ray://head:10001"))
    assert place._connected == ["ray://head:10001"]
    answers += [ConnectionAbortedError("again")] * place.CONNECT_TRIES
    with pytest.raises(ConnectionAbortedError):
        place._connect(place.Cluster("ray://head:10001"))
    assert not answers


@pytest.mark.slow
def test_a_suite_is_listed_there_also_inside_a_loop(nodes: Nodes) -> None:
    async def inside() -> None:
        assert "relu.default" in choose.read_index("ray://auto", SMOKE).entries

    asyncio.run(inside())


def listed(*nodes: dict[str, float], alive: bool = True) -> list[dict[str, Any]]:
    return [
        {"NodeID": f"n{number}", "Alive": alive, "Resources": resources}
        for number, resources in enumerate(nodes)
    ]


def test_every_gpu_is_a_seat_and_a_cluster_without_judges_on_its_cpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = listed({"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0}, {"CPU": 4.0}, {})
    monkeypatch.setattr(place, "_nodes", lambda cluster: here + listed({"GPU": 4.0}, alive=False))
    assert [(seat.node, seat.number) for seat in place._seats(place.Cluster("auto"))] == [
        ("n0", 0),
        ("n0", 1),
    ]
    assert len(place._seats(place.Cluster("auto", "H100"))) == 2
    monkeypatch.setattr(place, "_nodes", lambda cluster: here[1:])
    assert place._seats(place.Cluster("auto")) == [place.Seat("n1", 0, "cpu")]
    monkeypatch.setattr(place, "_nodes", lambda cluster: here[2:])
    with pytest.raises(ServiceError, match="neither GPUs nor CPUs"):
        place._seats(place.Cluster("auto"))


@pytest.mark.parametrize(
    ("gpu", "address", "accelerator"),
    [
        ("ray://auto", "auto", None),
        ("ray://auto?accelerator=A100", "auto", "A100"),
        ("ray://head:10001", "ray://head:10001", None),
        ("ray://head:10001?accelerator=H100", "ray://head:10001", "H100"),
    ],
)
def test_what_is_a_cluster(gpu: str, address: str, accelerator: str | None) -> None:
    assert place.Cluster.parse(gpu) == place.Cluster(address, accelerator)
    assert str(place.Cluster.parse(gpu)) == gpu


@pytest.mark.parametrize(
    "gpu",
    [
        "ray://",
        "ray://head",
        "ray://head:port",
        "ray://auto/x",
        "ray://auto?gpus=2",
        "ray://auto?accelerator=",
    ],
)
def test_what_is_no_cluster_is_told(gpu: str) -> None:
    with pytest.raises(UsageError, match="is no cluster; it looks like ray://auto"):
        choose.check(gpu)


@pytest.mark.slow
def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "backend_bench.executors.ray")
    with pytest.raises(MissingExtra, match=r'pip install "backend-bench\[ray\]"'):
        importlib.import_module("backend_bench.executors.ray")


@pytest.mark.parametrize("kind", [NotJudged, ServiceError, UsageError])
def test_what_a_judge_could_not_do_arrives_as_what_it_was(kind: type[Exception]) -> None:
    """Whether it is about one submission or about all."""

    async def fail() -> Verdict:
        raise kind("of its own")

    async def told() -> None:
        actor = place.Actor.__new__(place.Actor)
        actor._open = 0
        reply: Future[place.Reply] = Future()
        reply.set_result(await actor._answer(fail))
        method = SimpleNamespace(remote=lambda *_: SimpleNamespace(future=lambda: reply))
        await place._ask(method, answer=Verdict)

    with pytest.raises(kind, match="of its own") as raised:
        asyncio.run(told())
    assert type(raised.value) is kind
