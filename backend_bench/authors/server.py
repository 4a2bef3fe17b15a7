"""The OpenAI-compatible door of the built-in authors: chat completions, plain or streamed, and models.

One thread with a loop of its own, so that it never stands in the environment's way.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from backend_bench import authors
from backend_bench.authors.author import text_of
from backend_bench.errors import UsageError


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a speaker says instead of a text: the call of one tool."""

    name: str
    """The tool's name."""
    arguments: Mapping[str, Any]
    """Its arguments; plain JSON."""

    def wire(self, number: int) -> dict[str, Any]:
        """The call as the protocol has it."""
        function = {"name": self.name, "arguments": json.dumps(self.arguments)}
        return {"index": 0, "id": f"call-{number}", "type": "function", "function": function}


Speaker = Callable[[Sequence[Mapping[str, Any]]], str | ToolCall]
"""From the messages of a request to the reply."""

_BACKLOG = 512
"""Connections that may wait; a run opens a hundred at once."""
_PIECE = 400
"""Characters of one streamed piece."""


def serve(name: str, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve all built-in models in the foreground; `name` answers where a request names none. Raises `UsageError` where the port is taken."""
    find = _built_in(name)
    _listener(
        port, host
    ).close()  # uvicorn binds it itself, to say where it listens, and says less where it cannot
    uvicorn.Server(_config(find, host=host, port=port, log_level="info")).run()


@contextlib.contextmanager
def serving(name: str, *, speaker: Speaker | None = None, port: int = 0) -> Iterator[str]:
    """Serve on loopback, at a free port or the one given, in a thread; yields the base URL.

    `speaker` answers whatever model a request names, instead of the built-in ones.
    Raises `UsageError` where the port is taken.
    """
    find = _built_in(name) if speaker is None else lambda model: speaker
    with _listener(port) as listener:
        server = uvicorn.Server(_config(find, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],), name=f"author {name}", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


def _listener(port: int, host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"{host}, port {port}, cannot be had for the built-in model: {error}; name another with --port"
        ) from error


def application(find: Callable[[str], Speaker]) -> Starlette:
    """The web application; `find` gives the speaker for the model that a request names."""
    ids = itertools.count(1)

    async def models(request: Request) -> Response:
        data = [{"id": model, "object": "model", "owned_by": "backend-bench"} for model in authors.NAMES]
        return JSONResponse({"object": "list", "data": data})

    async def completions(request: Request) -> Response:
        try:
            body = await request.json()
            messages = [dict(message) for message in body["messages"]]
            model = str(body.get("model") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return _refusal("the request needs `messages`, a list of objects")
        try:
            said = await run_in_threadpool(find(model), messages)
        except UsageError as error:
            return _refusal(str(error))
        number = next(ids)
        head = {"id": f"chatcmpl-{number}", "created": int(time.time()), "model": model}
        reply, calls = (said, []) if isinstance(said, str) else ("", [said.wire(number)])
        usage = _usage(messages, reply)
        if body.get("stream"):
            return StreamingResponse(_stream(head, reply, calls, usage), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": reply}
        message |= {"tool_calls": calls} if calls else {}
        choices = [{"index": 0, "finish_reason": _finish(calls), "message": message}]
        return JSONResponse({**head, "object": "chat.completion", "choices": choices, "usage": usage})

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", completions, methods=["POST"]),
        ]
    )


def _built_in(default: str) -> Callable[[str], Speaker]:
    """The built-in author of a name; `default` where the request names none."""
    known = {default: authors.named(default)}

    def find(model: str) -> Speaker:
        """A folder of kernels is open only to whoever started this server with it."""
        if model.removeprefix("builtin/").startswith("replay") and model not in known:
            raise UsageError(f"this server was started for {default} and replays no other folder")
        name = model or default
        if name not in known:
            known[name] = authors.named(name)
        return known[name].reply

    return find


def _finish(calls: list[dict[str, Any]]) -> str:
    return "tool_calls" if calls else "stop"


async def _stream(
    head: dict[str, Any], reply: str, calls: list[dict[str, Any]], usage: dict[str, int]
) -> AsyncIterator[str]:
    """Server-sent events: the reply in pieces, or a call, the end, the usage."""
    chunk = {**head, "object": "chat.completion.chunk"}

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n"

    for start in range(0, len(reply), _PIECE):
        delta: dict[str, Any] = {"role": "assistant"} if start == 0 else {}
        delta["content"] = reply[start : start + _PIECE]
        yield event([{"index": 0, "delta": delta, "finish_reason": None}])
    if calls:
        delta = {"role": "assistant", "content": "", "tool_calls": calls}
        yield event([{"index": 0, "delta": delta, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": _finish(calls)}])
    yield event([], usage=usage)
    yield "data: [DONE]\n\n"


def _usage(messages: list[dict[str, Any]], reply: str) -> dict[str, int]:
    """Token counts, taken as a quarter of the characters."""
    read = sum(len(text_of(message)) for message in messages) // 4
    written = len(reply) // 4
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _refusal(message: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": error}, status_code=400)


def _config(find: Callable[[str], Speaker], **options: Any) -> uvicorn.Config:
    return uvicorn.Config(application(find), backlog=_BACKLOG, access_log=False, lifespan="off", **options)
