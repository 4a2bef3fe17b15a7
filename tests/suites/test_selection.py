"""Of many cases those are kept that differ most, and the choice is always the same."""

from __future__ import annotations

from dataclasses import dataclass

from backend_bench.operator import Operator
from backend_bench.suites.arguments import parse
from backend_bench.suites.selection import MOST_CASES, MOST_HARVESTED, MOST_REPEATS, select
from backend_bench.suites.trials import Cost, cost


@dataclass(frozen=True)
class Case:
    text: str
    harvested: bool = False
    wild: bool = False


def vector(size: int, **marks: bool) -> Case:
    return Case(f"((T([{size}], f32),), {{}})", **marks)


def test_repeats_are_few():
    assert len(select([vector(3)] * 10)) == MOST_REPEATS


def test_the_number_is_limited_and_the_order_kept():
    cases = [vector(size) for size in range(1000)]
    kept = select(cases)
    assert len(kept) == MOST_CASES
    assert kept == sorted(kept, key=cases.index)


def test_the_rare_kind_at_the_end_is_kept():
    rare = [
        Case("((T([2, 3], f32, [1, 2]),), {})"),
        Case("((T([4], f32),), {'alpha': 2})"),
        vector(9, wild=True),
    ]
    assert set(rare) <= set(select([vector(size) for size in range(1, 1000)] + rare))


def test_cases_from_inside_others_only_fill_up():
    inside = [vector(size, harvested=True) for size in range(100, 200)]
    assert len(select(inside)) == MOST_HARVESTED
    few = [vector(size) for size in range(1, 4)]
    assert len(select(few + inside)) == MOST_HARVESTED
    assert select(few + inside)[:3] == few
    many = [vector(size) for size in range(1, 40)]
    assert not any(case.harvested for case in select(many + inside))


def test_a_convolution_of_no_channels_costs_something():
    arguments = parse(
        "((T([7, 0, 8], bf16), T([2, 0, 1], bf16), T([2], bf16), [3], [2], [4], False, [8], 1), {})"
    )
    assert isinstance(cost(Operator.parse("convolution.default"), arguments), Cost)
