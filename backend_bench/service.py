"""The judge service: takes submissions over HTTP, queues them, and answers with verdicts.

One process per host. It owns the judges, one per kind of device, and is the only process here that
holds expected values. For now it is a child of the command that needs it, listens on a Unix socket in
a private folder, and ends when its starter does; the interface is the one that a longer-lived service
will have. Run it by name: `python -m backend_bench.service SOCKET`.

Torch takes a second to import, here and in the zygote: the zygote is started first, and the judges'
room is opened beside it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastapi
import msgspec
import uvicorn

import backend_bench
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.judge.zygotes import Zygotes
from backend_bench.submission import Submission, SuiteSpec

if TYPE_CHECKING:
    from backend_bench.judge.judges import Judges


FOLDER_PREFIX = "backend-bench-"
"""How the private folders of services are called."""
KEEP_ALIVE_S = 3600
"""An idle connection of a client that thinks for an hour is not closed under it."""


def application(judges: Judges) -> fastapi.FastAPI:
    """The HTTP interface. Bodies are the JSON of the nouns."""

    @contextlib.asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        yield
        judges.close()

    app = fastapi.FastAPI(title="backend-bench judge", version=backend_bench.__version__, lifespan=lifespan)

    @app.exception_handler(UsageError)
    async def refuse(_: fastapi.Request, error: UsageError) -> fastapi.Response:
        return _json({"error": "usage", "message": str(error)}, 422)

    @app.exception_handler(BackendBenchError)
    async def fault(_: fastapi.Request, error: BackendBenchError) -> fastapi.Response:
        return _json({"error": type(error).__name__, "message": str(error)}, 503)

    @app.exception_handler(msgspec.DecodeError)
    async def invalid(_: fastapi.Request, error: msgspec.DecodeError) -> fastapi.Response:
        return _json({"error": "usage", "message": f"not a request: {error}"}, 422)

    @app.get("/v1/machine")
    async def machine() -> fastapi.Response:
        """Facts about this host, the build that judges, and what its sandbox holds."""
        return _json(await judges.machine())

    @app.post("/v1/index")
    async def index(request: fastapi.Request) -> fastapi.Response:
        """The operators and cases of a suite."""
        return _json(await judges.index(msgspec.json.decode(await request.body(), type=SuiteSpec)))

    @app.post("/v1/submissions")
    async def submissions(request: fastapi.Request) -> fastapi.Response:
        """Judge one kernel; answers when the verdict is there."""
        submission = msgspec.json.decode(await request.body(), type=Submission)
        return _json(await judges.submit(submission))

    return app


def _json(body: Any, status: int = 200) -> fastapi.Response:
    return fastapi.Response(msgspec.json.encode(body), status, media_type="application/json")


def main(path: str) -> None:
    """Serve on a Unix socket until standard input closes."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    zygotes = Zygotes()
    threading.Thread(target=_warm, args=(zygotes,), daemon=True).start()
    from backend_bench.judge.judges import Judges  # imports torch, see above

    config = uvicorn.Config(
        application(Judges(zygotes)),
        uds=path,
        log_level="warning",
        lifespan="on",
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with_starter, args=(server, path), daemon=True).start()
    server.run()
    _leave(path)


def _warm(zygotes: Zygotes) -> None:
    """Start the zygote that nearly every submission needs; its failure is told to who needs it."""
    with contextlib.suppress(BackendBenchError):
        zygotes.of("native")


def _end_with_starter(server: uvicorn.Server, path: str) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
    # A judge may sit in a call that takes a minute; nobody waits for its verdict any more.
    threading.Timer(5.0, _leave, args=(path,)).start()


def _leave(path: str) -> None:
    """Exit, and take the private folder along: the starter may have been killed and cannot."""
    folder = Path(path).parent
    if folder.name.startswith(FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
