"""The HTTP interface of the judge service. Bodies are the JSON of the nouns.

Carries requests to the judges and verdicts back; decides nothing. A client that hangs up gives up what
it has asked for.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import fastapi
import msgspec
from fastapi.openapi.utils import get_openapi
from starlette.requests import ClientDisconnect

import backend_bench
from backend_bench.cases import SuiteIndex
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.executors.conversation import CLIENT
from backend_bench.service.judges import Judges
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Verdict

T = TypeVar("T")

_LONGEST_NAME = 64

_SCHEMA = "#/components/schemas/{name}"
_ABOUT = """Submissions go in, verdicts come out. A request waits until its answer is there; who hangs up gives it up.
`x-client` names a client, among whose equals turns go round. Over a network each request carries `Authorization: Bearer TOKEN`."""
_FAULT = {"type": "object", "properties": {"error": {"type": "string"}, "message": {"type": "string"}}}
_WRONG: dict[int | str, dict[str, Any]] = {
    422: {"description": "The request makes no sense.", "content": {"application/json": {"schema": _FAULT}}},
    503: {"description": "Our own fault.", "content": {"application/json": {"schema": _FAULT}}},
}
_MACHINE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}}}
}

State = Callable[[], dict[str, Any]]


class Gone(Exception):
    """The client hung up; there is nobody to answer."""


def application(judges: Judges, *, state: State, stop: Callable[[], None] | None) -> fastapi.FastAPI:
    """The interface; without `stop` nobody can end the service through it, as befits other hosts' clients."""
    app = fastapi.FastAPI(
        title="backend-bench judge", version=backend_bench.__version__, description=_ABOUT, redoc_url=None
    )

    @app.exception_handler(UsageError)
    async def refuse(_: fastapi.Request, error: UsageError) -> fastapi.Response:
        return _json({"error": "usage", "message": str(error)}, 422)

    @app.exception_handler(BackendBenchError)
    async def fault(_: fastapi.Request, error: BackendBenchError) -> fastapi.Response:
        return _json({"error": type(error).__name__, "message": str(error)}, 503)

    @app.exception_handler(msgspec.DecodeError)
    async def invalid(_: fastapi.Request, error: msgspec.DecodeError) -> fastapi.Response:
        return _json({"error": "usage", "message": f"not a request: {error}"}, 422)

    @app.exception_handler(Gone)
    @app.exception_handler(ClientDisconnect)
    async def nobody(_: fastapi.Request, __: Exception) -> fastapi.Response:
        return _json({"error": "gone", "message": "the client hung up"}, 499)

    @app.get("/v1/machine", responses=_MACHINE)
    async def machine() -> fastapi.Response:
        """Facts about this host, the build that judges, and what its sandbox holds."""
        return _json(await judges.machine())

    @app.post("/v1/index", openapi_extra=_takes(SuiteSpec), responses=_gives(SuiteIndex))
    async def index(request: fastapi.Request) -> fastapi.Response:
        """The operators and cases of a suite."""
        return _json(await judges.index(msgspec.json.decode(await request.body(), type=SuiteSpec)))

    @app.post("/v1/submissions", openapi_extra=_takes(Submission), responses=_gives(Verdict))
    async def submissions(request: fastapi.Request) -> fastapi.Response:
        """Judge one kernel; answers when the verdict is there."""
        submission = msgspec.json.decode(await request.body(), type=Submission)
        client = request.headers.get(CLIENT, "unnamed")[:_LONGEST_NAME]
        return _json(await _while_wanted(request, judges.submit(submission, client)))

    @app.get("/v1/service")
    async def service() -> fastapi.Response:
        """This process, its queues, and what it finished lately."""
        return _json(state())

    if stop is not None:

        @app.post("/v1/stop")
        async def end() -> fastapi.Response:
            """End the service. Its clients find another and ask again."""
            stop()
            return _json({}, 202)

    app.openapi = functools.partial(_described, app)  # type: ignore[method-assign]  # as FastAPI's manual does
    return app


def _takes(noun: type) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": _content(noun)}}


def _gives(noun: type) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": _content(noun)}, **_WRONG}


def _content(noun: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _SCHEMA.format(name=noun.__name__)}}}


def _described(app: fastapi.FastAPI) -> dict[str, Any]:
    """The OpenAPI page: FastAPI's, with the schemas of our nouns, which it cannot read itself."""
    if app.openapi_schema is None:
        page = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _, nouns = msgspec.json.schema_components(
            (Submission, SuiteSpec, SuiteIndex, Verdict), ref_template=_SCHEMA
        )
        page.setdefault("components", {}).setdefault("schemas", {}).update(nouns)
        app.openapi_schema = page
    return app.openapi_schema


async def _while_wanted(request: fastapi.Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; the work is cancelled, and `Gone` raised, when the client hangs up first."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _hung_up(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(body: Any, status: int = 200) -> fastapi.Response:
    return fastapi.Response(msgspec.json.encode(body), status, media_type="application/json")
