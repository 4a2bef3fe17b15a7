"""The one reading of `gpu`, and the seam through which another place is put."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from backend_bench.errors import ServiceError, UsageError
from backend_bench.executors import choose
from backend_bench.executors.local import LocalExecutor
from backend_bench.executors.scripted import ScriptedExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec

from .conftest import INDEX, verdict

RELU = Submission(op=Operator.parse("relu"))


def test_one_executor_for_each_place_and_loop() -> None:
    async def places() -> list[object]:
        chosen = [choose.choose("cpu"), choose.choose("cpu"), choose.choose("local")]
        await choose.release()
        return [*chosen, choose.choose("cpu")]

    first, same, local, after = asyncio.run(places())
    assert first is same
    assert isinstance(first, LocalExecutor)
    assert isinstance(local, LocalExecutor)
    assert local is not first
    assert after is not first


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("A100-80GB", "nobody is logged in to Modal"),
        ("http://", "no address"),
        ("ray://h", "is no cluster"),
        ("locl", "did you mean local"),
        ("b200", "did you mean B200"),
        ("", "it is one of"),
    ],
)
def test_what_cannot_be_had_is_told(gpu: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODAL_TOKEN_ID", "MODAL_OAUTH_REFRESH_TOKEN"):
        monkeypatch.setenv(name, "")
    for ask in (choose.check, choose.device):
        with pytest.raises(UsageError, match=said):
            ask(gpu)


def test_without_a_visible_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose.device("local") == "cpu"
    assert choose.device("cpu") == "cpu"


def test_another_place_only_inside_its_context() -> None:
    place = ScriptedExecutor({}, INDEX)

    async def chosen() -> object:
        return choose.choose("local")

    with choose.using(place):
        assert asyncio.run(chosen()) is place
        assert choose.read_index("cpu", SuiteSpec(name="smoke")).entries == INDEX.entries
    assert asyncio.run(chosen()) is not place


def test_the_script_answers_and_remembers() -> None:
    scripted = ScriptedExecutor({"relu.default": verdict(1.0)}, INDEX)
    assert asyncio.run(scripted.submit(RELU)).reward == 1.0
    assert scripted.submissions == [RELU]
    with pytest.raises(ServiceError, match=r"no answer for add\.Tensor"):
        asyncio.run(scripted.submit(Submission(op=Operator.parse("add.Tensor"))))
    with pytest.raises(UsageError, match="no suite 'opinfo'"):
        asyncio.run(scripted.index(SuiteSpec(name="opinfo")))
    asyncio.run(scripted.aclose())
    assert scripted.closed


def test_facts_of_a_gpu_are_asked_without_an_event_loop_and_within_one() -> None:
    place = ScriptedExecutor({})
    with choose.using(place):
        assert choose.gpu_facts("cpu") is None

        async def facts() -> Mapping[str, Any]:
            return {"gpus": [{"name": "X"}, {"name": "Y"}]}

        place.machine = facts  # type: ignore[method-assign]  # what another machine would say

        async def inside() -> Mapping[str, Any] | None:
            return choose.gpu_facts("cpu")

        assert asyncio.run(inside()) == {"name": "X"}
