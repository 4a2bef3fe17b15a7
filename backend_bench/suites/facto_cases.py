"""Which of the calls that FACTO generates become cases, and what a case's values are.

A call is made twice before it is taken: what ATen refuses is no case, and what always has the same result tells little of a kernel.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from backend_bench.cases import Call, Entry
from backend_bench.leases import Lease, lease_name
from backend_bench.operator import Operator
from backend_bench.submission import Device, SuiteSpec
from backend_bench.suites.arguments import Arguments, DeviceName, TensorSpec, parse, render
from backend_bench.suites.calls import tensors_of
from backend_bench.suites.catalog import entry, operator_names, resolve
from backend_bench.suites.domains import admit
from backend_bench.suites.exclusions import reason
from backend_bench.suites.expendable import note
from backend_bench.suites.recordings import flat
from backend_bench.suites.selection import kind_of
from backend_bench.suites.specifications import Enumerated, Generated, database, enumerated
from backend_bench.suites.trials import is_here, trial
from backend_bench.suites.values import Bounds, draw_call, seed_of

MOST_BYTES = 256 << 10
"""Of the tensors of a call, and of its results: FACTO's largest have 8 elements in each of 6 dimensions."""
MOST_CASES = 24
"""Of one operator: BackendBench takes ten, the first ones; a judge draws each of them five times and more."""
_MOST = {"mixed": 4, "empty": 2, "dull": 4}
"""Of these: calls whose tensors have different dtypes, a test of promotion more than of the operator; calls with an
empty tensor, a test of manners; calls with the same result everywhere in every draw, of which twice as many are taken
where there are no others."""
_MOST_TRIALS = 96
"""Calls of one operator that are made to find these."""
_WIDEST = 100.0
"""FACTO draws within [-100, 100]: there exp, sigmoid and softmax overflow in float32 if they are written naively."""
_WIDE_SHARE = 8
"""One element in eight is drawn from that range; the others are those of the other suites."""

_TRIAL_SEEDS = (0, 1)


def drawn(
    op: Operator, arguments: Arguments, bounds: Sequence[Bounds | None], device: str, seed: int
) -> Call:
    """The call with values from the seed: FACTO's bounds first, then what the operator wants beyond them."""
    within = {position: each for position, each in enumerate(bounds) if each is not None}
    call = draw_call(arguments, device, seed, within)
    generator = torch.Generator(device=device).manual_seed(seed_of(seed, "wide"))
    for tensor, bound in zip(tensors_of(call), bounds, strict=True):
        if bound is None and tensor.is_floating_point():
            _widen(tensor, generator)
    return admit(op, call, seed_of(seed, "admit"))


def _widen(tensor: torch.Tensor, generator: torch.Generator) -> None:
    """Put one element in eight anywhere in FACTO's range."""
    shape, device = tensor.shape, tensor.device
    wide = torch.empty(shape, device=device).uniform_(-_WIDEST, _WIDEST, generator=generator)
    few = torch.randint(0, _WIDE_SHARE, shape, generator=generator, device=device) == 0
    tensor.copy_(torch.where(few, wide.to(tensor.dtype), tensor))


# ---- which calls become cases --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of one specification."""

    entry: Entry
    """Its entry of the index."""
    cases: Sequence[Generated] = ()
    """The calls behind the entry's cases, in order."""


def chosen(name: str, wanted: SuiteSpec, deadly: frozenset[int] = frozenset()) -> Choice:
    """The cases of an operator, or why there are none; where it is, is noted as the position of a call among FACTO's.

    `deadly`: positions of calls that end the process which makes them.
    """
    op = Operator.parse(name)
    if name not in operator_names():
        return Choice(Entry(op=name, reason=f"torch {torch.__version__} has no such operator"))
    if excluded := reason(op, resolve(op)):
        return Choice(entry(op, wanted.device, reason=excluded))
    assert wanted.dtype is not None
    found = enumerated(_database()[name], getattr(torch, wanted.dtype), MOST_BYTES)
    selection = _Selection(op, found, wanted, deadly)
    with _shared(wanted.device):
        cases = selection.run()
    return Choice(
        entry(
            op,
            wanted.device,
            correctness=tuple(selection.texts[case.text] for case in cases),
            reason="" if cases else selection.why_not(),
        ),
        cases,
    )


def without_cases(name: str, why: str, device: Device) -> Choice:
    """An operator of which no call can be made here."""
    return Choice(entry(Operator.parse(name), device, reason=why))


@functools.cache
def _database() -> dict[str, Any]:
    return database()


def _shared(device: Device) -> contextlib.AbstractContextManager[None]:
    """Nobody times meanwhile."""
    return Lease(lease_name(torch.device(device))).shared() if is_here(device) else contextlib.nullcontext()


class _Selection:
    """The cases of one operator in the making."""

    def __init__(self, op: Operator, found: Enumerated, wanted: SuiteSpec, deadly: Collection[int]) -> None:
        self.op, self.found, self.wanted, self.deadly = op, found, wanted, deadly
        self.places = {case.text: place for place, case in enumerate(found.calls)}
        self.texts: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.trials = 0

    def run(self) -> list[Generated]:
        """Calls of every kind, those first that tell most, back in FACTO's order."""
        kept: dict[str, list[Generated]] = {"telling": [], "mixed": [], "dull": [], "empty": []}
        for case in self.in_turn():
            if len(kept["telling"]) == MOST_CASES or self.trials == _MOST_TRIALS:
                break
            known = "empty" if not _has_elements(case) else "mixed" if case.mixed else ""
            if known and len(kept[known]) == _MOST[known]:
                continue
            tells = self.tells(case)
            if tells is not None:
                kept[known or ("telling" if tells else "dull")].append(case)
        extra = kept["mixed"] + kept["empty"]
        extra += kept["dull"][: _MOST["dull"] if kept["telling"] else 2 * _MOST["dull"]]
        chosen = {case.text for case in kept["telling"][: MOST_CASES - len(extra)] + extra}
        return [case for case in self.found.calls if case.text in chosen]

    def in_turn(self) -> Iterator[Generated]:
        """All calls: one of each kind of arguments, then a second of each, from anywhere in the enumeration."""
        calls = list(self.found.calls)
        random.Random(str(self.op)).shuffle(calls)
        count: Counter[Hashable] = Counter()
        rounds: list[tuple[int, int]] = []
        for position, case in enumerate(calls):
            kind = kind_of(parse(case.text))
            rounds.append((count[kind], position))
            count[kind] += 1
        return (calls[position] for _, position in sorted(rounds))

    def tells(self, case: Generated) -> bool | None:
        """Whether a wrong kernel would show in this call; None where ATen does not make it."""
        device = self.wanted.device
        arguments = _placed(self.op, parse(case.text), device)
        self.texts[case.text] = render(arguments)
        if not is_here(device):
            return True  # as in `trials`: a device that is not here is trusted
        if self.places[case.text] in self.deadly:
            self.refused["it ends the process that makes it"] += 1
            return None
        note(self.places[case.text])
        self.trials += 1
        first, second = (
            trial(
                self.op,
                arguments,
                lambda: drawn(self.op, arguments, case.bounds, device, seed),  # noqa: B023
                within=device != "cpu",
            )
            for seed in _TRIAL_SEEDS
        )
        if refusal := first.refusal or second.refusal:
            self.refused[refusal] += 1
            return None
        if sum(result.nbytes for result in first.results) > MOST_BYTES:
            self.refused["its result is too large"] += 1
            return None
        return any(_varies(one, other) for one, other in zip(first.results, second.results, strict=True))

    def why_not(self) -> str:
        """Why there is no case."""
        if self.refused:
            [(most_common, _)] = self.refused.most_common(1)
            return f"what FACTO generates cannot be called on {self.wanted.device}: {most_common}"
        if self.found.problem:
            return f"FACTO's specification of it is wrong: {self.found.problem}"
        return f"FACTO generates no call of it in {self.wanted.dtype}"


def _placed(op: Operator, arguments: Arguments, device: str) -> Arguments:
    """The call on the device: one without tensors has to name it."""
    if any(isinstance(value, TensorSpec) for value in flat(arguments)):
        return arguments
    takes_device = any(argument.name == "device" for argument in resolve(op)._schema.arguments)
    return Arguments(
        arguments.args,
        arguments.kwargs | {"device": DeviceName(device)} if takes_device else arguments.kwargs,
    )


def _has_elements(case: Generated) -> bool:
    """Whether none of its tensors is empty."""
    return all(each.elements for each in flat(parse(case.text)) if isinstance(each, TensorSpec))


def _varies(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether the result of two draws is mostly finite, and not the same number everywhere."""
    if one.shape != other.shape or not one.numel():
        return False
    both = torch.stack([one, other])
    plain = torch.view_as_real(both) if both.is_complex() else both
    finite = plain[plain.isfinite()]
    return 2 * finite.numel() > plain.numel() and bool((finite != finite[:1]).any())
