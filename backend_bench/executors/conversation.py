"""What every client of a judge service says over HTTP, and how it reads the answers.

Knows requests and answers; neither finds a service nor starts one, and asks nothing twice.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any, TypeVar

import httpx
import msgspec

from backend_bench.errors import JudgeError, NotJudged, ServiceError, UsageError

T = TypeVar("T")

CLIENT = "x-client"
"""Header in which a client says who it is; turns go round between these names."""
VERSION = "x-backend-bench-version"
"""Header in which a client says what it is; a service on another host takes its own version only."""
FACE = "http://judge"
"""Stands where an address would; a Unix socket has none."""


def client_name() -> str:
    """A name for one client, among whose equals turns go round."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""On both ends of a line over a network: a host that vanished is noticed after a minute, though nothing is
sent while a kernel is judged."""
_OUR_REQUEST = (401, 409, 413, 422)
"""Answers that say that the request is at fault: token, version, size, sense."""


async def ask(client: httpx.AsyncClient, path: str, body: object, answer: type[T]) -> T:
    """One request; `body` None asks without one. Raises `httpx.TransportError` where the line is lost, or the service ends."""
    return read(await client.send(request(client, path, body)), answer)


def request(client: httpx.AsyncClient | httpx.Client, path: str, body: object) -> httpx.Request:
    """The request itself."""
    content = b"" if body is None else msgspec.json.encode(body)
    return client.build_request("GET" if body is None else "POST", path, content=content)


def read(response: httpx.Response, answer: type[T]) -> T:
    """The answer, or what is wrong: `UsageError` for the request, `ServiceError` for the service, `NotJudged` for this submission only."""
    if response.status_code in _OUR_REQUEST:
        raise UsageError(_message(response))
    if response.is_error:
        match _body(response).get("error"):
            case "ending":
                raise httpx.RemoteProtocolError(_message(response))  # its line is as good as lost
            case JudgeError.__name__:  # and none below it: those are about the host
                raise NotJudged(_message(response))
        raise ServiceError(_message(response))
    try:
        return msgspec.json.decode(response.content, type=answer)
    except msgspec.DecodeError as error:
        raise ServiceError(f"what answered is no judge service of this version: {error}") from error


def _message(response: httpx.Response) -> str:
    return str(_body(response).get("message", f"the judge service answered {response.status_code}"))


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
