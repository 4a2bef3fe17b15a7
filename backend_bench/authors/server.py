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
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from backend_bench.authors.author import NAMES, Author, text_of
from backend_bench.errors import UsageError

_BACKLOG = 512
"""Connections that may wait; a run opens a hundred at once."""
_PIECE = 400
"""Characters of one streamed piece."""


def serve(name: str, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve all built-in models in the foreground; `name` answers where a request names another."""
    Author.named(name)
    uvicorn.Server(_config(name, host=host, port=port, log_level="info")).run()


@contextlib.contextmanager
def serving(name: str) -> Iterator[str]:
    """Serve on loopback, at a free port, in a thread; yields the base URL."""
    Author.named(name)
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        server = uvicorn.Server(_config(name, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],), name=f"author {name}", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


def application(name: str) -> Starlette:
    """The web application; `name` is the model where a request names none of ours."""
    ids = itertools.count(1)

    async def models(request: Request) -> Response:
        data = [{"id": model, "object": "model", "owned_by": "backend-bench"} for model in NAMES]
        return JSONResponse({"object": "list", "data": data})

    async def completions(request: Request) -> Response:
        try:
            body = await request.json()
            messages = [dict(message) for message in body["messages"]]
        except (ValueError, KeyError, TypeError):
            return _refusal("the request needs `messages`, a list of objects")
        try:
            author = Author.named(str(body.get("model") or name))
        except UsageError as error:
            return _refusal(str(error))
        head = {
            "id": f"chatcmpl-{next(ids)}",
            "created": int(time.time()),
            "model": body.get("model") or name,
        }
        reply = author.reply(messages)
        usage = _usage(messages, reply)
        if body.get("stream"):
            return StreamingResponse(_stream(head, reply, usage), media_type="text/event-stream")
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": reply},
        }
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", completions, methods=["POST"]),
        ]
    )


async def _stream(head: dict[str, Any], reply: str, usage: dict[str, int]) -> AsyncIterator[str]:
    """Server-sent events: the reply in pieces, the end, the usage."""
    chunk = {**head, "object": "chat.completion.chunk"}

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n"

    for start in range(0, len(reply), _PIECE):
        delta = {"role": "assistant"} if start == 0 else {}
        delta["content"] = reply[start : start + _PIECE]
        yield event([{"index": 0, "delta": delta, "finish_reason": None}])
    yield event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
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


def _config(name: str, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(application(name), backlog=_BACKLOG, access_log=False, lifespan="off", **options)
