"""The samples of torch's OpInfos, traced: which ATen calls each makes, with the values of a seed.

The only importer of torch's test suite; undoes what that import does to its importer, and leaves every random number
generator as it was.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from backend_bench.cases import Call
from backend_bench.errors import MissingExtra
from backend_bench.suites.calls import Unspeakable, snapshot, tensors_of
from backend_bench.suites.tracing import Traced, trace
from backend_bench.suites.values import seed_of

Form = Literal["function", "inplace"]

MOST_BYTES = 1 << 20
"""Bytes of all tensors of a case. OpInfo's larger samples (a million elements each) show what 200,000 show too."""
_WITHOUT_FLOATS = ("int64", "bool")
"""Dtypes in which an operator is sampled that takes no floating ones, such as bitwise_and."""


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


def dtypes(name: str, device: str, dtype: str) -> tuple[str, ...]:
    """The dtypes in which an OpInfo is sampled: the suite's, or whole numbers where it takes nothing else."""
    supported = infos()[name].supported_dtypes(device)
    if getattr(torch, dtype) in supported:
        return (dtype,)
    if any(each.is_floating_point or each.is_complex for each in supported):
        return ()
    return tuple(each for each in _WITHOUT_FLOATS if getattr(torch, each) in supported)


def traces(name: str, dtype: str, device: str, seed: int) -> Iterator[tuple[Site, list[Traced]]]:
    """Every trace of an OpInfo's samples, with the site of its first call. Read it to its end at once."""
    return _traces(name, dtype, device, seed, lambda *site: True)


def calls_at(name: str, dtype: str, device: str, seed: int, sites: Set[Site]) -> dict[Site, Traced]:
    """The ATen calls at some sites of one OpInfo; no more is traced than holds them."""
    by_trace: dict[tuple[int, Form], list[Site]] = defaultdict(list)
    for site in sites:
        by_trace[site.sample, site.form].append(site)

    def is_wanted(sample: int, form: Form, call: int | None = None) -> bool:
        asked = by_trace.get((sample, form), [])
        return bool(asked) if call is None else any(site.call == call for site in asked)

    return {
        site: traced[site.call]
        for first, traced in _traces(name, dtype, device, seed, is_wanted)
        for site in by_trace[first.sample, first.form]
        if site.call < len(traced)
    }


def bytes_of(call: Call) -> int:
    """Bytes of all tensors of the call, each element counted as often as it is seen."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(call))


def _traces(
    name: str, dtype: str, device: str, seed: int, is_wanted: Callable[..., bool]
) -> Iterator[tuple[Site, list[Traced]]]:
    """Traces with all generators seeded; between two of them the seeds are its own.

    `is_wanted` is asked for each sample and form, and then for each ATen call. What is traced has no influence on
    the values of later samples.
    """
    info = infos().get(name)
    if info is None:
        return
    seeded = _seeded(seed_of(seed, name, dtype), device)
    with _quiet(), one_thread(), _kept_generators(device), seeded:
        for number, sample in enumerate(_samples(info, device, getattr(torch, dtype))):
            for form, function in _forms(info):
                if is_wanted(number, form):
                    with _kept_generators(device):
                        traced = _trace(function, sample, functools.partial(is_wanted, number, form))
                    yield Site(name, dtype, number, form, 0), traced


def _trace(function: Callable[..., Any], sample: Any, is_wanted: Callable[[int], bool]) -> list[Traced]:
    """The ATen calls of a sample.

    None where torch refuses it (an in-place form that would have to broadcast), nor where it is so large that what
    it calls is no case anyway.
    """
    call = Call((sample.input, *sample.args), dict(sample.kwargs))
    if bytes_of(call) > 2 * MOST_BYTES:
        return []
    try:
        return trace(function, snapshot(call), is_wanted)
    except (Unspeakable, RuntimeError, TypeError, ValueError, IndexError, AssertionError):
        return []


def _samples(info: Any, device: str, dtype: torch.dtype) -> Iterator[Any]:
    """The OpInfo's samples, then the larger set made for comparison with a reference where there is one.

    Some makers fail halfway on some devices; what came before is good. The public methods of OpInfo around these
    makers would seed each sample alike, whatever our seed is.
    """
    for make in (info.sample_inputs_func, info.reference_inputs_func):
        if make is not None:
            with contextlib.suppress(RuntimeError, ValueError, TypeError):
                yield from make(info, device, dtype, False)


def error_samples(name: str, device: str) -> Iterator[tuple[Callable[..., Any], Any]]:
    """The functions of an OpInfo with samples that they refuse; their values do not matter, and are of no seed."""
    info = infos()[name]
    if info.error_inputs_func is None:
        return
    with _quiet(), _kept_generators(device), contextlib.suppress(RuntimeError, ValueError, TypeError):
        for refused in info.error_inputs_func(info, device):
            for _, function in _forms(info):
                yield function, refused.sample_input


def _forms(info: Any) -> Iterator[tuple[Form, Callable[..., Any]]]:
    yield "function", info.op
    if info.inplace_variant is not None:
        yield "inplace", info.inplace_variant


# ---- randomness and torch's test suite ------------------------------------------------------------


@contextlib.contextmanager
def _kept_generators(device: str) -> Iterator[None]:
    """Put torch's generators back afterwards, on the CPU and on the device."""
    devices = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextlib.contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch, numpy and random, all of which OpInfo's samples use; numpy and random are put back."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        torch.default_generator.manual_seed(seed)
        if device == "cuda":
            torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


_INFOS: dict[str, Any] = {}


def infos() -> Mapping[str, Any]:
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
def one_thread() -> Iterator[None]:
    """Samples are small: a second thread only waits, and on a busy machine made this five times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
