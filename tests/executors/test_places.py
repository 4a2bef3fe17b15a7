"""The same fifty submissions get the same verdicts wherever they are judged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from backend_bench import runtime
from backend_bench.executors import choose, services
from backend_bench.verdict import Verdict

from ..fifty import FIFTY, likeness

pytestmark = pytest.mark.slow

AT_ONCE = 4
"""A CPU's judge has two in hand."""
TOKEN = "a-token-that-nobody-guesses"


def judged(gpu: str) -> dict[str, Verdict]:
    """The verdicts of that place."""

    async def all_of_them() -> dict[str, Verdict]:
        places, executor = asyncio.Semaphore(AT_ONCE), choose.choose(gpu)

        async def one(case: Any) -> Verdict:
            async with places:
                return await executor.submit(case.submission)

        try:
            found = await asyncio.gather(*(one(case) for case in FIFTY))
        finally:
            await choose.release()
        return {case.name: verdict for case, verdict in zip(FIFTY, found, strict=True)}

    return asyncio.run(all_of_them())


@contextlib.contextmanager
def over_http(tmp_path: Path) -> Iterator[str]:
    """Another host's service, on this host."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    for seen in services.running():
        services.end(seen)
    door = services.Door.parse("127.0.0.1:0", token)
    with (
        pytest.MonkeyPatch.context() as patch,
        services.Foreground("best-effort", float("inf"), door) as service,
    ):
        patch.setenv(runtime.TOKEN, TOKEN)
        yield f"http://127.0.0.1:{service.port}"


@contextlib.contextmanager
def on_ray(_: Path) -> Iterator[str]:
    """A cluster of two nodes."""
    pytest.importorskip("ray", reason='the extra is not installed: pip install "backend-bench[ray]"')
    from .nodes import end_actors, running

    with running(2):
        yield "ray://auto"
        end_actors()


@pytest.fixture(scope="module")
def here(runtime_folder: Path) -> dict[str, Verdict]:
    """What this host's service says."""
    return judged("cpu")


def test_this_host_judges_the_fifty_as_they_deserve(here: dict[str, Verdict]) -> None:
    assert {name: verdict.status for name, verdict in here.items()} == {
        case.name: case.status for case in FIFTY
    }


@pytest.mark.parametrize("place", [over_http, on_ray])
def test_another_place_says_the_same(
    place: Callable[[Path], AbstractContextManager[str]], here: dict[str, Verdict], tmp_path: Path
) -> None:
    with place(tmp_path) as gpu:
        there = judged(gpu)
    assert {name: likeness(verdict) for name, verdict in there.items()} == {
        name: likeness(verdict) for name, verdict in here.items()
    }
