"""Which operators are tested, and with which arguments: suites open here.

Makes cases and draws their values; runs no kernel and judges nothing. Importing it costs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from backend_bench.cases import Call, Entry, SuiteIndex
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites.defaults import filled, is_enlarged, own
from backend_bench.suites.near_matches import near_matches
from backend_bench.verdict import CaseKind

if TYPE_CHECKING:
    import torch

__all__ = ["Suite", "near_matches", "open_suite", "resolve"]


class Suite(Protocol):
    """All cases of one suite, on one device, in one dtype."""

    spec: SuiteSpec
    """What was asked for, defaults filled in."""

    def index(self) -> SuiteIndex:
        """Every operator with its cases as text; one without cases says why."""
        ...

    def entry(self, op: Operator) -> Entry | None:
        """One operator's part of the index, where that is quicker to have without the rest; None where the suite does not know it."""
        ...

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        """One call for each case, in the entry's order, with values from `seed` and tensors on the spec's device.

        None where this seed gives other shapes than the index says. Nothing at all for an operator without
        cases; `UsageError` for one that the suite does not know.
        """
        ...

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        """The call that `draws` gives for case `number`; `UsageError` where there is none."""
        ...

    def draw_many(self, op: Operator, kind: CaseKind, number: int, seed: int, count: int) -> list[Call]:
        """So many calls for case `number` with values that differ, and memory of their own; `UsageError` where there is none."""
        ...


def open_suite(spec: SuiteSpec) -> Suite:
    """The suite that the spec names; a `UsageError` with near matches where there is none."""
    spec = filled(spec)
    if is_enlarged(spec):
        return _enlarged(spec)
    if spec.name == "smoke":
        from backend_bench.suites.smoke import SmokeSuite

        return SmokeSuite(spec)
    if spec.name == "torchbench":
        from backend_bench.suites.torchbench import TorchBenchSuite

        return TorchBenchSuite(spec)
    if spec.name == "facto":
        from backend_bench.suites.facto import FactoSuite

        return FactoSuite(spec)
    from backend_bench.suites.opinfo import OpInfoSuite

    return OpInfoSuite(spec)


def _enlarged(spec: SuiteSpec) -> Suite:
    from backend_bench.suites.enlarged import EnlargedSuite
    from backend_bench.suites.torchbench import TorchBenchSuite

    recorded = filled(SuiteSpec(name="torchbench", device=spec.device, dtype=spec.dtype))
    return EnlargedSuite(spec, open_suite(own(spec)), TorchBenchSuite(recorded))


def resolve(op: Operator) -> torch._ops.OpOverload:
    """The ATen overload of that name; a `UsageError` with near matches where torch has none."""
    from backend_bench.suites import catalog

    return catalog.resolve(op)
