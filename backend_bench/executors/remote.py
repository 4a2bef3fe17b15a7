"""Another host judges: its service is spoken to over HTTP with a token.

Starts nothing there; a person does, with `backend-bench serve --listen`. A line that is lost is tried
again a few times, since the service gives up what nobody waits for. Imports no torch.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from backend_bench import __version__
from backend_bench.cases import SuiteIndex
from backend_bench.errors import ServiceError, UsageError
from backend_bench.executors import conversation, tokens
from backend_bench.submission import Device, Submission, SuiteSpec
from backend_bench.verdict import Verdict

T = TypeVar("T")

CONNECT_LIMIT_S = 10.0
"""To reach the host; a verdict itself takes as long as it takes."""
PAUSES_S = (0.5, 2.0, 8.0)
"""Before each further try: a service that is started again needs some seconds."""


class RemoteExecutor:
    """Judges at a service of another host. Raises `UsageError` where there is no token for it."""

    def __init__(self, url: str) -> None:
        self.url = url
        transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None), socket_options=conversation.KEEP_ALIVE
        )
        self._line = httpx.AsyncClient(transport=transport, **_manners(url))

    async def submit(self, submission: Submission) -> Verdict:
        """Judge one kernel. Raises `UsageError` and `ServiceError`."""
        return await self._ask("/v1/submissions", submission, Verdict)

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        """The suite's operators and cases there."""
        return await self._ask("/v1/index", spec, SuiteIndex)

    async def machine(self) -> Mapping[str, Any]:
        """Facts about that host."""
        return await self._ask("/v1/machine", None, dict[str, Any])

    async def aclose(self) -> None:
        """Hang up."""
        await self._line.aclose()

    async def _ask(self, path: str, body: object, answer: type[T]) -> T:
        for pause_s in (*PAUSES_S, None):
            try:
                return await conversation.ask(self._line, path, body, answer)
            except httpx.TransportError as error:
                if pause_s is None:
                    raise _unreachable(self.url, error) from error
                await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")


def executor(url: str) -> RemoteExecutor:
    """The way to that service. Raises `UsageError` where there is no token for it."""
    return RemoteExecutor(url)


def read_index(url: str, spec: SuiteSpec) -> SuiteIndex:
    """A suite's index at that service, read without an event loop."""
    return _ask_now(url, "/v1/index", spec, SuiteIndex)


@functools.cache
def device(url: str) -> Device:
    """Where tensors live there: on its GPUs if it has any."""
    return "cuda" if "cuda" in _ask_now(url, "/v1/machine", None, dict[str, Any])["devices"] else "cpu"


def check(url: str) -> None:
    """Raise `UsageError` unless this is the address of a service."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"gpu={url!r} is no address: {error}") from error
    if not parsed.host or parsed.path not in ("", "/") or parsed.userinfo:
        raise UsageError(f"gpu={url!r} is no address of a judge service; it looks like http://host:8700")


def _ask_now(url: str, path: str, body: object, answer: type[T]) -> T:
    transport = httpx.HTTPTransport(socket_options=conversation.KEEP_ALIVE)
    with httpx.Client(transport=transport, **_manners(url)) as client:
        try:
            return conversation.read(client.send(conversation.request(client, path, body)), answer)
        except httpx.TransportError as error:
            raise _unreachable(url, error) from error


def _manners(url: str) -> dict[str, Any]:
    """How any client of that service speaks."""
    return {
        "base_url": url,
        "timeout": httpx.Timeout(None, connect=CONNECT_LIMIT_S),
        "headers": {
            "authorization": f"Bearer {tokens.of_environment()}",
            conversation.CLIENT: conversation.client_name(),
            conversation.VERSION: __version__,
        },
    }


def _unreachable(url: str, error: Exception) -> ServiceError:
    return ServiceError(
        f"the judge service at {url} cannot be reached ({error!r}); is `backend-bench serve --listen` running there?"
    )
