"""The space of a tensor's values, and its ends."""

from dataclasses import dataclass


@dataclass
class Space:
    low: float = float("-inf")
    high: float = float("inf")
    zero: bool = True

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high and (self.zero or value != 0)


class VariableGenerator:
    def __init__(self, space: Space) -> None:
        self.space = space

    def gen_min(self) -> float:
        return self.space.low

    def gen_max(self) -> float:
        return self.space.high
