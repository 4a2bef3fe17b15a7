"""From a specification to the kinds of its arguments, one argument varied at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from facto.inputgen.specs.model import ArgType, Argument, Spec
from facto.inputgen.utils.random_manager import seeded_random_manager
from facto.inputgen.variable.gen import Space

DTYPES = [torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64, torch.bfloat16]
VARIATIONS = 7


@dataclass
class MetaArg:
    argtype: ArgType
    dtype: Any = None
    structure: Any = None
    value: Any = None
    optional: bool = False

    def sample(self) -> Any:
        """A tensor without values, or the value itself."""
        if self.argtype.is_tensor():
            return torch.empty(self.structure, dtype=self.dtype, device="meta")
        return self.value


class MetaArgTupleEngine:
    def __init__(self, spec: Spec) -> None:
        self.args = spec.inspec

    def gen_meta_tuples(self, valid: bool, varied: int) -> Iterator[tuple[MetaArg, ...]]:
        for variation in range(VARIATIONS):
            metas: list[MetaArg] = []
            for position, argument in enumerate(self.args):
                deps = [metas[dep].sample() for dep in argument.deps]
                metas += self.metas(argument, deps, variation if position == varied else None)
            if len(metas) == len(self.args):
                yield tuple(metas)

    def metas(self, argument: Argument, deps: list[Any], variation: int | None) -> list[MetaArg]:
        """The argument, or nothing where its constraints leave nothing."""
        random = seeded_random_manager.get_random()

        def pick(options: list[Any]) -> list[Any]:
            return [
                options[random.randrange(len(options)) if variation is None else variation % len(options)]
            ][: len(options)]

        if argument.type is ArgType.Other:
            return [
                MetaArg(argument.type, value=value) for value in pick(argument.asked("Value", "In", deps)[0])
            ]
        allowed = [d for d in DTYPES if all(d in each for each in argument.asked("Dtype", "In", deps))]
        if not allowed:
            return []
        [dtype] = pick(allowed)
        if argument.type is ArgType.TensorList:
            shape = self.shape(argument, deps)
            return [MetaArg(argument.type, [dtype, dtype], [shape, shape], Space())]
        shape = self.shape(argument, deps)
        low = max(argument.asked("Value", "Ge", deps, dtype, shape), default=float("-inf"))
        high = min(argument.asked("Value", "Le", deps, dtype, shape), default=float("inf"))
        zero = not argument.asked("Value", "Ne", deps, dtype, shape)
        return [MetaArg(argument.type, dtype, shape, Space(low, high, zero))]

    def shape(self, argument: Argument, deps: list[Any]) -> tuple[int, ...]:
        random = seeded_random_manager.get_random()
        [rank] = argument.asked("Rank", "Eq", deps) or [random.randint(1, 3)]
        sizes = []
        for dim in range(rank):
            least = max(argument.asked("Size", "Ge", deps, rank, dim), default=0)
            fixed = argument.asked("Size", "Eq", deps, rank, dim)
            sizes.append(fixed[0] if fixed else random.choice([size for size in (0, 3, 8) if size >= least]))
        return tuple(sizes)
