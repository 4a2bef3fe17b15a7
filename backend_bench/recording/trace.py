"""From models to a parquet of their operator calls: the story of `backend-bench trace`."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch

from backend_bench.cases import Call
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.recording import fake, libraries, steps
from backend_bench.recording.cuda_forms import CudaForms
from backend_bench.recording.libraries import callables
from backend_bench.recording.manifest import LIBRARIES, Model, Step
from backend_bench.recording.recorder import Recorder
from backend_bench.recording.table import Row, encode

Tell = Callable[[str], None]


def trace(models: Sequence[Model], tell: Tell) -> bytes:
    """The parquet of every step of every model; `tell` hears a line for each. A step that fails ends it all."""
    rows: list[Row] = []
    for model in models:
        for step in model.steps:
            found = list(recorded(model, step, tell))
            tell(f"{model.name} ({step}): {sum(row.count for row in found)} calls, {len(found)} different")
            rows += found
    listing = repr([(model.name, model.source, dict(model.config), model.steps) for model in models])
    return encode(
        rows,
        {
            "recorded_with": f"torch {torch.__version__.partition('+')[0]}",
            "models": str(len(models)),
            "manifest": hashlib.sha256(listing.encode()).hexdigest()[:16],
        },
    )


def recorded(model: Model, step: Step, tell: Tell) -> Iterator[Row]:
    """The calls of one step of a model."""
    recorder = Recorder(step.device)
    try:
        with _quiet():
            run = _run(model, step, recorder)
    except BackendBenchError as problem:
        raise UsageError(f"{model.name} ({step}): {problem}") from problem
    except Exception as problem:
        kind = type(problem).__name__
        raise UsageError(
            f"{model.name} ({step}) cannot be run without values: {kind}: {problem}"
        ) from problem
    for what, count in sorted(recorder.unspeakable.items()):
        tell(f"{model.name} ({step}): left out {count} calls of {what}, which has no text form")
    for (op, args, phase), count in recorder.calls.items():
        yield Row(op, args, model.name, model.library, step.mode, phase, _dtype(run, step), count)


def _run(model: Model, step: Step, recorder: Recorder) -> Callable[..., object]:
    """Run the step under the recorder; gives back what was run."""
    built = libraries.build(model, step) if model.library in LIBRARIES else None
    with fake.mode():
        if built is None:
            run, call = callables.load(model, step)
            extra = Call(())
            if step.dtype and isinstance(run, torch.nn.Module):
                fake.emptied(run, libraries.dtype(step))
                call = fake.cast(call, libraries.dtype(step))
        else:
            run, floating = built.run, libraries.dtype(step)
            fake.emptied(built.run)
            call, extra = fake.call(built.arguments, floating), fake.call(built.trained_with, floating)
        with CudaForms(step.attention) if step.device == "cuda" else contextlib.nullcontext():
            steps.run(run, call, extra, step, recorder)
    return run


def _dtype(run: Callable[..., object], step: Step) -> str:
    """Of the step, or of the first parameter where the step leaves it open."""
    if step.dtype is None and isinstance(run, torch.nn.Module):
        parameter = next(run.parameters(), None)
        return "" if parameter is None else str(parameter.dtype).removeprefix("torch.")
    return f"{step.dtype or 'bfloat16'}{' autocast' if step.autocast else ''}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What libraries think of a configuration is no news to whoever wrote it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
