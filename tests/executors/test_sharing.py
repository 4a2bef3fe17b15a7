"""How work is shared out: the least loaded judge is next, and who waits is served in the order of asking."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from backend_bench.errors import ServiceError
from backend_bench.executors.sharing import Places


class Sitters:
    """People who take places and stay until they are told to go."""

    def __init__(self, places: Places[str]) -> None:
        self.places = places
        self.at: dict[str, str] = {}
        self._go: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, alone: bool = False) -> None:
        for name in names:
            self._go[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._sit(name, alone))
        await settled()

    async def go(self, *names: str) -> None:
        for name in names:
            self._go[name].set()
        await settled()

    async def _sit(self, name: str, alone: bool) -> None:
        async with self.places.one(alone=alone) as judge:
            self.at[name] = judge
            await self._go[name].wait()
        del self.at[name]


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def told(story: Callable[[Sitters], Awaitable[None]], *, each: int = 2) -> None:
    async def whole() -> None:
        sitters = Sitters(Places(each))
        await story(sitters)
        for task in sitters.tasks.values():
            task.cancel()
        await asyncio.gather(*sitters.tasks.values(), return_exceptions=True)

    asyncio.run(whole())


def test_the_least_loaded_is_next_and_nobody_has_more_than_there_are_places() -> None:
    async def story(sitters: Sitters) -> None:
        for judge in ("one", "two"):
            sitters.places.join(judge)
        await sitters.come("a", "b", "c", "d", "e")
        assert sorted(sitters.at.values()) == ["one", "one", "two", "two"]
        assert "e" not in sitters.at
        await sitters.go("b")
        assert sitters.at["e"] == "two"

    told(story)


def test_equals_take_turns() -> None:
    async def story(sitters: Sitters) -> None:
        for judge in ("one", "two", "three"):
            sitters.places.join(judge)
        seen = []
        for name in "abcdef":
            await sitters.come(name)
            seen.append(sitters.at[name])
            await sitters.go(name)
        assert seen == ["one", "two", "three"] * 2

    told(story)


def test_who_waits_for_the_first_judge_gets_it() -> None:
    async def story(sitters: Sitters) -> None:
        await sitters.come("a")
        assert not sitters.at
        assert sitters.places.busy
        sitters.places.join("one")
        await settled()
        assert sitters.at == {"a": "one"}

    told(story)


def test_a_judge_that_has_gone_gets_nothing_and_its_places_are_not_missed() -> None:
    async def story(sitters: Sitters) -> None:
        sitters.places.join("one")
        await sitters.come("a", "b")
        sitters.places.leave("one")
        sitters.places.join("two")
        await sitters.come("c")
        assert sitters.at["c"] == "two"
        await sitters.go("a", "b", "c")
        assert not sitters.places.busy

    told(story)


def test_alone_means_alone_and_nobody_overtakes() -> None:
    async def story(sitters: Sitters) -> None:
        sitters.places.join("one")
        await sitters.come("a")
        await sitters.come("suspect", alone=True)
        await sitters.come("b")
        assert set(sitters.at) == {"a"}, "b has room, but would keep the suspect waiting"
        await sitters.go("a")
        assert set(sitters.at) == {"suspect"}
        await sitters.go("suspect")
        assert set(sitters.at) == {"b"}

    told(story)


@pytest.mark.parametrize("waits", [True, False])
def test_who_gives_up_takes_no_place(waits: bool) -> None:
    async def story(sitters: Sitters) -> None:
        sitters.places.join("one")
        await sitters.come("a")
        if waits:
            await sitters.come("b")
        victim = sitters.tasks["b" if waits else "a"]
        victim.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await victim
        if waits:
            await sitters.go("a")
        await sitters.come("c")
        assert sitters.at["c"] == "one"

    told(story, each=1)


def test_a_place_given_to_who_is_just_giving_up_is_not_lost() -> None:
    async def story(sitters: Sitters) -> None:
        await sitters.come("a")
        sitters.places.join("one")  # gives it the place; it has not run since
        sitters.tasks["a"].cancel()
        await settled()
        await sitters.come("b")
        assert sitters.at == {"b": "one"}

    told(story, each=1)


def test_who_waits_in_vain_is_told() -> None:
    async def story(sitters: Sitters) -> None:
        await sitters.come("a", "b")
        sitters.places.fail(ServiceError("no judge"))
        for name in "ab":
            with pytest.raises(ServiceError, match="no judge"):
                await sitters.tasks[name]
        assert not sitters.places.busy

    told(story)
