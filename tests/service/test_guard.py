"""Who may hold the door open, and for how long."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvicorn

from backend_bench.service.guard import Guard, Impatient

TOKEN = "a-token-that-nobody-guesses"


class Hasty(Impatient):
    head_limit_s = 0.05


async def greet(scope: object, receive: object, send: object) -> None:
    """What is behind the guard."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"hi"})  # type: ignore[operator]


def heard(*lines: bytes, then_wait: bool = False) -> bytes:
    """All that comes back to a client that sends this; it ends when the service hangs up, or after an answer."""

    async def told() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            Guard(greet, TOKEN), http=Hasty, lifespan="off", ws="none", log_level="critical"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.writelines(lines)
        said = await (reader.readuntil(b"hi") if then_wait else reader.read())
        if then_wait:  # longer than a stranger may be silent
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 4 * Hasty.head_limit_s)
        writer.close()
        await writer.wait_closed()
        server.should_exit = True
        await serving
        return said

    return asyncio.run(told())


@pytest.mark.parametrize("start", [b"", b"POST /v1/subm", b"POST / HTTP/1.1\r\nhost: x\r\nx-a: b"])
def test_who_asks_nothing_is_hung_up_on(start: bytes) -> None:
    assert heard(start) == b""


def test_who_has_no_token_is_told_so_and_hung_up_on() -> None:
    said = heard(b"GET /v1/machine HTTP/1.1\r\nhost: x\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 401")
    assert b"wants a token" in said


def test_who_has_asked_may_think() -> None:
    head = f"GET /v1/machine HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    assert heard(head.encode(), then_wait=True).endswith(b"hi")
