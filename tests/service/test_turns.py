"""Whose turn it is, with several clients at one device."""

from __future__ import annotations

from backend_bench.service.turns import Turns


def taken(turns: Turns[str], count: int) -> list[str | None]:
    return [turns.take() for _ in range(count)]


def test_one_client_is_served_in_order() -> None:
    turns: Turns[str] = Turns()
    for item in ("a1", "a2", "a3"):
        turns.add("a", item)
    assert taken(turns, 4) == ["a1", "a2", "a3", None]


def test_a_client_with_one_kernel_waits_for_one_of_each_other_and_not_for_all() -> None:
    turns: Turns[str] = Turns()
    for number in range(100):
        turns.add("a", f"a{number}")
    turns.add("b", "b0")
    turns.add("c", "c0")
    turns.add("b", "b1")
    assert taken(turns, 6) == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_who_comes_anew_goes_to_the_end() -> None:
    turns: Turns[str] = Turns()
    turns.add("a", "a0")
    turns.add("b", "b0")
    assert turns.take() == "a0"
    turns.add("a", "a1")
    assert taken(turns, 2) == ["b0", "a1"]


def test_a_place_given_up_is_nobodys_turn() -> None:
    turns: Turns[str] = Turns()
    turns.add("a", "a0")
    turns.add("b", "b0")
    assert turns.drop("a", "a0")
    assert not turns.drop("a", "a0")
    assert turns.waiting() == {"b": 1}
    assert taken(turns, 2) == ["b0", None]
    assert len(turns) == 0
