"""This host judges: its judge service is found by its socket, and started where there is none.

The service is shared with everybody who runs the same build here, and outlives this process. One that
dies is started again, and asked again: a submission is answered once. Imports no torch; the service
does, in its own process.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from backend_bench import runtime
from backend_bench.cases import SuiteIndex
from backend_bench.errors import ServiceError, UsageError, need
from backend_bench.executors import conversation, launch
from backend_bench.submission import Device, Sandbox, Submission, SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.verdict import Verdict

T = TypeVar("T")

TRIES = 3
"""Services that one request may see die. A submission that ends each of them is not sent to a fourth."""
_MAKER = """
import sys
sys.path.append(sys.argv.pop(1))
from backend_bench.suites.__main__ import main
sys.exit(main())
"""
_TAIL = 4000
"""Characters of an index maker's own words in an error."""


class LocalExecutor:
    """Judges on this host. `sandbox` is the level at which it is asked about suites and this machine."""

    def __init__(self, sandbox: Sandbox = "best-effort") -> None:
        self.sandbox: Sandbox = sandbox
        self._name = conversation.client_name()
        self._lines: dict[Sandbox, httpx.AsyncClient] = {}
        self._connecting = asyncio.Lock()

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel. Raises `UsageError` and `ServiceError`."""
        return await self._ask(submission.sandbox, "/v1/submissions", submission, Verdict)

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The suite's operators and cases."""
        return await self._ask(self.sandbox, "/v1/index", spec, SuiteIndex)

    async def machine(self) -> Mapping[str, Any]:
        """Facts about this host."""
        return await self._ask(self.sandbox, "/v1/machine", None, dict[str, Any])

    async def languages(self) -> Mapping[str, Mapping[str, str]]:
        """For each kind of device the languages, and why one is not offered; nothing where it is."""
        return await self._ask(self.sandbox, "/v1/languages", None, dict[str, dict[str, str]])

    async def service(self) -> Mapping[str, Any]:
        """The service that answers: its process, its queues."""
        return await self._ask(self.sandbox, "/v1/service", None, dict[str, Any])

    async def aclose(self) -> None:
        """Hang up. The service lives on."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            await line.aclose()

    async def _ask(self, sandbox: Sandbox, path: str, body: object, answer: type[T]) -> T:
        for _ in range(TRIES):
            line = await self._line(sandbox)
            try:
                return await conversation.ask(line, path, body, answer)
            except httpx.TransportError as error:
                lost = error
                await self._hang_up(sandbox, line)
        place = runtime.address(sandbox)
        said = launch.last_words(place.log)
        raise ServiceError(
            f"the judge service went away {TRIES} times while it was asked {path} ({lost!r}); "
            f"its log is {place.log}" + (f" and ends:\n{said}" if said else "")
        )

    async def _line(self, sandbox: Sandbox) -> httpx.AsyncClient:
        """A line to a service that listens, shared by all requests until it is lost."""
        async with self._connecting:
            if sandbox not in self._lines:
                place = runtime.address(sandbox)
                await asyncio.to_thread(launch.ensure, place, sandbox)
                transport = httpx.AsyncHTTPTransport(
                    uds=str(place.socket), limits=httpx.Limits(max_connections=None)
                )
                # A verdict takes as long as it takes: the judge has the limits.
                self._lines[sandbox] = httpx.AsyncClient(
                    transport=transport,
                    base_url=conversation.FACE,
                    timeout=None,
                    headers={conversation.CLIENT: self._name},
                )
            return self._lines[sandbox]

    async def _hang_up(self, sandbox: Sandbox, line: httpx.AsyncClient) -> None:
        """Let the next request look for a service anew; others on the same line may have been quicker."""
        if self._lines.get(sandbox) is line:
            del self._lines[sandbox]


def check(gpu: str) -> None:
    """This host can always be asked; what it lacks it says when it judges."""


def executor(gpu: str) -> LocalExecutor:
    """The way to this host's service."""
    return LocalExecutor()


def device(gpu: str) -> Device:
    """Where tensors live: on this host's GPUs if the driver offers any and the CPU was not asked for."""
    return "cuda" if gpu != "cpu" and _has_gpu() else "cpu"


def steps(gpu: str) -> list[tuple[str, Callable[[], str]]]:
    """What `doctor` looks at."""
    return [("judge's side", _judges_side), ("device", lambda: _device_told(gpu))]


def _judges_side() -> str:
    launch.require_judge()
    return f"torch {runtime.torch_version()} is installed"


def _device_told(gpu: str) -> str:
    if device(gpu) == "cuda":
        return "GPUs of this host"
    return "the CPU of this host" + ("" if gpu == "cpu" else ", which has no GPU")


def _has_gpu() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return any(Path("/dev").glob("nvidia[0-9]*"))


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """A suite's index on this host: from the cache, else made by a short-lived process with torch."""
    known = index_cache.load_cached_index(spec)
    return known if known is not None else _make_index(spec)


def _make_index(spec: SuiteSpec) -> SuiteIndex:
    need("torch", "judge", "listing a suite on this host needs torch")
    options: dict[str, Any] = {
        "--suite": spec.name,
        "--device": spec.device,
        "--dtype": spec.dtype,
        "--source": spec.source,
        "--cases-per-op": spec.cases_per_op,
        "--topn": spec.topn,
        "--perf-cases": spec.perf_cases,
    }
    # A file without a name, and a maker that ends with us: nothing is left where we are killed meanwhile.
    with tempfile.TemporaryFile() as file:
        command = [
            sys.executable,
            "-P",  # a file of the folder that we are in must not stand in for a module
            "-c",
            _MAKER,
            str(Path(__file__).parents[2]),
            "--out",
            f"/dev/fd/{file.fileno()}",
            "--end-with-input",
        ]
        for flag, value in options.items():
            command += [flag, str(value)] if value is not None else []
        command += ["--overhead-dominated"] if spec.overhead_dominated else []
        command += ["--error-inputs"] if spec.error_inputs else []
        code, said = _run(command, file.fileno())
        if code == 2:
            raise UsageError(said.strip().splitlines()[-1])
        if code:
            how = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
            raise ServiceError(
                f"the suite's index could not be made: its maker {how}\n{said[-_TAIL:]}".rstrip()
            )
        file.seek(0)
        return index_cache.decode_index(file.read())


def _run(command: list[str], fd: int) -> tuple[int, str]:
    """Run a process that has this descriptor and ends with us; its exit code, and what it said."""
    with subprocess.Popen(
        command, env=launch.environment(), pass_fds=(fd,), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        said = process.stderr.read()  # its input stays open meanwhile
        return process.wait(), said
