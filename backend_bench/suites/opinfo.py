"""PyTorch's own samples, one ATen operator at a time.

Each OpInfo of torch's test suite calls its public function on sample inputs; the ATen calls underneath are
recorded with the arguments that reach them. A call that is all that its sample does is a case of that operator;
a call among others (*harvested*) fills up where an operator has few. The index remembers from which sample each
case came, so that fresh values for one operator cost only the samples of that operator.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from backend_bench.cases import Call, SuiteIndex
from backend_bench.errors import MissingExtra, UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import index_cache
from backend_bench.suites.calls import Unspeakable, describe, snapshot, tensors_of
from backend_bench.suites.catalog import entry, operator_names, resolve
from backend_bench.suites.exclusions import UNSTABLE, reason
from backend_bench.suites.near_matches import did_you_mean
from backend_bench.suites.numbers import differ_in_numbers, with_numbers_of
from backend_bench.suites.selection import select
from backend_bench.suites.tracing import Traced, trace
from backend_bench.suites.values import seed_of
from backend_bench.verdict import CaseKind

Form = Literal["function", "inplace"]

MOST_BYTES = 1 << 20
"""Bytes of all tensors of a case. OpInfo's larger samples (a million elements each) show what 200,000 show too."""
_WILD = 1000.0
"""OpInfo's ordinary values lie in [-9, 9]; beyond this, infinite or NaN, a value tries the edges of an operator."""
_WITHOUT_FLOATS = ("int64", "bool")
"""Dtypes in which an operator is sampled that takes no floating ones, such as bitwise_and."""
_INDEX_SEEDS = (0, 1)
"""The index holds what both agree on, drawn numbers aside: other cases could not be promised."""


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """Where a case comes from."""

    info: str
    """The OpInfo, `name/variant`."""
    dtype: str
    """The dtype in which it is sampled."""
    sample: int
    """Number of the sample."""
    form: Form
    """Which of the OpInfo's functions is called."""
    call: int
    """Number of the ATen call in the trace."""


@dataclass(frozen=True, slots=True)
class Found:
    """A case that may enter the index."""

    site: Site
    """Where it comes from."""
    text: str
    """Its arguments."""
    harvested: bool
    """Whether its sample makes other ATen calls too."""
    wild: bool
    """Whether it holds infinities, NaN or huge values."""


Sites = dict[str, list[Site]]
"""By operator, for each case of the index in order."""


class OpInfoSuite:
    """The operators that torch's OpInfos reach, on one device, in one dtype."""

    def __init__(self, spec: SuiteSpec) -> None:
        assert spec.dtype is not None
        self.spec = spec
        self._made: tuple[SuiteIndex, Sites] | None = None

    def index(self) -> SuiteIndex:
        return self._load()[0]

    def draws(self, op: Operator, kind: CaseKind, seed: int) -> Iterator[Call | None]:
        texts, sites = self._cases(op, kind)
        yield from self._drawn(op, texts, sites, seed)

    def draw(self, op: Operator, kind: CaseKind, number: int, seed: int) -> Call:
        texts, sites = self._cases(op, kind)
        if not 0 <= number < len(texts):
            raise UsageError(f"opinfo has {len(texts)} {kind} cases for {op}, and none number {number}")
        [call] = self._drawn(op, texts[number : number + 1], sites[number : number + 1], seed)
        if call is None:
            raise UsageError(
                f"seed {seed} gives other shapes than {texts[number]} for case {number} of {op};"
                " take another seed"
            )
        return call

    def _cases(self, op: Operator, kind: CaseKind) -> tuple[tuple[str, ...], list[Site]]:
        index, sites = self._load()
        name = str(op)
        if name not in index.entries:
            raise UsageError(f"suite opinfo has no operator {op}{did_you_mean(name, index.entries)}")
        if kind is CaseKind.PERFORMANCE:
            return (), []
        return index.entries[name].correctness, sites.get(name, [])

    def _drawn(
        self, op: Operator, texts: tuple[str, ...], sites: list[Site], seed: int
    ) -> Iterator[Call | None]:
        """Calls of the sites in order; values of one OpInfo are alive at a time."""
        pairs = list(zip(texts, sites, strict=True))
        while pairs:
            first = pairs[0][1]
            count = next(
                (
                    number
                    for number, (_, site) in enumerate(pairs)
                    if (site.info, site.dtype) != (first.info, first.dtype)
                ),
                len(pairs),
            )
            group, pairs = pairs[:count], pairs[count:]
            wanted = {site for _, site in group}
            calls = dict(_calls(first.info, first.dtype, self.spec.device, seed, wanted))
            for text, site in group:
                call = calls.pop(site, None)
                yield None if call is None else _fitting(op, call, text)

    def _load(self) -> tuple[SuiteIndex, Sites]:
        if self._made is None:
            self._made = self._stored() or self._build()
        return self._made

    def _stored(self) -> tuple[SuiteIndex, Sites] | None:
        index = index_cache.read(self.spec, "index", SuiteIndex)
        sites = index_cache.read(self.spec, "sites", Sites)
        if index is None or sites is None:
            return None
        fits = all(
            len(entry.correctness) == len(sites.get(name, ())) for name, entry in index.entries.items()
        )
        return (index, sites) if fits else None

    def _build(self) -> tuple[SuiteIndex, Sites]:
        found = _survey(self.spec)
        entries, sites = {}, Sites()
        for op in sorted(found):
            excluded = reason(op, resolve(op))
            kept = [] if excluded else select(found[op])
            entries[str(op)] = entry(
                op,
                correctness=tuple(case.text for case in kept),
                reason=excluded or ("" if kept else UNSTABLE),
            )
            if kept:
                sites[str(op)] = [case.site for case in kept]
        version = str(torch.__version__)
        index = SuiteIndex(spec=self.spec, source=f"torch {version} op_db", torch=version, entries=entries)
        index_cache.write(self.spec, "sites", sites)
        index_cache.write(self.spec, "index", index)
        return index, sites


def _fitting(op: Operator, call: Call, text: str) -> Call | None:
    """The call if it is what the text says; numbers that the sample drew at random are taken from the text."""
    drawn = _text(call)
    if drawn == text:
        return call
    if drawn is None or not differ_in_numbers(op, drawn, text):
        return None
    return with_numbers_of(op, call, text)


# ---- the survey: which case comes from where ------------------------------------------------------


def _survey(spec: SuiteSpec) -> dict[Operator, list[Found]]:
    """Every ATen operator that a sample reaches, with the cases that two seeds agree on, in order of their sites."""
    found: dict[Operator, list[Found]] = defaultdict(list)
    assert spec.dtype is not None
    for name, info in _infos().items():
        for dtype in _dtypes(info, spec.device, spec.dtype):
            first, second = (dict(_seen(name, dtype, spec.device, seed)) for seed in _INDEX_SEEDS)
            for site, (op, case) in first.items():
                cases = found[op]
                if case is not None and _agree((op, case), second.get(site)):
                    cases.append(case)
    return {op: cases for op, cases in found.items() if str(op) in operator_names()}


def _agree(one: tuple[Operator, Found], other: tuple[Operator, Found | None] | None) -> bool:
    """Whether two seeds give the same case, but for numbers that are drawn."""
    if other is None or other[1] is None or one[0] != other[0]:
        return False
    case, again = one[1], other[1]
    if case.harvested != again.harvested:
        return False
    return case.text == again.text or differ_in_numbers(one[0], case.text, again.text)


def _seen(
    name: str, dtype: str, device: str, seed: int
) -> Iterator[tuple[Site, tuple[Operator, Found | None]]]:
    """Every ATen call of an OpInfo's samples; None for a case where it cannot be one."""
    for number, form, traced in _traces(name, dtype, device, seed, lambda *site: True):
        for position, item in enumerate(traced):
            site = Site(name, dtype, number, form, position)
            yield site, (item.op, _found(site, item.call, harvested=len(traced) > 1))


def _found(site: Site, call: Call | None, *, harvested: bool) -> Found | None:
    if call is None or _bytes(call) > MOST_BYTES:
        return None
    text = _text(call)
    return None if text is None else Found(site, text, harvested, _is_wild(call))


def _calls(name: str, dtype: str, device: str, seed: int, wanted: set[Site]) -> Iterator[tuple[Site, Call]]:
    """The calls of some sites of one OpInfo."""
    forms = {(site.sample, site.form) for site in wanted}

    def is_wanted(sample: int, form: Form, call: int | None) -> bool:
        if call is None:
            return (sample, form) in forms
        return Site(name, dtype, sample, form, call) in wanted

    for number, form, traced in _traces(name, dtype, device, seed, is_wanted):
        for position, item in enumerate(traced):
            if item.call is not None:
                yield Site(name, dtype, number, form, position), item.call


def _traces(
    name: str,
    dtype: str,
    device: str,
    seed: int,
    wanted: Callable[[int, Form, int | None], bool],
) -> Iterator[tuple[int, Form, list[Traced]]]:
    """Trace one OpInfo's samples, with all random number generators seeded, and put back at the end.

    `wanted` is asked for each sample and form (call None), and then for each ATen call. What is traced has no
    influence on the values of later samples. To be read to its end at once: until then the seeds are its own.
    """
    info = _infos().get(name)
    if info is None:
        return
    with _quiet(), _generators(device), _seeded(seed_of(seed, name, dtype)):
        for number, sample in enumerate(_samples(info, device, getattr(torch, dtype))):
            for form, function in _forms(info):
                if wanted(number, form, None):
                    with _generators(device):
                        traced = _trace(function, sample, functools.partial(wanted, number, form))
                    yield number, form, traced


def _trace(function: Callable[..., Any], sample: Any, wanted: Callable[[int], bool]) -> list[Traced]:
    """The ATen calls of a sample.

    None where torch refuses it (an in-place form that would have to broadcast), nor where it is so large that what
    it calls is no case anyway.
    """
    call = Call((sample.input, *sample.args), dict(sample.kwargs))
    if _bytes(call) > 2 * MOST_BYTES:
        return []
    try:
        return trace(function, snapshot(call), wanted)
    except (Unspeakable, RuntimeError, TypeError, ValueError, IndexError, AssertionError):
        return []


def _samples(info: Any, device: str, dtype: torch.dtype) -> Iterator[Any]:
    """The OpInfo's samples, then the larger set made for comparison with a reference where there is one.

    Some makers fail halfway on some devices; what came before is good. Without `set_seed=False` torch would seed
    each sample alike, whatever our seed is.
    """
    makers = [info.sample_inputs]
    if info.reference_inputs_func is not None:
        makers.append(info.reference_inputs)
    for make in makers:
        try:
            yield from make(device, dtype, requires_grad=False, set_seed=False)
        except (RuntimeError, ValueError, TypeError):
            continue


def _forms(info: Any) -> Iterator[tuple[Form, Callable[..., Any]]]:
    yield "function", info.op
    if info.inplace_variant is not None:
        yield "inplace", info.inplace_variant


def _dtypes(info: Any, device: str, dtype: str) -> tuple[str, ...]:
    """The dtypes in which an OpInfo is sampled: the suite's, or whole numbers where it takes nothing else."""
    supported = info.supported_dtypes(torch.device(device).type)
    if getattr(torch, dtype) in supported:
        return (dtype,)
    if any(each.is_floating_point or each.is_complex for each in supported):
        return ()
    return tuple(name for name in _WITHOUT_FLOATS if getattr(torch, name) in supported)


def _text(call: Call) -> str | None:
    try:
        return describe(call)
    except Unspeakable:
        return None


def _is_wild(call: Call) -> bool:
    return any(
        not bool((tensor.abs() <= _WILD).all())
        for tensor in tensors_of(call)
        if tensor.is_floating_point() and tensor.numel()
    )


def _bytes(call: Call) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(call))


# ---- randomness and torch's test suite ------------------------------------------------------------


@contextlib.contextmanager
def _generators(device: str) -> Iterator[None]:
    """Put torch's generators back afterwards, on the CPU and on the device."""
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch, numpy and random, all of which OpInfo's samples use; numpy and random are put back."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


_INFOS: dict[str, Any] = {}


def _infos() -> Mapping[str, Any]:
    """Every OpInfo of the installed torch, as `name/variant`."""
    if not _INFOS:
        with _unchanged_switches(), _quiet():
            try:
                from torch.testing._internal.common_methods_invocations import op_db
            except ImportError as problem:
                raise MissingExtra("judge", f"torch's OpInfos need {problem.name}") from problem
        _INFOS.update(
            {
                f"{info.name}/{info.variant_test_name}": info
                for info in op_db
                if not info.name.startswith("jiterator")  # user kernels, compiled on the spot
            }
        )
    return _INFOS


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Samples provoke warnings on purpose; none of them is the reader's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _unchanged_switches() -> Iterator[None]:
    """Undo what importing torch's test suite does to its importer.

    It freezes torch.backends' flags and loads a hypothesis profile of its own.
    """
    switch = "__allow_nonbracketed_mutation_flag"
    flag = getattr(torch.backends, switch, True)
    hypothesis = sys.modules.get("hypothesis")
    profile = hypothesis.settings.get_current_profile_name() if hypothesis else None
    try:
        yield
    finally:
        setattr(torch.backends, switch, flag)
        if hypothesis and profile:
            hypothesis.settings.load_profile(profile)
