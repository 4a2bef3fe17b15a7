"""This host judges: a judge service is started as a child, and spoken to over a private Unix socket.

Imports no torch; the service does, in its own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import httpx
import msgspec

from backend_bench.cases import SuiteIndex
from backend_bench.errors import MissingExtra, ServiceError, UsageError
from backend_bench.judge.zygotes import STEADY_HEAP
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.verdict import Verdict

T = TypeVar("T")

START_LIMIT_S = 180.0
"""A cold import of torch and op_db from a slow disk has been seen to take a minute."""
_DYING_S = 1.0
"""How long a lost service is given to be seen as ended; longer, and only the line to it was lost."""
_POLL_S = 0.02
"""How often a starting service is looked for."""
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|SSL_CERT_\w+|REQUESTS_CA_BUNDLE"
    r"|(?:XDG|CUDA|NVIDIA|NCCL|PYTORCH|TORCH|TORCHINDUCTOR|TRITON|OMP|MKL|OPENBLAS|PYTHON|BACKEND_BENCH)_?[A-Z_0-9]*"
    r"|HF_(?:HOME|HUB_\w+|ENDPOINT)|(?i:https?_proxy|no_proxy)"
)
"""Variables that the service may see; none of them is a place for a secret."""
_LOG_TAIL = 4000
"""Characters of the service's own words in an error."""


class LocalExecutor:
    """Judges on this host. One service per executor, started at the first request."""

    def __init__(self, device: Literal["auto", "cpu", "cuda"] = "auto") -> None:
        self.device = device
        self._service: _Service | None = None
        self._client: httpx.AsyncClient | None = None
        self._starting = asyncio.Lock()

    @property
    def service_pid(self) -> int | None:
        """Process of the service, once there is one."""
        return None if self._service is None else self._service.pid

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel. Raises `UsageError` and `ServiceError`."""
        return await self._ask("/v1/submissions", submission, Verdict)

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The suite's operators and cases."""
        return await self._ask("/v1/index", spec, SuiteIndex)

    async def machine(self) -> Mapping[str, Any]:
        """Facts about this host."""
        return await self._ask("/v1/machine", None, dict[str, Any])

    async def aclose(self) -> None:
        """End the service."""
        if self._client is not None:
            await self._client.aclose()
        if self._service is not None:
            await asyncio.to_thread(self._service.close)
        self._client = self._service = None

    async def _ask(self, path: str, body: object, answer: type[T]) -> T:
        try:
            response = await self._request(path, body)
        except httpx.HTTPError:
            # The service died, or a line to it: a dead one is started again, and asked again, once.
            await asyncio.to_thread(self._see_it_end)
            try:
                response = await self._request(path, body)
            except httpx.HTTPError as error:
                raise ServiceError(self._last_words(f"the judge service went away ({error!r})")) from error
        if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise UsageError(_message(response))
        if response.is_error:
            raise ServiceError(self._last_words(_message(response)))
        return msgspec.json.decode(response.content, type=answer)

    def _see_it_end(self) -> None:
        """A process that was killed a moment ago still looks alive."""
        if self._service is not None:
            self._service.wait(_DYING_S)

    async def _request(self, path: str, body: object) -> httpx.Response:
        client = await self._connect()
        method = "GET" if body is None else "POST"
        return await client.request(method, path, content=b"" if body is None else msgspec.json.encode(body))

    async def _connect(self) -> httpx.AsyncClient:
        async with self._starting:
            if self._service is not None and not self._service.runs:
                await self.aclose()
            if self._client is None:
                self._service = await asyncio.to_thread(_Service.start)
                transport = httpx.AsyncHTTPTransport(
                    uds=self._service.socket, limits=httpx.Limits(max_connections=None)
                )
                # A verdict takes as long as it takes: the judge has the limits.
                self._client = httpx.AsyncClient(transport=transport, base_url="http://judge", timeout=None)
                await self._wait(self._client)
            return self._client

    async def _wait(self, client: httpx.AsyncClient) -> None:
        deadline = asyncio.get_running_loop().time() + START_LIMIT_S
        while asyncio.get_running_loop().time() < deadline:
            assert self._service is not None
            if not self._service.runs:
                raise ServiceError(self._last_words("the judge service did not start"))
            with contextlib.suppress(httpx.TransportError):
                await client.get("/openapi.json")
                return
            await asyncio.sleep(_POLL_S)
        raise ServiceError(self._last_words(f"no judge service within {START_LIMIT_S:g} s"))

    def _last_words(self, message: str) -> str:
        said = self._service.last_words() if self._service is not None else ""
        return f"{message}; it said:\n{said}" if said else message


class _Service:
    """The child process, its socket and its log."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str], log: IO[bytes]) -> None:
        self._folder, self._log = folder, log
        self.socket = str(Path(folder.name) / "judge.sock")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "backend_bench.service", self.socket],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_service_environment(),
            start_new_session=True,
        )

    @classmethod
    def start(cls) -> _Service:
        """Start it. Raises `MissingExtra` where the judge's side is not installed."""
        for module in ("torch", "fastapi", "uvicorn", "expecttest", "numpy"):
            if importlib.util.find_spec(module) is None:
                raise MissingExtra("judge", f"judging on this host needs {module}")
        folder = tempfile.TemporaryDirectory(prefix="backend-bench-")  # mode 0700
        return cls(folder, open(Path(folder.name) / "log", "wb"))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def wait(self, limit_s: float) -> None:
        """Until it has ended, at most so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=limit_s)

    def last_words(self) -> str:
        # By its name: the child writes through the same descriptor, whose position is its own.
        return Path(self._log.name).read_text(errors="replace")[-_LOG_TAIL:].strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._folder.cleanup()


def _service_environment() -> dict[str, str]:
    """An allow-list: the service has no use for an API key, whatever its name is."""
    kept = {name: value for name, value in os.environ.items() if _ALLOWED.fullmatch(name)}
    return kept | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **STEADY_HEAP,  # the judge copies and compares the same sizes again and again
    }


def _message(response: httpx.Response) -> str:
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return f"the judge service answered {response.status_code}"
    return str(body.get("message", f"the judge service answered {response.status_code}"))


def read_index(spec: SuiteSpec) -> SuiteIndex:
    """A suite's index on this host: from the cache, else made by a short-lived process with torch."""
    known = index_cache.load_cached_index(spec)
    return known if known is not None else _make_index(spec)


def _make_index(spec: SuiteSpec) -> SuiteIndex:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("judge", "listing a suite on this host needs torch")
    options = {"--suite": spec.name, "--device": spec.device, "--dtype": spec.dtype, "--source": spec.source}
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "backend_bench.suites", "--out", file.name]
        for flag, value in options.items():
            command += [flag, value] if value is not None else []
        done = subprocess.run(
            command, env=_service_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode == 2:
            raise UsageError(done.stderr.strip().splitlines()[-1])
        if done.returncode:
            raise ServiceError(f"the suite's index could not be made: {done.stderr[-_LOG_TAIL:]}")
        return index_cache.decode_index(Path(file.name).read_bytes())
