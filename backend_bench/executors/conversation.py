"""What every client of a judge service says over HTTP, and how it reads the answers.

Knows requests and answers; neither finds a service nor starts one, and asks nothing twice.
"""

from __future__ import annotations

import os
import secrets
from typing import Any, TypeVar

import httpx
import msgspec

from backend_bench.errors import ServiceError, UsageError

T = TypeVar("T")

CLIENT = "x-client"
"""Header in which a client says who it is; turns go round between these names."""
FACE = "http://judge"
"""Stands where an address would; a Unix socket has none."""


def client_name() -> str:
    """A name for one client, among whose equals turns go round."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


async def ask(client: httpx.AsyncClient, path: str, body: object, answer: type[T]) -> T:
    """One request; `body` None asks without one. Raises `httpx.HTTPError` where the line is lost."""
    content = b"" if body is None else msgspec.json.encode(body)
    return read(await client.request("GET" if body is None else "POST", path, content=content), answer)


def read(response: httpx.Response, answer: type[T]) -> T:
    """The answer, or what is wrong: `UsageError` for the request, `ServiceError` for the service."""
    if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        raise UsageError(_message(response))
    if response.is_error:
        raise ServiceError(_message(response))
    return msgspec.json.decode(response.content, type=answer)


def _message(response: httpx.Response) -> str:
    try:
        body = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return f"the judge service answered {response.status_code}"
    return str(body.get("message", f"the judge service answered {response.status_code}"))
