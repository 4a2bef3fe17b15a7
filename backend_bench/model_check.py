"""A model on the kernels of a folder beside the same model on ATen: outputs, gradients, times, and who served what.

Its weights are random. Not covered: kernels run in this process without a sandbox (see `backend`), and a time is that of
one process on whatever else the machine does. A score comes from `grade`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from backend_bench import backend, kernels, languages
from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.grading import checker, oracle
from backend_bench.grading.inputs import clone_call
from backend_bench.grading.observing import observed
from backend_bench.operator import Operator
from backend_bench.recording import libraries, steps
from backend_bench.recording.libraries import callables
from backend_bench.recording.manifest import LIBRARIES, Model, Step
from backend_bench.suites.arguments import Arguments, TensorSpec
from backend_bench.suites.calls import build, dtype_of, tensors_of
from backend_bench.suites.tracing import NO_WORK

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference, as a share of the tensor's largest value: some hundred roundings of the dtype, for they add up over layers."""
_FAINT = 1e-3
"""A gradient that is so small beside the largest of all is held to that share of it: some are zero but for rounding."""
_UNKNOWN = 2
"""Whole numbers are 0 or 1 where nobody said what they mean: masks and indices of anything admit them."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One tensor on the kernels beside the same on ATen."""

    name: str
    """Of an output, or of the parameter whose gradient it is."""
    kind: Literal["output", "gradient"]
    error: float
    """Largest difference as a share of the largest value; infinite where shape, dtype, or the places of NaN or infinities differ."""
    tolerance: float
    """Up to which it is right."""

    @property
    def right(self) -> bool:
        return self.error <= self.tolerance


@dataclass(frozen=True, slots=True)
class Called:
    """One operator of the model."""

    op: str
    calls: int
    """Calls by the model and its gradients."""
    served: int
    """Calls that the folder's kernel answered; those from inside other operators count too."""
    kernel: Path | None
    """The kernel's file; None: it ran on ATen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found."""

    model: Model
    parameters: int
    """How many numbers its weights are."""
    device: str
    dtype: str
    interpreted: bool
    """Triton kernels ran in Triton's interpreter: the times say nothing."""
    failure: str = ""
    """Why the model did not come to its end on the kernels; then nothing is compared."""
    compared: tuple[Compared, ...] = ()
    called: tuple[Called, ...] = ()
    aten_ms: tuple[float, ...] = ()
    """Forward and backward on ATen, each repetition."""
    kernels_ms: tuple[float, ...] = ()
    """The same on the kernels."""
    alone: Mapping[str, str] = field(default_factory=dict)
    """By operator, where something is wrong: what the model says with its kernel alone; only those that are wrong then."""
    explained: Mapping[str, str] = field(default_factory=dict)
    """By operator: kernels of `alone` of which every single call is right. A model makes much of a rounding, or of another choice
    among equals; and without them it is as on ATen."""

    @property
    def right(self) -> bool:
        """As on ATen, or different for nothing but what is explained."""
        if self.failure:
            return False
        return all(each.right for each in self.compared) or (
            bool(self.explained) and self.explained.keys() == self.alone.keys()
        )

    @property
    def served(self) -> int:
        """Calls that kernels answered."""
        return sum(each.served for each in self.called)


def check(
    model: Model,
    step: Step,
    folder: Path,
    *,
    device: Literal["cpu", "cuda"],
    tolerance: float | None = None,
    repeat: int = 5,
    seed: int = 0,
) -> Check:
    """Run the model forward and backward on ATen and on the kernels of `folder`, and compare.

    Raises `UsageError` for a model that cannot be built or trained, and for a folder that cannot be installed.
    """
    interpreted = device == "cpu" and _interpreting(folder)
    trial = Trial(model, step, device, seed)
    allowed = tolerance if tolerance is not None else TOLERANCE[trial.dtype]
    about: dict[str, Any] = {
        "model": model,
        "parameters": sum(each.numel() for each in trial.module.parameters()),
        "device": device,
        "dtype": trial.dtype,
        "interpreted": interpreted,
    }
    expected = trial.run()
    aten_ms = trial.timed(repeat)
    with backend.install(folder, device=device) as installed:
        found, failure = _attempt(trial.run)
        compared = _compare(expected, found, allowed)
        right = not failure and all(each.right for each in compared)
        called = () if failure else _called(trial, installed)
        kernels_ms = trial.timed(repeat) if right else ()
    if right:
        return Check(**about, compared=compared, called=called, aten_ms=aten_ms, kernels_ms=kernels_ms)
    alone = _alone(trial, folder, installed, expected, allowed)
    explained = {} if failure else _explained(trial, folder, installed, expected, allowed, alone)
    return Check(
        **about,
        failure=failure,
        compared=compared,
        called=called,
        aten_ms=aten_ms,
        alone=alone,
        explained=explained,
    )


Results = Mapping[tuple[Literal["output", "gradient"], str], Tensor]


class Trial:
    """One model with its inputs, run again and again from the same state."""

    def __init__(self, model: Model, step: Step, device: str, seed: int) -> None:
        torch.manual_seed(seed)
        self._device = device
        self._drawn_gradients: dict[tuple[torch.Size, torch.dtype], Tensor] = {}
        if model.library in LIBRARIES:
            built = libraries.build(model, step, place=device)
            self.module, floating = built.run, libraries.dtype(step)
            self.module.to(floating)
            self._call = self._drawn(built.arguments, floating, built.below)
            extra = self._drawn(built.trained_with, floating, built.below).kwargs
        else:
            self.module, self._call, extra = self._own(model, step)
        self._target = extra.pop("target", None)
        self._call = Call(self._call.args, {**self._call.kwargs, **extra})
        self.module.eval()  # dropout and running statistics would make two runs differ
        self.dtype = str(next(self.module.parameters()).dtype).removeprefix("torch.")
        if self.dtype not in TOLERANCE:
            raise UsageError(f"{model.source} has parameters of {self.dtype}; use {', '.join(TOLERANCE)}")

    def step(self) -> Any:
        """One forward and backward pass; gives back the model's outputs, and leaves the gradients with its parameters."""
        self.module.zero_grad(set_to_none=True)
        outputs = self.module(*self._call.args, **self._call.kwargs)
        starts = steps.ends(outputs, self._target)
        if not starts:
            raise UsageError(f"{type(self.module).__name__} returns nothing that depends on a parameter")
        torch.autograd.backward(starts, [self._gradient(start) for start in starts])
        if self._device == "cuda":
            torch.cuda.synchronize()
        return outputs

    def run(self) -> Results:
        """Copies of the outputs and gradients of one step."""
        outputs = self.step()
        found: dict[tuple[Literal["output", "gradient"], str], Tensor] = {}
        for name, tensor in _named(outputs):
            found["output", name] = tensor.detach().clone()
        for name, parameter in self.module.named_parameters():
            if parameter.grad is not None:
                found["gradient", name] = parameter.grad.detach().clone()
        return found

    def timed(self, repeat: int) -> tuple[float, ...]:
        """Milliseconds of `repeat` runs; whoever calls has run it before."""
        spent = []
        for _ in range(repeat):
            start = time.perf_counter()
            self.step()
            spent.append(1e3 * (time.perf_counter() - start))
        return tuple(spent)

    def _gradient(self, start: Tensor) -> Tensor:
        """One for a loss; else random, for ones are in the null space of a softmax or a norm."""
        what = (start.shape, start.dtype)
        if what not in self._drawn_gradients:
            generator = torch.Generator().manual_seed(start.numel())
            drawn = torch.randn(start.shape, generator=generator) if start.dim() else torch.ones(())
            self._drawn_gradients[what] = drawn.to(device=start.device, dtype=start.dtype)
        return self._drawn_gradients[what]

    def _drawn(self, arguments: Arguments, floating: torch.dtype, below: Mapping[str, int]) -> Call:
        """The call with values: numbers of a normal distribution, whole ones below their bound."""

        def maker(name: str) -> Callable[[TensorSpec], Tensor]:
            def tensor(spec: TensorSpec) -> Tensor:
                own = dtype_of(spec.dtype)
                if own.is_floating_point:
                    return torch.randn(spec.shape).to(device=self._device, dtype=floating)
                bound = below.get(name, _UNKNOWN)
                return torch.randint(bound, spec.shape).to(device=self._device, dtype=own)

            return tensor

        args = build(Arguments(arguments.args), maker("")).args
        named = {
            name: build(Arguments((value,)), maker(name)).args[0] for name, value in arguments.kwargs.items()
        }
        return Call(args, named)

    def _own(self, model: Model, step: Step) -> tuple[torch.nn.Module, Call, dict[str, Any]]:
        """A model of the user's own with the inputs that it came with."""
        run, call = callables.load(model, step)
        if not isinstance(run, torch.nn.Module) or next(run.parameters(), None) is None:
            raise UsageError(f"{model.source} has to return a torch.nn.Module with parameters")
        if any(tensor.requires_grad for tensor in tensors_of(call)):
            raise UsageError(f"the inputs of {model.source} must not ask for gradients of their own")
        floating = libraries.dtype(step) if step.dtype else None
        run.to(device=self._device, dtype=floating)

        def moved(value: object) -> object:
            if not isinstance(value, Tensor):
                return value
            return value.to(self._device, floating if value.is_floating_point() else None)

        kwargs = {name: moved(value) for name, value in call.kwargs.items()}
        return run, Call(tuple(map(moved, call.args)), kwargs), {}


class _Heard(TorchDispatchMode):
    """Counts the ATen calls that do some work."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        base = func._schema.name.removeprefix("aten::")
        if "::" not in base and base not in NO_WORK and not func.is_view:
            self.calls[str(Operator(base, func._overloadname))] += 1
        return func(*args, **(kwargs or {}))


def _interpreting(folder: Path) -> bool:
    """Whether Triton kernels are among them; then its interpreter stands ready from here on."""
    sources = [kernel.source or "" for kernel in kernels.find(folder)]
    if not any(languages.recognise(source) == "triton" for source in sources):
        return False
    from backend_bench.worker import interpreter  # what a worker has on a host without a GPU

    interpreter.install()
    return True


def _attempt(run: Callable[[], Results]) -> tuple[Results, str]:
    """The results, or why there are none; a kernel may raise anything."""
    try:
        return run(), ""
    except Exception as error:  # noqa: BLE001  (it is the finding)
        where = "; ".join(getattr(error, "__notes__", ["on the kernels, outside of them"]))
        return {}, f"{type(error).__name__}: {error} ({where})"


def _called(trial: Trial, installed: backend.Installed) -> tuple[Called, ...]:
    """Every operator of one run, those that kernels served first."""
    installed.calls.clear()
    with _Heard() as heard:
        trial.step()
    ops = {*heard.calls, *installed.calls}
    rows = [Called(op, heard.calls[op], installed.calls[op], installed.files.get(op)) for op in ops]
    return tuple(sorted(rows, key=lambda row: (row.kernel is None, -row.calls, row.op)))


def _alone(
    trial: Trial, folder: Path, installed: backend.Installed, expected: Results, allowed: float
) -> dict[str, str]:
    """Which kernels are wrong by themselves, and how."""
    blamed = {}
    for op in installed.ops:
        with backend.install(folder, device=installed.device, ops=[op]):  # type: ignore[arg-type]  # it came from there
            found, failure = _attempt(trial.run)
        worst = max(_compare(expected, found, allowed), key=lambda each: each.error, default=None)
        if failure:
            blamed[op] = failure
        elif worst is not None and not worst.right:
            blamed[op] = f"{worst.kind} {worst.name} is off by {worst.error:.2g} of its largest value"
    return blamed


def _explained(
    trial: Trial, folder: Path, installed: backend.Installed, expected: Results, allowed: float, alone: Mapping[str, str]
) -> dict[str, str]:  # fmt: skip
    """Of the kernels that are wrong alone, those of which every call is right; none, if the model is wrong without them."""
    explained: dict[str, str] = {}
    for op in alone:
        calls = _Calls()
        with backend.install(folder, device=installed.device, ops=[op], around=calls.around):  # type: ignore[arg-type]
            _attempt(trial.run)
        if calls.judged and not calls.wrong:
            explained[op] = f"each of its {calls.judged} calls is right"
    if not explained:
        return {}
    others = [op for op in installed.ops if op not in explained]
    with backend.install(folder, device=installed.device, ops=others):  # type: ignore[arg-type]
        found, failure = _attempt(trial.run)
    right = not failure and all(each.right for each in _compare(expected, found, allowed))
    return explained if right else {}


class _Calls:
    """Judges each call of a kernel by itself, as a verdict does, on the values that the model has there."""

    def __init__(self) -> None:
        self.judged = 0
        self.wrong: list[str] = []

    def around(self, op: Operator, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """The kernel, looked at in every call."""
        overload = getattr(getattr(torch.ops.aten, op.base), op.overload)

        def judged(*args: Any, **kwargs: Any) -> Any:
            call = Call(args, kwargs)
            before = clone_call(call)
            result = kernel(*args, **kwargs)
            try:
                finding = checker.check(oracle.expect(overload, before), observed(result, call))
            except oracle.Unjudgeable as error:
                self.wrong.append(str(error))
            else:
                self.judged += 1
                self.wrong += [] if finding.passed else [finding.message]
            return result

        return judged


def _compare(expected: Results, found: Results, tolerance: float) -> tuple[Compared, ...]:
    """Tensor by tensor, the worst first; none where nothing was found."""
    if not found:
        return ()
    largest = max((_size(each) for (kind, _), each in expected.items() if kind == "gradient"), default=0.0)
    rows = []
    for (kind, name), reference in expected.items():
        floor = _FAINT * largest if kind == "gradient" else 0.0
        error = _error(reference, found.get((kind, name)), floor)
        rows.append(Compared(name, kind, error, tolerance))
    return tuple(sorted(rows, key=lambda row: -row.error))


def _error(reference: Tensor, found: Tensor | None, floor: float) -> float:
    if found is None or found.shape != reference.shape or found.dtype != reference.dtype:
        return float("inf")
    infinite = reference.isinf() | found.isinf()
    if not torch.equal(reference.isnan(), found.isnan()) or not torch.equal(
        reference[infinite], found[infinite]
    ):
        return float("inf")
    difference = (found.double() - reference.double())[reference.isfinite()].abs()
    if not difference.any():
        return 0.0
    scale = max(_size(reference), floor)
    return float(difference.max()) / scale if scale else float("inf")


def _size(tensor: Tensor) -> float:
    """The largest finite magnitude."""
    finite = tensor.double()[torch.isfinite(tensor)].abs()
    return float(finite.max()) if finite.numel() else 0.0


def _named(outputs: Any, name: str = "") -> list[tuple[str, Tensor]]:
    """The tensors of a model's outputs by the names that they have there."""
    if isinstance(outputs, Tensor):
        return [(name or "output", outputs)]
    if isinstance(outputs, dict):
        items = list(outputs.items())
    elif isinstance(outputs, tuple | list):
        items = list(enumerate(outputs))
    else:
        return []
    return [found for key, value in items for found in _named(value, f"{name}.{key}" if name else str(key))]
