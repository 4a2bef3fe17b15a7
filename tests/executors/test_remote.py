"""Another host's service: the same verdicts for who has the token, a clear word for who has not."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import backend_bench
from backend_bench import runtime
from backend_bench.errors import ServiceError, UsageError
from backend_bench.executors import choose, remote, services, tokens
from backend_bench.executors.remote import RemoteExecutor
from backend_bench.operator import Operator
from backend_bench.service.guard import LONGEST_BODY, Guard
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

TOKEN = "a-token-that-nobody-guesses"
SMOKE = SuiteSpec(name="smoke", device="cpu", dtype="float32")
README = Path(__file__).parents[2] / "README.md"
WRONG = "def relu__default_kernel_impl(x):\n    return x\n"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, runtime_folder: Path) -> Iterator[str]:
    """The address of a service that lets other hosts in."""
    file = tmp_path_factory.mktemp("token") / "token"
    file.touch(mode=0o600)
    file.write_text(TOKEN + "\n")
    for seen in services.running():
        services.end(seen)
    with services.Foreground(
        "best-effort", float("inf"), services.Door.parse("127.0.0.1:0", file)
    ) as service:
        yield f"http://127.0.0.1:{service.port}"


@pytest.fixture
def _let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.TOKEN, TOKEN)


def post(there: str, content: bytes = b"{}", **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {TOKEN}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return httpx.post(f"{there}/v1/submissions", content=content, headers=given, timeout=120)


@pytest.mark.slow
@pytest.mark.usefixtures("_let_in")
def test_the_verdict_and_the_index_come_from_there(there: str) -> None:
    async def story() -> None:
        executor = choose.choose(there)
        assert isinstance(executor, RemoteExecutor)
        submission = Submission(op=Operator.parse("relu"), source=WRONG, suite=SMOKE, only="correctness")
        assert (await executor.submit(submission)).status is Status.WRONG
        assert (await executor.index(SMOKE)).entries == choose.read_index(there, SMOKE).entries
        await choose.release()

    asyncio.run(story())
    remote.device.cache_clear()
    assert choose.device(there) == (
        "cuda"
        if "cuda"
        in httpx.get(f"{there}/v1/machine", headers={"authorization": f"Bearer {TOKEN}"}, timeout=120).json()[
            "devices"
        ]
        else "cpu"
    )


def test_without_a_token_it_says_how_to_give_one(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(runtime.TOKEN, raising=False)
    with pytest.raises(UsageError, match="set BACKEND_BENCH_TOKEN"):
        choose.read_index(there, SMOKE)
    answer = httpx.get(f"{there}/v1/machine")
    assert answer.status_code == 401
    assert "wants a token" in answer.json()["message"]


def test_a_wrong_token_is_refused(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.TOKEN, TOKEN + "x")
    with pytest.raises(UsageError, match="does not know that token"):
        choose.read_index(there, SMOKE)


def test_another_version_is_refused(there: str) -> None:
    answer = post(there, x_backend_bench_version="9.9.9")
    assert answer.status_code == 409
    assert f"is backend-bench {backend_bench.__version__}, the client 9.9.9" in answer.json()["message"]


def test_a_request_that_is_too_long_is_refused(there: str) -> None:
    assert post(there, b" " * (LONGEST_BODY + 1)).status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"op": 3}', b"\xff" * 100])
def test_a_request_without_sense_is_refused(there: str, body: bytes) -> None:
    answer = post(there, body)
    assert answer.status_code == 422
    assert "not a request" in answer.json()["message"]


@pytest.mark.parametrize("limits", [{"total_s": 0}, {"load_s": 1e300}, {"memory_bytes": 5}, {"timing_s": 31}])
def test_limits_without_sense_are_not_the_kernels_fault(there: str, limits: dict[str, float]) -> None:
    answer = post(there, msgspec.json.encode({"op": {"base": "relu"}, "limits": limits}))
    assert answer.status_code == 422
    assert "limits." in answer.json()["message"]


def test_the_example_of_the_readme_is_answered(there: str) -> None:
    """As it stands there, but for the host and its device."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this host")
    (example,) = re.findall(r"^curl http://gpu-host.*?}'$", README.read_text(), re.MULTILINE | re.DOTALL)
    command = example.replace("http://gpu-host:8700", there).replace('"cuda"', '"cpu"')
    done = subprocess.run(
        ["bash", "-c", command],
        env={"PATH": os.environ["PATH"], runtime.TOKEN: TOKEN},
        capture_output=True,
        check=True,
    )
    verdict = msgspec.json.decode(done.stdout, type=Verdict)
    assert (verdict.op, verdict.status) == ("relu.default", Status.WRONG), done.stdout


def test_nobody_ends_it_from_outside(there: str) -> None:
    answer = httpx.post(f"{there}/v1/stop", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 404


def test_how_to_ask_is_told_to_anybody(there: str) -> None:
    page = httpx.get(f"{there}/openapi.json").json()
    asked = page["paths"]["/v1/submissions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    noun = page["components"]["schemas"][asked["$ref"].rpartition("/")[2]]
    assert {"op", "source", "suite", "only"} <= set(noun["properties"])


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """And what is behind the door hears nothing of it."""
    said: list[dict[str, Any]] = []

    async def never(*_: object) -> None:
        raise AssertionError("the guard let it through")

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {"type": "http", "path": "/v1/index", "headers": [(b"authorization", f"Bearer {TOKEN}".encode())]}
    asyncio.run(Guard(never, TOKEN, body_limit_s=0.01)(scope, receive, send))
    assert said[0]["status"] == 408
    assert "did not arrive" in msgspec.json.decode(said[1]["body"])["message"]


@pytest.mark.usefixtures("_let_in")
def test_a_host_that_does_not_answer_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSES_S", (0.0, 0.0))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def story() -> None:
        executor = RemoteExecutor(f"http://127.0.0.1:{port}")
        with pytest.raises(ServiceError, match=r"is `backend-bench serve --listen` running there"):
            await executor.machine()
        await executor.aclose()

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.usefixtures("_let_in")
def test_a_service_that_is_killed_in_mid_run_and_started_again_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(TOKEN)
    folder = tempfile.mkdtemp(prefix="bb-", dir="/tmp")  # beside the module's own service
    monkeypatch.setenv(runtime.FOLDER, folder)

    def begun(port: int) -> services.Foreground:
        door = services.Door.parse(f"127.0.0.1:{port}", tmp_path / "token")
        return services.Foreground("best-effort", float("inf"), door)

    async def story(first: services.Foreground) -> None:
        executor = RemoteExecutor(f"http://127.0.0.1:{first.port}")
        asked = asyncio.create_task(
            executor.submit(Submission(op=Operator.parse("relu"), source=WRONG, suite=SMOKE))
        )
        while not any(
            device["running"] for device in (services.look(first.address) or {"devices": []})["devices"]
        ):
            await asyncio.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
        first._process.wait()
        assert first.port is not None
        with begun(first.port):
            assert (await asked).status is Status.WRONG
        await executor.aclose()

    with begun(0) as first:
        asyncio.run(story(first))
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "url", ["http://", "https://host/path", "http://user:secret@host", "http://host:port"]
)
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        choose.check(url)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (TOKEN, 0o644, "chmod 600"),
        ("short", 0o600, "holds no token"),
        ("two words that are long enough", 0o600, "holds no token"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_token_file_that_is_none_is_refused(tmp_path: Path, text: str | None, mode: int, said: str) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(UsageError, match=said):
        tokens.read(file)


def test_a_token_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(runtime.TOKEN, raising=False)
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv(tokens.TOKEN_FILE, str(tmp_path / "token"))
    assert tokens.of_environment() == TOKEN


@pytest.mark.parametrize("listen", ["8700", "host:", ":8700", "host:99999"])
def test_what_is_no_door_is_refused(tmp_path: Path, listen: str) -> None:
    with pytest.raises(UsageError, match="is not HOST:PORT"):
        services.Door.parse(listen, tmp_path)
