"""The door of a service that other hosts can reach: who has no token is turned away, and nobody may fill or hold it.

Looks at a request before anything else does: token, version, size, and the time that its head and its body take.
Encrypts nothing: over a network that others can read, put a proxy with TLS or a tunnel in front.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

import backend_bench
from backend_bench.executors.conversation import VERSION

LONGEST_BODY = 4 << 20
"""Bytes; a kernel file is some kilobytes."""
BODY_LIMIT_S = 30.0
"""From a request's head to the end of its body."""
HEAD_LIMIT_S = 10.0
"""From a connection to the end of its first request's head."""
OPEN = ("/openapi.json", "/docs")
"""What a token is not needed for: how to ask."""

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class Refusal(Exception):
    """A request that is turned away: a status, and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Impatient(H11Protocol):
    """A connection of a stranger: closed unless it asks something in time. Uvicorn would wait for ever, and only so many may wait."""

    head_limit_s = HEAD_LIMIT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.loop.call_later(self.head_limit_s, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class Guard:
    """An ASGI application in front of another."""

    def __init__(self, app: App, token: str, *, body_limit_s: float = BODY_LIMIT_S) -> None:
        self._app, self._token = app, token.encode()
        self._body_limit_s = body_limit_s

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
            self._check(headers)
            body = await self._body(receive)
        except Refusal as refusal:
            await _refuse(send, refusal)
        else:
            await self._app(scope, _replay(body, receive), send)

    def _check(self, headers: Mapping[str, bytes]) -> None:
        scheme, _, token = headers.get("authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            raise Refusal(401, "this judge service wants a token: send `Authorization: Bearer TOKEN`")
        if not hmac.compare_digest(token.strip(), self._token):
            raise Refusal(401, "this judge service does not know that token")
        version = headers.get(VERSION, b"").decode("latin-1")
        if version and version != backend_bench.__version__:
            raise Refusal(
                409, f"this judge service is backend-bench {backend_bench.__version__}, the client {version}: install the same"
            )  # fmt: skip
        length = headers.get("content-length", b"0")
        if not length.isdigit() or int(length) > LONGEST_BODY:
            raise _too_long()

    async def _body(self, receive: Receive) -> bytes:
        """The whole body, or a refusal: sizes are counted, whatever the head said."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._body_limit_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the client hung up")
                    parts.append(message.get("body", b""))
                    if sum(map(len, parts)) > LONGEST_BODY:
                        raise _too_long()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refusal(408, f"the request's body did not arrive within {self._body_limit_s:g} s") from None


def _too_long() -> Refusal:
    return Refusal(
        413, f"a request may have {LONGEST_BODY >> 20} MiB and must say how long it is, or come in parts"
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then whatever comes: that the client hangs up."""
    told = False

    async def replayed() -> Any:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = msgspec.json.encode({"error": "refused", "message": str(refusal)})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
