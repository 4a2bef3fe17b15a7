"""The calls that FACTO's specifications allow: their arguments as text, and where the values of their tensors lie.

The only importer of FACTO. What it generates depends on the specification, the dtype and nothing else; whether ATen
takes such a call is asked elsewhere, and the values that it draws are not used.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.suites.calls import Unspeakable, describe
from backend_bench.suites.facto_package import INSTALL
from backend_bench.suites.samples import bytes_of
from backend_bench.suites.values import Bounds, seed_of

_ATTEMPTS = 4
"""Seeds that are tried where a specification raises: some divide by a size that is zero with one seed in three."""
_ENOUGH, _ROUNDS = 48, 3
"""Different calls with which an enumeration is not repeated with another seed, and how often it is made at most."""
_UNEVEN = 0.25
"""Share of tensors that FACTO is asked to permute or to cut out of a larger one."""
_FLOATING = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_BYTE = Bounds(0, 100)
"""What a floating number must be for its conversion to uint8 to be defined, with room for a sum of two."""
_DRAWING = threading.Lock()
"""FACTO draws from one generator for the whole process."""


Choices = dict[int, list[torch.dtype]]
"""For some arguments of an operator, by position, the dtypes that they may have."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One call that a specification allows."""

    text: str
    """Its arguments."""
    bounds: tuple[Bounds | None, ...]
    """For each tensor, from left to right, where its values lie; None: anywhere."""
    mixed: bool
    """Whether tensors that could have the suite's dtype have another one."""


@dataclass(frozen=True, slots=True)
class Enumerated:
    """What one specification gives."""

    calls: list[Generated]
    """In FACTO's order, each text once."""
    problem: str
    """What it raised instead of some calls; else empty."""


def database() -> dict[str, Any]:
    """FACTO's specifications by operator. Imports FACTO; a `UsageError` where that fails or it holds none."""
    try:
        from facto.specdb.db import SpecDB
    except Exception as problem:  # it runs its whole database on import
        raise UsageError(
            f"the installed FACTO cannot be imported: {type(problem).__name__}: {problem}; take a fresh one: {INSTALL}"
        ) from problem
    found = {str(spec.op): spec for spec in SpecDB}
    if not found:
        raise UsageError(f"the installed FACTO has no operator specifications; take a fresh one: {INSTALL}")
    return found


def enumerated(spec: Any, dtype: torch.dtype, most_bytes: int) -> Enumerated:
    """Every call of the specification with floating tensors of that dtype, none larger than `most_bytes`.

    A tensor argument that FACTO never makes floating, such as an index or a mask, keeps its own dtype. Where several
    arguments may be floating, some calls have them of different dtypes, for ATen to promote.
    """
    with _DRAWING:
        return _Enumeration(spec, dtype, most_bytes).run()


class _Enumeration:
    def __init__(self, spec: Any, dtype: torch.dtype, most_bytes: int) -> None:
        self.spec, self.dtype, self.most_bytes = spec, dtype, most_bytes
        self.problem = ""

    def run(self) -> Enumerated:
        """Most sizes that FACTO picks are the smallest allowed or the largest: most of what it gives would be empty."""
        floating = self.floating_arguments()
        same: Choices = {position: [self.dtype] for position in floating}
        other: Choices = {position: [self.dtype, *_WHOLE] for position in floating[1:]}
        found: dict[str, Generated] = {}
        self.add(found, self.narrowed(same, smallest=1), "of one dtype", floating, _ROUNDS)
        if other:
            self.add(found, self.narrowed(same | other, smallest=1), "mixed", floating)
        self.add(found, self.narrowed(same, smallest=0), "empty", floating)
        return Enumerated(list(found.values()), self.problem)

    def floating_arguments(self) -> Sequence[int]:
        """Positions of the tensor arguments that FACTO ever makes floating."""
        seen = {
            position
            for metas in self.metas(self.spec, "which dtypes")
            for position, meta in enumerate(metas)
            if _FLOATING & set(_dtypes(meta))
        }
        return sorted(seen)

    def narrowed(self, dtypes: Choices, smallest: int) -> Any:
        """The specification with some tensors in some dtypes, and no dimension shorter than `smallest`."""
        from facto.inputgen.specs.model import ConstraintProducer

        spec = copy.copy(self.spec)
        spec.inspec = list(spec.inspec)
        for position, argument in enumerate(self.spec.inspec):
            further = []
            if choice := dtypes.get(position):
                further.append(ConstraintProducer.Dtype.In(lambda deps, *_, choice=choice: choice))
            if smallest and (argument.type.is_tensor() or argument.type.is_tensor_list()):
                further.append(ConstraintProducer.Size.Ge(lambda deps, *_: smallest))
            spec.inspec[position] = copy.copy(argument)
            spec.inspec[position].constraints = [*argument.constraints, *further]
        return spec

    def metas(self, spec: Any, purpose: str) -> Iterator[Sequence[Any]]:
        """What FACTO calls meta tuples: for each argument its dtype, its sizes and the space of its values.

        It varies one argument at a time; what a specification raises costs the calls of that argument.
        """
        from facto.inputgen.argtuple.engine import MetaArgTupleEngine
        from facto.inputgen.utils.random_manager import seeded_random_manager

        engine = MetaArgTupleEngine(spec)
        for varied in range(max(1, len(spec.inspec))):
            for attempt in range(_ATTEMPTS):
                seeded_random_manager.seed(seed_of(spec.op, self.dtype, purpose, varied, attempt))
                try:
                    yield from list(engine.gen_meta_tuples(True, varied))
                    break
                except Exception as problem:  # noqa: BLE001  # a specification is code, and some of it is wrong
                    self.problem = f"{type(problem).__name__}: {problem}"

    def add(
        self, found: dict[str, Generated], spec: Any, purpose: str, floating: Sequence[int], rounds: int = 1
    ) -> None:
        from facto.inputgen.argtuple.gen import ArgumentTupleGenerator
        from facto.inputgen.utils.config import TensorConfig

        config = TensorConfig(permuted=True, strided=True).set_probability(_UNEVEN)
        generator = ArgumentTupleGenerator(spec, config)
        for number in range(rounds):
            for metas in self.metas(spec, f"{purpose}, {number}"):
                made = self.generated(generator, metas, floating)
                if made is not None:
                    found.setdefault(made.text, made)
            if len(found) >= _ENOUGH:
                return

    def generated(self, generator: Any, metas: Sequence[Any], floating: Sequence[int]) -> Generated | None:
        """The call with its layout; None where it is too large, or has no text."""
        try:
            positional, named, _ = generator.gen_tuple(metas)
        except Exception as problem:  # noqa: BLE001  # as above
            self.problem = f"{type(problem).__name__}: {problem}"
            return None
        call = Call(tuple(positional), dict(named))
        try:
            text = describe(call)
        except Unspeakable:
            return None
        if bytes_of(call) > self.most_bytes:
            return None
        mixed = any(set(_dtypes(metas[position])) - {self.dtype, None} for position in floating)
        return Generated(text, _bounds(self.spec, metas), mixed)


def _bounds(spec: Any, metas: Sequence[Any]) -> tuple[Bounds | None, ...]:
    """Of each tensor; tensors given by name come last, as in a call."""
    arguments = sorted(zip(spec.inspec, metas, strict=True), key=lambda pair: bool(pair[0].kw))
    unsigned = any(meta.value is torch.uint8 for meta in metas)
    return tuple(
        _BYTE if unsigned and dtype in _FLOATING else _within(meta.value)
        for _, meta in arguments
        for dtype in _dtypes(meta)
        if dtype is not None
    )


def _within(space: Any) -> Bounds | None:
    """What FACTO's own tensors honour of a space: its ends, and whether zero is in it."""
    from facto.inputgen.variable.gen import VariableGenerator

    generator = VariableGenerator(space)
    ends = [generator.gen_min(), generator.gen_max()]
    low, high = (float(end) if end is not None and math.isfinite(end) else None for end in ends)
    bounds = Bounds(low, high, zero=bool(space.contains(0)))
    return None if bounds == Bounds() else bounds


def _dtypes(meta: Any) -> list[torch.dtype | None]:
    """Of the tensors that an argument is or holds; None for one that is left out of a list."""
    if meta.optional:
        return []
    if meta.argtype.is_tensor_list():
        return list(meta.dtype)
    return [meta.dtype] if meta.argtype.is_tensor() else []
