"""Rented GPUs: the client and the container's entry, through a stand-in for Modal's control plane on loopback.

The containers are processes of this machine, with the files that were uploaded; they judge on its CPU.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from backend_bench import cli, runtime
from backend_bench.errors import MissingExtra, NotJudged, ServiceError, UsageError
from backend_bench.executors import choose, diagnosis, local, services
from backend_bench.executors import modal as rented
from backend_bench.executors.local import LocalExecutor
from backend_bench.judge.zygotes import worker_environment
from backend_bench.operator import Operator
from backend_bench.submission import Limits, Submission, SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.verdict import Status, Verdict

modal = pytest.importorskip("modal")  # of extra `modal`, which extra `dev` brings
from grpclib import Status as Code  # noqa: E402  # comes with it

from backend_bench.executors.modal import calls, container, deployment, letters  # noqa: E402
from backend_bench.executors.modal.calls import ModalExecutor  # noqa: E402
from backend_bench.executors.modal.deployment import Scale  # noqa: E402
from backend_bench.executors.modal.failures import Lost  # noqa: E402

from .modal_stand_in import Container, ControlPlane, credentials, running  # noqa: E402

SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")
RELU = "def relu__default_kernel_impl(x):\n    "
RIGHT = f"import torch\n\n\n{RELU}return torch.where(x <= 0, torch.zeros_like(x), x)\n"
SLEEPY = f"import time\n\n\n{RELU}time.sleep(600)\n"
KERNELS = {
    "right": RIGHT,
    "wrong": f"{RELU}return x\n",
    "broken": "def relu__default_kernel_impl(x):\n    return (\n",
    "crashing": f"import ctypes\n\n\n{RELU}ctypes.string_at(0)\n",
    "hanging": SLEEPY,
}
REUSED = Scale(reuse=True, max_containers=1)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane to which somebody is logged in; Modal's client keeps to the first that it meets."""
    folder = tmp_path_factory.mktemp("modal")
    with running(folder) as plane, pytest.MonkeyPatch.context() as patch:
        for name, value in credentials(plane).items():
            patch.setenv(name, value)
        yield plane
        modal.Client.from_env().close()


@pytest.fixture(scope="module")
def deployed(plane: ControlPlane) -> ControlPlane:
    """With one container that takes all that comes."""
    deployment.deploy(REUSED)
    return plane


@pytest.fixture(scope="module")
def reused(deployed: ControlPlane) -> ControlPlane:
    """The same, where this machine has the walls without which no container is reused."""
    code = """
from backend_bench.worker import sandbox
print(*sandbox.probe(sandbox.default_plan(level="best-effort", cuda=False)).holds)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if missing := set(container.SEALED) - set(done.stdout.split()):
        pytest.skip(f"no container can be reused on this machine, which lacks {', '.join(sorted(missing))}")
    return deployed


def submission(source: str) -> Submission:
    return Submission(
        op=Operator.parse("relu"), source=source, suite=SMOKE, only="correctness", seed=7,
        limits=Limits(load_s=20, call_s=2, first_call_s=2, total_s=40),
    )  # fmt: skip


def judged(source: str) -> Verdict:
    return asyncio.run(ModalExecutor("H100").submit(submission(source)))


async def until(holds: Callable[[], object]) -> None:
    while not holds():
        await asyncio.sleep(0.02)


def busy(plane: ControlPlane) -> list[Container]:
    return [one for one in plane.containers if one.alive and one.holds is not None]


def is_judging(one: Container) -> bool:
    """Whether the service in there has a submission in hand."""
    services_there = [runtime.Address(one.runtime, lock.stem) for lock in one.runtime.glob("*.lock")]
    states = [services.look(address) or {} for address in services_there]
    return any(device["running"] for state in states for device in state.get("devices", []))


@pytest.mark.slow
def test_the_same_verdicts_as_on_this_host(reused: ControlPlane) -> None:
    async def verdicts(place: LocalExecutor | ModalExecutor) -> dict[str, Verdict]:
        found = {name: await place.submit(submission(source)) for name, source in KERNELS.items()}
        await place.aclose()
        return found

    here, there = asyncio.run(verdicts(LocalExecutor())), asyncio.run(verdicts(ModalExecutor("H100")))
    for name in KERNELS:
        assert (name, there[name].status, there[name].correctness_score, there[name].reward) == (
            name, here[name].status, here[name].correctness_score, here[name].reward
        )  # fmt: skip
        assert [case.status for case in there[name].cases] == [case.status for case in here[name].cases]
    assert {verdict.status for verdict in there.values()} >= {Status.OK, Status.WRONG, Status.CRASHED}


@pytest.mark.slow
def test_the_verdict_says_where_and_what_it_took(reused: ControlPlane) -> None:
    verdict = judged(RIGHT)
    said = r"Modal, H100!: held for \d+\.\d s after \d+\.\d s of waiting \(container ta-\d+, "
    assert re.match(said, verdict.place)
    assert verdict.stages_s["queue"] > 0
    assert reused.gpu(reused.containers[-1].function) == "H100!"


@pytest.mark.slow
def test_the_service_that_was_warmed_before_the_snapshot_judges_after_it(reused: ControlPlane) -> None:
    judged(RIGHT)
    used = reused.containers[-1]
    assert used.snapshots == 1
    assert len(list(used.runtime.glob("*.lock"))) == 1


@pytest.mark.slow
def test_a_suite_is_asked_for_once(
    reused: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    index = choose.read_index("T4", SMOKE)
    asked = len(reused.calls)
    assert choose.read_index("T4", SMOKE) == index
    assert len(reused.calls) == asked
    assert "relu.default" in index.entries
    assert list((index_cache.folder() / "modal").iterdir())


@pytest.mark.slow
def test_a_container_is_told_of_the_suite_what_the_client_knows(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each container of one life would trace all of opinfo, for more than a minute."""
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv(rented.APP, "single")
    deployment.deploy(Scale(max_containers=1))
    opinfo_part = {"relu.default": [["a", 1]]}
    index = choose.read_index("H100", SMOKE)
    calls._keep("H100", index, {"sites": opinfo_part})
    calls._read.cache_clear()
    told = letters.of_operator(calls._kept("H100", index.spec), "relu.default")
    assert list(told["index"]["entries"]) == ["relu.default"]
    assert told["sites"] == opinfo_part
    job = Submission(op=Operator.parse("relu"), source=RIGHT, suite=index.spec, only="correctness")
    assert asyncio.run(ModalExecutor("H100").submit(job)).status is Status.OK
    written = plane.containers[-1].folder / "cache"
    assert json.loads(next(written.rglob("*.index.json")).read_text())["entries"].keys() == {"relu.default"}


@pytest.mark.slow
def test_a_long_kernel_goes_by_a_call_that_takes_it(reused: ControlPlane) -> None:
    noise = f"# {random.Random(7).randbytes(20_000).hex()}\n"
    assert judged(noise + RIGHT).status is Status.OK


def test_a_long_answer_to_a_short_call_is_asked_for_again() -> None:
    noise = random.Random(7).randbytes(20_000).hex()
    answer = letters.Answer(message=noise, container="ta-7")
    assert letters.unpack(container._packed(answer, short=False), letters.Answer) == answer
    word = container._packed(answer, short=True)
    assert len(word) < letters.SHORT
    assert letters.unpack(word, letters.Answer).fault == "long"

    class Told(ModalExecutor):
        asked: ClassVar[list[bytes]] = []

        async def _cancellable(self, data: bytes) -> bytes:
            return word

        def _remote(self) -> Any:
            async def aio(data: bytes) -> bytes:
                self.asked.append(data)
                return letters.pack(answer)

            return types.SimpleNamespace(remote=types.SimpleNamespace(aio=aio))

    request = letters.Request(build=letters.build(), submission=submission(RIGHT))
    assert asyncio.run(Told("H100")._call(request)) == answer
    assert [letters.unpack(data, letters.Stamp).short for data in Told.asked] == [False]


@pytest.mark.slow
def test_many_at_once_wait_their_turn(reused: ControlPlane) -> None:
    async def story() -> list[Verdict]:
        executor = ModalExecutor("H100")
        return await asyncio.gather(*(executor.submit(submission(RIGHT)) for _ in range(6)))

    judged(RIGHT)
    verdicts = asyncio.run(story())
    assert [verdict.status for verdict in verdicts] == [Status.OK] * 6
    waits = sorted(verdict.stages_s["queue"] for verdict in verdicts)
    held = min(verdict.wall_s for verdict in verdicts)
    assert waits[-1] > waits[0] + 4 * held  # one container, one after the other


@pytest.mark.slow
def test_a_container_with_a_fault_of_its_own_is_not_asked_again(reused: ControlPlane) -> None:
    judged(RIGHT)
    used = reused.containers[-1]
    job = Submission(op=Operator.parse("relu"), source=RIGHT, suite=SuiteSpec(name="smoke", device="cuda"))
    with pytest.raises(NotJudged, match=r"no answer in 2 tries; the last one: container .* no CUDA device"):
        asyncio.run(ModalExecutor("H100").submit(job))
    assert not used.alive
    assert judged(RIGHT).status is Status.OK


@pytest.mark.slow
@pytest.mark.parametrize(
    "warming",
    ["import backend_bench.judge.desk", "from backend_bench.worker import zygote; zygote._warm_up('native')"],
)
def test_nobody_looks_for_a_gpu_before_the_snapshot(warming: str) -> None:
    """Modal takes it where there is none, and torch would remember that."""
    code = f"""
import functools, torch

def looked(name, real, *given):
    seen.append(name)
    return real(*given)

seen = []
for owner, name in (torch.cuda, "is_available"), (torch.cuda, "device_count"), (torch.cuda, "_lazy_init"):
    setattr(owner, name, functools.partial(looked, name, getattr(owner, name)))
{warming}
print(seen)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=worker_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("why", ["it hangs", "it overlooks the GPU"])
def test_a_service_that_does_not_wake_up_is_started_anew(
    why: str, monkeypatch: pytest.MonkeyPatch, runtime_folder: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        monkeypatch.setenv(runtime.FOLDER, folder)
        if why == "it hangs":
            monkeypatch.setattr(container, "WAKE_LIMIT_S", 0.5)
        else:
            monkeypatch.setattr(local, "device", lambda gpu: "cuda")
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.setattr(services, "END_LIMIT_S", 1.0)
        monkeypatch.setattr(services, "LOOK_LIMIT_S", 0.1)

        async def story() -> tuple[int, int]:
            judge = container.Judge()
            judge._judge = LocalExecutor()
            before = int((await judge._judge.service())["pid"])
            if why == "it hangs":
                os.kill(before, signal.SIGSTOP)
            assert (await judge._wake())["devices"]
            after = int((await judge._judge.service())["pid"])
            await judge._judge.aclose()
            return before, after

        before, after = asyncio.run(story())
        assert before != after
        for seen in services.running():
            services.end(seen)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (SuiteSpec(name="facto"), "FACTO is not in its image"),
        (SuiteSpec(name="torchbench", source="hub"), "no network"),
        (
            SuiteSpec(name="torchbench", source="/data/cases.parquet#4631bf4d80a2c3ee"),
            "none of this host's files",
        ),
    ],
)
def test_cases_that_no_container_can_get(spec: SuiteSpec, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        calls.read_index("H100", spec)


@pytest.mark.slow
def test_another_build_is_told(reused: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "build", lambda: "0" * 64)
    with pytest.raises(UsageError, match=r"another build.*`backend-bench deploy modal` again"):
        judged(RIGHT)


@pytest.mark.slow
def test_what_makes_no_sense_there_is_told_and_not_tried_again(reused: ControlPlane) -> None:
    asked = len(reused.calls)
    nonsense = Submission(op=Operator.parse("nonsense"), source=RIGHT, suite=SMOKE)
    with pytest.raises(UsageError, match=r"has no operator nonsense"):
        asyncio.run(ModalExecutor("H100").submit(nonsense))
    assert len(reused.calls) == asked + 1


@pytest.mark.slow
def test_a_container_that_dies_is_replaced(reused: ControlPlane) -> None:
    async def story() -> Verdict:
        wanted = asyncio.create_task(ModalExecutor("H100").submit(submission(RIGHT)))
        await until(lambda: busy(reused))
        busy(reused)[0].kill()
        return await wanted

    assert asyncio.run(story()).status is Status.OK


@pytest.mark.slow
def test_a_submission_whose_containers_die_is_our_fault(reused: ControlPlane) -> None:
    async def story() -> None:
        wanted = asyncio.create_task(ModalExecutor("H100").submit(submission(SLEEPY)))
        for _ in range(2):
            await until(lambda: busy(reused))
            busy(reused)[0].kill()
            await until(lambda: not busy(reused))
        with pytest.raises(ServiceError, match=r"no answer in 2 tries; the last one: the container died"):
            await wanted

    asyncio.run(story())


@pytest.mark.slow
def test_who_waits_no_longer_frees_the_container(reused: ControlPlane) -> None:
    async def story() -> None:
        wanted = asyncio.create_task(ModalExecutor("H100").submit(submission(SLEEPY)))
        await until(lambda: busy(reused))
        held = busy(reused)[0]
        # Modal's client in a container dies of a cancellation that comes between the input and the run of it.
        await until(lambda: is_judging(held))
        wanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wanted
        await until(lambda: held.holds is None)
        assert held.alive

    asyncio.run(story())


@pytest.mark.slow
def test_one_submission_a_container_and_a_limit_of_time(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(rented.APP, "single")
    monkeypatch.setenv(rented.RETRIES, "0")
    deployment.deploy(Scale(timeout_s=20, max_containers=1))
    before = len(plane.containers)
    assert [judged(RIGHT).status for _ in range(2)] == [Status.OK] * 2
    assert [one.served for one in plane.containers[before:]] == [1, 1]
    deployment.deploy(Scale(timeout_s=1, max_containers=1))
    with pytest.raises(ServiceError, match=r"passed its time limit; `deploy modal --timeout` sets it"):
        judged(SLEEPY)


@pytest.mark.parametrize(
    ("answer", "spoilt"),
    [
        (letters.Answer(fault="ours"), True),
        (letters.Answer(fault="usage"), False),
        (letters.Answer(verdict=Verdict(op="relu.default", language="triton", status=Status.ERROR)), True),
        (letters.Answer(verdict=Verdict(op="relu.default", language="triton", status=Status.OK)), False),
        (letters.Answer(verdict=Verdict(op="relu.default", language="triton", status=Status.OK, sandbox=("seccomp",))), True),
        (letters.Answer(verdict=Verdict(op="relu.default", language="triton", status=Status.OK, sandbox=container.SEALED)), False),
    ],
)  # fmt: skip
def test_after_what_a_container_takes_no_more(answer: letters.Answer, spoilt: bool) -> None:
    assert container._is_spoilt(answer) is spoilt


@pytest.mark.slow
def test_a_reused_container_keeps_its_sandbox(reused: ControlPlane) -> None:
    job = dataclasses.replace(submission(RIGHT), sandbox="off")
    with pytest.raises(UsageError, match="judges nothing without a sandbox"):
        asyncio.run(ModalExecutor("H100").submit(job))


@pytest.mark.gpu
def test_a_judge_that_was_warmed_without_a_gpu_judges_on_one(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot's half that can be had without Modal: torch imported first, CUDA looked for afterwards."""
    import torch

    card = torch.cuda.get_device_name()
    gpu = next(name for name in choose.RENTED if calls._is_card(rented.asked_as(name), card))
    monkeypatch.setenv(rented.APP, "carded")
    monkeypatch.setattr(plane, "hides_gpus", False)
    deployment.deploy(Scale(max_containers=1))
    job = Submission(op=Operator.parse("relu"), source=RIGHT, suite=SuiteSpec(name="smoke", device="cuda"))
    verdict = asyncio.run(ModalExecutor(gpu).submit(job))
    assert verdict.status is Status.OK
    assert verdict.performance.passed == verdict.performance.total > 0


def test_a_container_that_does_not_start_is_our_fault(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it failed with comes to the client as it is, and is no error of ours."""
    monkeypatch.setenv(rented.APP, "spoilt")
    monkeypatch.setenv(rented.RETRIES, "0")
    deployment.deploy(Scale(max_containers=1))
    monkeypatch.setattr(plane, "spoil", lambda folder: (folder / "root/backend_bench/wire.py").unlink())
    with pytest.raises(ServiceError, match=r"the container did not start \(ImportError: .*wire"):
        judged(RIGHT)


def test_a_container_without_walls_is_not_reused() -> None:
    assert container._missing({}) == list(container.SEALED)
    whole = {"sandbox": {"cpu": {"holds": list(container.SEALED)}}}
    assert container._missing(whole) == []
    whole["sandbox"]["cuda"] = {"holds": [wall for wall in container.SEALED if wall != "mount-view"]}
    assert container._missing(whole) == ["mount-view"]


def test_what_is_deployed_is_locked_up(deployed: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rented.APP, "by-hand")
    arguments = "deploy modal --max-containers 3 --scaledown-window 30 --timeout 77 --min-containers H100=2"
    done = CliRunner().invoke(cli.app, arguments.split())
    assert done.exit_code == 0, done.output
    functions, classes = deployed.layouts[deployed.apps["by-hand"]]
    assert classes.keys() == {"Judge"}
    (function,) = (deployed.functions[name] for name in functions.values())
    assert function.block_network
    assert function.untrusted  # the protocol's word for: no access to Modal
    assert function.single_use_containers
    assert function.checkpointing_enabled
    assert not function.resources.gpu_config.gpu_type  # each call says which
    assert function.autoscaler_settings.max_containers == 3
    assert function.autoscaler_settings.scaledown_window == 30
    assert function.timeout_secs == 77
    assert deployed.scaling["H100!"].min_containers == 2
    cbor = 4
    assert [list(one.supported_output_formats) for one in function.method_definitions.values()] == [[cbor]]


def test_a_person_deploys_to_a_stand_in_of_his_own() -> None:
    root = Path(__file__).parents[2]
    stand_in = [sys.executable, "-m", "tests.executors.modal_stand_in"]
    with subprocess.Popen(
        stand_in, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as there:
        assert there.stdout is not None
        said = [there.stdout.readline().removeprefix("export ").strip() for _ in range(4)]
        command = [sys.executable, "-m", "backend_bench.cli", "deploy", "modal"]
        variables = os.environ | dict(line.split("=", 1) for line in said)
        done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True)
        there.communicate()
    assert (done.returncode, there.returncode) == (0, 0), done.stdout + done.stderr
    assert "deployed as backend-bench" in done.stdout


def test_the_whole_package_is_uploaded(deployed: ControlPlane) -> None:
    package = Path(deployment.__file__).parents[2]
    ours = {
        f"/root/backend_bench/{path.relative_to(package)}" for path in package.rglob("*") if path.is_file()
    }
    sent = {file.filename for files in deployed.mounts.values() for file in files}
    assert {name for name in ours if "__pycache__" not in name} <= sent
    assert not any("__pycache__" in name for name in sent)


def test_no_one_logged_in(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODAL_TOKEN_ID")
    with pytest.raises(UsageError, match="nobody is logged in to Modal: run `modal token new`"):
        choose.check("H100")
    done = CliRunner().invoke(cli.app, ["deploy", "modal"])
    assert done.exit_code == 2


def test_nothing_deployed(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rented.APP, "elsewhere")
    with pytest.raises(UsageError, match=r"under the name 'elsewhere': `backend-bench deploy modal`"):
        judged(RIGHT)


def test_doctor_looks_at_the_account_and_at_the_app_before_it_rents(
    deployed: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = {name: look() for name, look in rented.steps("H100")}
    assert f"modal {modal.__version__}" in looked["account"]
    assert "is deployed; a container with H100! starts now" in looked["app"]
    monkeypatch.setenv(rented.APP, "elsewhere")
    findings = list(diagnosis.diagnose("H100"))
    assert [(one.step, one.holds) for one in findings] == [("name", True), ("account", True), ("app", False)]
    assert "`backend-bench deploy modal`" in findings[-1].text


def test_a_gpu_that_is_not_rented_out(deployed: ControlPlane) -> None:
    with pytest.raises(UsageError, match=r"gpu='V100': Modal does not rent it out"):
        asyncio.run(ModalExecutor("V100").submit(submission(RIGHT)))


@pytest.mark.parametrize(
    ("code", "said", "becomes", "told"),
    [
        (Code.RESOURCE_EXHAUSTED, "workspace spend limit reached", ServiceError, "takes no more work on this account"),
        (Code.UNAUTHENTICATED, "token revoked", UsageError, "does not know who asks"),
        (Code.PERMISSION_DENIED, "not a member", UsageError, "does not let this account"),
        (Code.RESOURCE_EXHAUSTED, "rate limit", ServiceError, "no answer in 2 tries.*too busy"),
        (Code.DATA_LOSS, "gone", ServiceError, "no answer in 2 tries.*no answer from Modal"),
    ],
)  # fmt: skip
def test_what_modal_refuses_is_told(
    deployed: ControlPlane, monkeypatch: pytest.MonkeyPatch, code: Code, said: str, becomes: type, told: str
) -> None:
    monkeypatch.setattr(calls, "PAUSE_S", 0.0)
    monkeypatch.setitem(deployed.faults, "FunctionMap", (code, said))
    with pytest.raises(becomes, match=told):
        judged(RIGHT)


def test_without_its_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=re.escape('pip install "backend-bench[modal]"')):
        choose.check("H100")


@pytest.mark.parametrize("text", ["-1", "eleven", "11"])
def test_retries_are_a_small_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rented.RETRIES, text)
    with pytest.raises(UsageError, match="no whole number from 0 to 10"):
        rented.retries()


@pytest.mark.parametrize("text", ["H100", "H100=", "V100=1", "H100=-1", "H100=1000"])
def test_started_containers_are_named_by_their_gpu(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not GPU=N"):
        deployment.parse_min_containers([text])


@pytest.mark.parametrize(
    ("gpu", "card"),
    [
        ("H100", "NVIDIA H100 80GB HBM3"),
        ("A100", "NVIDIA A100-SXM4-40GB"),
        ("A100-80GB", "NVIDIA A100 80GB PCIe"),
        ("A10", "NVIDIA A10G"),
        ("L4", "NVIDIA L4"),
        ("L40S", "NVIDIA L40S"),
        ("T4", "Tesla T4"),
    ],
)
def test_a_time_counts_on_the_card_that_was_asked_for(gpu: str, card: str) -> None:
    calls._require_card(gpu, letters.Answer(machine={"gpus": [{"name": card}]}))
    for other in ("NVIDIA H200", "NVIDIA A100-SXM4-80GB" if gpu == "A100" else "NVIDIA L40"):
        with pytest.raises(Lost, match="its verdict is dropped"):
            calls._require_card(gpu, letters.Answer(machine={"gpus": [{"name": other}]}))
    with pytest.raises(Lost, match="no GPU"):
        calls._require_card(gpu, letters.Answer())


def test_a_letter_is_read_with_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    request = letters.Request(build=letters.build(), submission=submission(RIGHT))
    packed = letters.pack(request)
    assert letters.unpack(packed, letters.Request) == request
    for bad in (packed[:-3], b"", b"not compressed", letters.pack(letters.Answer(fault="ours"))):
        with pytest.raises(ServiceError, match="letter"):
            letters.unpack(bad, letters.Request)
    with pytest.raises(ServiceError, match="bytes, not str"):
        letters.unpack("text", letters.Request)  # type: ignore[arg-type]
    monkeypatch.setattr(letters, "LONGEST", 100)
    with pytest.raises(ServiceError, match="more than 100 bytes"):
        letters.unpack(packed, letters.Request)


def test_the_image_has_the_tested_versions() -> None:
    tested = (Path(__file__).parents[2] / "constraints.txt").read_text().lower().splitlines()
    assert [pin for pin in deployment.PINS if pin.lower() not in tested] == []


@pytest.mark.slow
def test_the_image_has_what_the_judge_imports() -> None:
    """Everything that the service, a zygote and the container's entry load comes with one of the pins."""
    code = (
        "import sys; import backend_bench.service.__main__, backend_bench.service.life, backend_bench.judge.desk, "
        "backend_bench.service.judges, backend_bench.worker.zygote, backend_bench.executors.modal.container, "
        "backend_bench.suites.opinfo, backend_bench.suites.torchbench, backend_bench.suites.smoke; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owners = importlib.metadata.packages_distributions()
    loaded = {normal(owner) for name in done.stdout.split() for owner in owners.get(name, ())[:1]}
    brought = closure([re.split("==", pin)[0] for pin in deployment.PINS])
    of_modal = closure(["modal"])  # Modal puts its client and what that needs into every container
    optional = {"sniffio", "python-multipart"}  # looked for by httpcore and FastAPI, and done without
    assert loaded - brought - of_modal - optional - {"backend-bench"} == set()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: list[str]) -> set[str]:
    """The distributions and all that they need, as installed here."""
    found: set[str] = set()
    while names:
        name = normal(names.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        names += [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
    return found
