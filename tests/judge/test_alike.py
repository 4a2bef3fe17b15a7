"""A quick look at both sides of a pair: what a worker claims may cost it its life, and never is an error of ours."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from backend_bench import wire
from backend_bench.judge.bench import Timed
from backend_bench.judge.keeper import BlockAnswer

CLAIM = wire.OutputClaim(
    "tensor", "Tensor", plain=True, dtype="float32", shape=(2, 3), stride=(3, 1), device="cuda", copied=True
)


def timed(*calls: tuple[wire.OutputClaim, ...], same_bytes: bool = True, **more: Any) -> Timed:
    """A block on a GPU, of which nothing but claims is told."""
    done = tuple(
        wire.Done(number, single=len(claims) == 1, outputs=claims) for number, claims in enumerate(calls)
    )
    landing: Any = SimpleNamespace(is_alike=lambda other: same_bytes)
    answer = BlockAnswer(wire.Timed(7, calls=done, elapsed_us=1.0), landing, wall_us=2.0, is_late=False)
    return dataclasses.replace(Timed(tuple, 1.0, 2.0, answer=answer), **more)


TRUSTED = timed((CLAIM,), (CLAIM,))


def claiming(**changes: Any) -> wire.OutputClaim:
    fields = {name: getattr(CLAIM, name) for name in CLAIM.__struct_fields__}
    return wire.OutputClaim(**{**fields, **changes})


def test_the_same_claims_and_the_same_bytes_are_alike() -> None:
    assert timed((CLAIM,), (CLAIM,)).is_alike(TRUSTED)
    assert timed((claiming(stride=(1, 2)),), (CLAIM,)).is_alike(TRUSTED)  # nobody's business
    assert not timed((CLAIM,), (CLAIM,), same_bytes=False).is_alike(TRUSTED)


@pytest.mark.parametrize(
    "calls", [(), ((CLAIM,),), ((CLAIM,),) * 3, ((CLAIM, CLAIM), (CLAIM,)), ((), (CLAIM,))]
)
def test_another_number_of_claims_is_not(calls: tuple[tuple[wire.OutputClaim, ...], ...]) -> None:
    """Left to whoever looks closely, and knows a forgery."""
    assert not timed(*calls).is_alike(TRUSTED)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "none"}, {"plain": False}, {"dtype": "float64"}, {"shape": (6,)}, {"device": "cpu"}, {"alias": 0},
     {"same": 0}, {"copied": False}],
)  # fmt: skip
def test_another_form_is_not(changes: dict[str, Any]) -> None:
    assert not timed((CLAIM,), (claiming(**changes),)).is_alike(TRUSTED)


def test_bytes_that_no_worker_put_there_say_nothing() -> None:
    nothing = timed((claiming(copied=False),))
    assert not nothing.is_alike(nothing)


def test_what_raised_or_ran_on_a_cpu_is_looked_at_closely() -> None:
    assert not timed((CLAIM,), (CLAIM,), error="it raised").is_alike(TRUSTED)
    assert not timed((CLAIM,), (CLAIM,), answer=None).is_alike(TRUSTED)
