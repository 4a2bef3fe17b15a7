"""Ten operators with cases chosen by hand, for a first look that takes seconds.

The cases are the texts below: their tensors are drawn from the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend_bench.cases import Call, Entry, SuiteIndex
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.suites.arguments import CODES, Arguments, TensorSpec, parse
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.verdict import CaseKind

if TYPE_CHECKING:
    from backend_bench.suites.values import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The cases of one operator; `F` stands for the floating dtype that the suite draws in."""

    correctness: tuple[str, ...]
    """Small: each is here for a way of being wrong."""
    cuda: tuple[str, ...]
    """Performance on a GPU: 1M to 64M elements, shapes of real models."""
    cpu: tuple[str, ...]
    """Performance on a CPU: ATen takes 0.1 to 5 ms each, so that a demo stays quick."""


CHOSEN: Mapping[str, Chosen] = {
    "relu.default": Chosen(
        correctness=(
            "((T([5], F),), {})",
            "((T([], F),), {})",
            "((T([0, 3], F),), {})",
            "((T([1], F),), {})",
            "((T([17, 33], F),), {})",
            "((T([2, 3, 4, 5], F),), {})",
            "((T([1023], F),), {})",
            "((T([4, 7], F, [1, 4]),), {})",
            "((T([6, 5], F, [20, 2]),), {})",
            "((T([3, 4], F, [0, 1]),), {})",
            "((T([2, 4, 6, 6], F, [144, 1, 24, 4]),), {})",
            "((T([9, 11], i32),), {})",
            "((T([13], i64),), {})",
        ),
        cuda=(
            "((T([1024, 1024], F),), {})",
            "((T([8, 1024, 3072], F),), {})",
            "((T([32, 256, 56, 56], F, [802816, 1, 14336, 256]),), {})",
            "((T([64, 64, 112, 112], F),), {})",
        ),
        cpu=(
            "((T([1024, 1024], F),), {})",
            "((T([16, 64, 56, 56], F),), {})",
        ),
    ),
    "add.Tensor": Chosen(
        correctness=(
            "((T([5], F), T([5], F)), {})",
            "((T([], F), T([], F)), {})",
            "((T([0, 3], F), T([1, 3], F)), {})",
            "((T([17, 33], F), T([17, 33], F)), {'alpha': 2})",
            "((T([17, 33], F), T([17, 33], F)), {'alpha': -0.5})",
            "((T([2, 1, 7], F), T([3, 1], F)), {})",
            "((T([1], F), T([257], F)), {})",
            "((T([4, 7], F, [1, 4]), T([4, 7], F)), {})",
            "((T([6, 5], F, [20, 2]), T([5], F)), {'alpha': 3})",
            "((T([3, 4], F), T([], F)), {})",
            "((T([3, 5], F), 2.5), {})",
            "((T([8, 9], F), T([8, 9], i64)), {})",
            "((T([8, 9], i64), T([9], i64)), {'alpha': -3})",
            "((T([7], i32), T([7], i64)), {})",
            "((T([2, 3, 4, 5, 2], F), T([4, 1, 2], F)), {})",
        ),
        cuda=(
            "((T([1024, 1024], F), T([1024, 1024], F)), {})",
            "((T([8, 1024, 3072], F), T([3072], F)), {})",
            "((T([64, 256, 28, 28], F), T([64, 256, 28, 28], F)), {'alpha': 2})",
            "((T([8, 2048, 4096], F), T([8, 2048, 4096], F)), {})",
        ),
        cpu=(
            "((T([1024, 1024], F), T([1024, 1024], F)), {})",
            "((T([4, 256, 1024], F), T([1024], F)), {'alpha': 2})",
        ),
    ),
    "sum.dim_IntList": Chosen(
        correctness=(
            "((T([7], F), [0]), {})",
            "((T([], F), [0]), {})",
            "((T([0, 3], F), [0]), {})",
            "((T([3, 0], F), [1], True), {})",
            "((T([17, 33], F), [1]), {})",
            "((T([17, 33], F), [0], True), {})",
            "((T([5, 6, 7], F), [-1, 0]), {})",
            "((T([5, 6, 7], F), [-2], True), {})",
            "((T([5, 6, 7], F), []), {})",
            "((T([5, 6, 7], F), None), {})",
            "((T([4, 7], F, [1, 4]), [1]), {})",
            "((T([3, 1025], F), [-1]), {'dtype': f32})",
            "((T([6, 5], i32), [0]), {})",
            "((T([6, 9], b8), [-1]), {})",
            "((T([2, 3, 4, 5], F), [0, 2, 3]), {})",
            "((T([4, 5, 6, 3], F), [1]), {})",
            "((T([6, 9], i64), [0]), {'dtype': F})",
        ),
        cuda=(
            "((T([2048, 1024], F), [-1]), {})",
            "((T([32, 256, 56, 56], F), [0, 2, 3]), {})",
            "((T([16384, 1024], F), [0]), {})",
            "((T([8192, 8192], F), [1], True), {})",
        ),
        cpu=(
            "((T([4096, 1024], F), [-1]), {})",
            "((T([32, 64, 56, 56], F), [0, 2, 3]), {})",
        ),
    ),
    "_softmax.default": Chosen(
        correctness=(
            "((T([7], F), 0, False), {})",
            "((T([], F), 0, False), {})",
            "((T([0, 4], F), 1, False), {})",
            "((T([5, 1], F), 1, False), {})",
            "((T([17, 33], F), -1, False), {})",
            "((T([17, 33], F), 0, False), {})",
            "((T([3, 5, 7], F), 1, False), {})",
            "((T([2, 3, 4, 5], F), -2, False), {})",
            "((T([4, 7], F, [1, 4]), 1, False), {})",
            "((T([6, 5], F, [20, 2]), -1, False), {})",
            "((T([3, 1025], F), 1, False), {})",
            "((T([2, 4097], F), -1, False), {})",
        ),
        cuda=(
            "((T([4096, 256], F), -1, False), {})",
            "((T([8, 12, 512, 512], F), -1, False), {})",
            "((T([1024, 50257], F), 1, False), {})",
            "((T([64, 21, 128, 128], F), 1, False), {})",
        ),
        cpu=(
            "((T([4, 12, 128, 128], F), -1, False), {})",
            "((T([32, 32000], F), 1, False), {})",
        ),
    ),
    "mm.default": Chosen(
        correctness=(
            "((T([2, 3], F), T([3, 4], F)), {})",
            "((T([1, 1], F), T([1, 1], F)), {})",
            "((T([0, 3], F), T([3, 4], F)), {})",
            "((T([3, 0], F), T([0, 4], F)), {})",
            "((T([1, 65], F), T([65, 1], F)), {})",
            "((T([17, 33], F), T([33, 9], F)), {})",
            "((T([64, 128], F), T([128, 32], F)), {})",
            "((T([31, 257], F), T([257, 63], F)), {})",
            "((T([16, 24], F, [1, 16]), T([24, 8], F)), {})",
            "((T([16, 24], F), T([24, 8], F, [1, 24])), {})",
            "((T([5, 6], F, [20, 2]), T([6, 7], F, [9, 1])), {})",
            "((T([130, 70], F), T([70, 130], F)), {})",
        ),
        cuda=(
            "((T([1024, 1024], F), T([1024, 1024], F)), {})",
            "((T([8192, 768], F), T([768, 3072], F, [1, 768])), {})",
            "((T([4096, 4096], F), T([4096, 4096], F)), {})",
            "((T([8, 4096], F), T([4096, 14336], F)), {})",
        ),
        cpu=(
            "((T([512, 512], F), T([512, 512], F)), {})",
            "((T([256, 768], F), T([768, 1024], F, [1, 768])), {})",
        ),
    ),
    "native_layer_norm.default": Chosen(
        correctness=(
            "((T([3, 8], F), [8], T([8], F), T([8], F), 1e-05), {})",
            "((T([3, 8], F), [8], None, None, 1e-05), {})",
            "((T([3, 8], F), [8], T([8], F), None, 1e-05), {})",
            "((T([3, 8], F), [8], None, T([8], F), 0.1), {})",
            "((T([0, 8], F), [8], T([8], F), T([8], F), 1e-05), {})",
            "((T([17, 33], F), [33], T([33], F), T([33], F), 1e-12), {})",
            "((T([2, 5, 6, 7], F), [6, 7], T([6, 7], F), T([6, 7], F), 1e-05), {})",
            "((T([2, 5, 6], F), [2, 5, 6], T([2, 5, 6], F), T([2, 5, 6], F), 1e-05), {})",
            "((T([12], F), [12], T([12], F), T([12], F), 1e-05), {})",
            "((T([4, 9], F, [1, 4]), [9], T([9], F), T([9], F), 1e-05), {})",
            "((T([3, 1025], F), [1025], T([1025], F), T([1025], F), 1e-05), {})",
        ),
        cuda=(
            "((T([1024, 1024], F), [1024], T([1024], F), T([1024], F), 1e-05), {})",
            "((T([8, 1024, 768], F), [768], T([768], F), T([768], F), 1e-05), {})",
            "((T([16, 577, 1024], F), [1024], T([1024], F), T([1024], F), 1e-06), {})",
            "((T([8, 2048, 4096], F), [4096], T([4096], F), T([4096], F), 1e-05), {})",
        ),
        cpu=(
            "((T([16, 128, 768], F), [768], T([768], F), T([768], F), 1e-05), {})",
            "((T([4, 197, 1024], F), [1024], T([1024], F), T([1024], F), 1e-06), {})",
        ),
    ),
    "index_select.default": Chosen(
        correctness=(
            "((T([7], F), 0, T([4], i64)), {})",
            "((T([], F), 0, T([1], i64)), {})",
            "((T([5, 3], F), 0, T([0], i64)), {})",
            "((T([0, 3], F), 1, T([2], i64)), {})",
            "((T([17, 33], F), 1, T([50], i64)), {})",
            "((T([17, 33], F), -2, T([9], i32)), {})",
            "((T([3, 4, 5], F), 1, T([6], i64)), {})",
            "((T([3, 4, 5], F), -1, T([2], i64)), {})",
            "((T([4, 7], F, [1, 4]), 0, T([5], i64)), {})",
            "((T([6, 5], F), 0, T([4], i64, [2])), {})",
            "((T([6, 5], F), 0, T([], i64)), {})",
            "((T([8, 3], i64), 0, T([11], i64)), {})",
            "((T([8, 3], b8), 1, T([4], i32)), {})",
        ),
        cuda=(
            "((T([8192, 1024], F), 0, T([2048], i64)), {})",
            "((T([50257, 768], F), 0, T([8192], i64)), {})",
            "((T([4096, 4096], F), 1, T([2048], i64)), {})",
            "((T([32768, 2048], F), 0, T([16384], i64)), {})",
        ),
        cpu=(
            "((T([8192, 768], F), 0, T([2048], i64)), {})",
            "((T([1024, 1024], F), 1, T([512], i64)), {})",
        ),
    ),
    "cat.default": Chosen(
        correctness=(
            "(([T([3], F), T([4], F)],), {})",
            "(([T([2, 3], F)],), {})",
            "(([T([2, 3], F), T([5, 3], F)], 0), {})",
            "(([T([2, 3], F), T([2, 1], F), T([2, 4], F)], 1), {})",
            "(([T([2, 3, 4], F), T([2, 3, 5], F)], -1), {})",
            "(([T([2, 3, 4], F), T([2, 7, 4], F)], -2), {})",
            "(([T([0], F), T([2, 3], F)], 1), {})",
            "(([T([0, 3], F), T([2, 3], F)], 0), {})",
            "(([T([0, 3], F), T([0, 3], F)], 0), {})",
            "(([T([4, 7], F, [1, 4]), T([4, 2], F)], 1), {})",
            "(([T([2, 3], F), T([2, 3], i64)], 0), {})",
            "(([T([5], i32), T([6], i32), T([1], i32)],), {})",
            "(([T([1, 33], F), T([16, 33], F), T([7, 33], F), T([3, 33], F), T([2, 33], F)], 0), {})",
        ),
        cuda=(
            "(([T([512, 1024], F), T([512, 1024], F)], 0), {})",
            "(([T([8, 32, 1023, 128], F), T([8, 32, 1, 128], F)], 2), {})",
            "(([T([32, 256, 56, 56], F), T([32, 64, 56, 56], F)], 1), {})",
            "(([T([4096, 4096], F), T([4096, 1024], F), T([4096, 1024], F)], -1), {})",
        ),
        cpu=(
            "(([T([1024, 1024], F), T([1024, 1024], F)], 1), {})",
            "(([T([8, 16, 255, 64], F), T([8, 16, 1, 64], F)], 2), {})",
        ),
    ),
    "add_.Tensor": Chosen(
        correctness=(
            "((T([5], F), T([5], F)), {})",
            "((T([], F), T([], F)), {})",
            "((T([0, 3], F), T([1, 3], F)), {})",
            "((T([17, 33], F), T([17, 33], F)), {'alpha': 2})",
            "((T([17, 33], F), T([33], F)), {'alpha': -0.5})",
            "((T([2, 3, 7], F), T([3, 1], F)), {})",
            "((T([4, 7], F, [1, 4]), T([4, 7], F)), {})",
            "((T([6, 5], F, [20, 2]), T([5], F)), {'alpha': 3})",
            "((T([3, 4], F), T([], F)), {})",
            "((T([3, 5], F), 2.5), {})",
            "((T([8, 9], F), T([8, 9], i64)), {})",
            "((T([8, 9], i64), T([9], i64)), {'alpha': -3})",
        ),
        cuda=(
            "((T([1024, 1024], F), T([1024, 1024], F)), {})",
            "((T([8, 1024, 3072], F), T([3072], F)), {})",
            "((T([64, 256, 28, 28], F), T([64, 256, 28, 28], F)), {'alpha': 2})",
            "((T([8, 2048, 4096], F), T([8, 2048, 4096], F)), {})",
        ),
        cpu=(
            "((T([1024, 1024], F), T([1024, 1024], F)), {})",
            "((T([4, 256, 1024], F), T([1024], F)), {'alpha': 2})",
        ),
    ),
    "topk.default": Chosen(
        correctness=(
            "((T([7], F), 3), {})",
            "((T([], F), 1), {})",
            "((T([5, 4], F), 0), {})",
            "((T([0, 5], F), 2), {})",
            "((T([1, 1], F), 1), {})",
            "((T([17, 33], F), 5), {})",
            "((T([17, 33], F), 17, 0), {})",
            "((T([17, 33], F), 4, -1, False), {})",
            "((T([3, 5, 7], F), 2, -2, True, True), {})",
            "((T([4, 7], F, [1, 4]), 7, 1), {})",
            "((T([2, 1025], F), 10), {})",
            "((T([9, 20], i64), 6, -1, False), {})",
        ),
        cuda=(
            "((T([16384, 64], F), 8), {})",
            "((T([1024, 8192], F), 8), {})",
            "((T([64, 32000], F), 50), {})",
            "((T([32, 131072], F), 100), {})",
        ),
        cpu=(
            "((T([4096, 64], F), 8), {})",
            "((T([8, 32000], F), 50), {})",
        ),
    ),
}


class SmokeSuite:
    """The ten operators, on one device, in one dtype."""

    def __init__(self, spec: SuiteSpec) -> None:
        assert spec.dtype is not None
        self.spec = spec
        self._code = CODES[spec.dtype]

    def index(self) -> SuiteIndex:
        return index_cache.read(self.spec, "index", SuiteIndex) or self._build()

    def entry(self, op: Operator) -> Entry | None:
        return self.index().entries.get(str(op))

    def _build(self) -> SuiteIndex:
        import torch

        from backend_bench.suites.catalog import entry

        entries = {
            name: entry(
                Operator.parse(name),
                self.spec.device,
                correctness=self._cases(name, CaseKind.CORRECTNESS),
                performance=self._cases(name, CaseKind.PERFORMANCE),
            )
            for name in sorted(CHOSEN)
        }
        index = SuiteIndex(
            spec=self.spec, source="chosen by hand", torch=str(torch.__version__), entries=entries
        )
        index_cache.write(self.spec, "index", index)
        return index

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        for number in range(len(self._cases(str(op), kind))):
            yield self.draw(op, kind, number, seed)

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        from backend_bench.suites.values import draw_call, seed_of

        arguments, bounds = self._case(op, kind, number)
        return draw_call(arguments, self.spec.device, seed_of(seed, op, kind, number), bounds)

    def draw_many(self, op: Operator, kind: CaseKind, number: int, seed: int, count: int) -> list[Call]:
        from backend_bench.suites.values import draw_calls, seed_of

        arguments, bounds = self._case(op, kind, number)
        return draw_calls(arguments, self.spec.device, seed_of(seed, op, kind, number), count, bounds)

    def _case(self, op: Operator, kind: CaseKind, number: int) -> tuple[Arguments, dict[int, Bounds]]:
        """What it is called with, and where the values of its tensors lie."""
        from backend_bench.suites.values import below

        cases = self._cases(str(op), kind)
        if not 0 <= number < len(cases):
            raise UsageError(f"smoke has {len(cases)} {kind} cases for {op}, and none number {number}")
        arguments = parse(cases[number])
        sizes = _LIMITS.get(str(op), _no_limits)(arguments)
        return arguments, {position: below(size) for position, size in sizes.items()}

    def _cases(self, name: str, kind: CaseKind) -> tuple[str, ...]:
        if name not in CHOSEN:
            raise UsageError(f"suite smoke has no operator {name}{did_you_mean(name, CHOSEN)}")
        chosen = CHOSEN[name]
        if kind is CaseKind.CORRECTNESS:
            texts = chosen.correctness
        else:
            texts = chosen.cuda if self.spec.device == "cuda" else chosen.cpu
        return tuple(re.sub(r"\bF\b", self._code, text) for text in texts)


# ---- indices that must be valid -------------------------------------------------------------------


def _no_limits(arguments: Arguments) -> dict[int, int]:
    return {}


def _index_select_limits(arguments: Arguments) -> dict[int, int]:
    """The second tensor indexes dimension `dim` of the first, whose 0-d form has one element there."""
    source, dim = arguments.args[0], arguments.args[1]
    assert isinstance(source, TensorSpec)
    assert isinstance(dim, int)
    return {1: source.shape[dim] if source.shape else 1}


_LIMITS: Mapping[str, Callable[[Arguments], dict[int, int]]] = {"index_select.default": _index_select_limits}
"""For each tensor argument of an operator, by position, the bound below which its values lie."""
