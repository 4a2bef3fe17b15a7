"""Models of the user's own: a callable that returns the model and what it is called with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.recording.manifest import Model, Step
from backend_bench.suites.near_matches import did_you_mean


def load(model: Model, step: Step) -> tuple[Callable[..., Any], Call]:
    """What `package.module:function` returns, called with the configuration, while tensors have no memory."""
    if step.inputs or step.labels:
        raise UsageError(
            f"{model.source} takes its inputs from the callable; leave --inputs and --labels out"
        )
    made = _function(model)(**model.config)
    if not (isinstance(made, tuple) and len(made) == 2 and callable(made[0])):
        raise UsageError(f"{model.source} has to return (model, inputs), and returned {type(made).__name__}")
    run, inputs = made
    if isinstance(inputs, Mapping):
        return run, Call((), dict(inputs))
    if isinstance(inputs, torch.Tensor):
        return run, Call((inputs,))
    if isinstance(inputs, tuple | list):
        return run, Call(tuple(inputs))
    raise UsageError(f"the inputs of {model.source} have to be a tensor, a tuple or a dict")


def _function(model: Model) -> Callable[..., Any]:
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` has it; a console script does not
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(model.library)
    except ModuleNotFoundError as problem:
        raise UsageError(
            f"{model.source}: there is no module {problem.name}, from {here} or installed;"
            " a model is named transformers:CLASS, timm:NAME, diffusers:CLASS or package.module:function"
        ) from None
    found = getattr(module, model.what, None)
    if not callable(found):
        raise UsageError(
            f"{model.library} has no function {model.what!r}{did_you_mean(model.what, dir(module))}"
        )
    return found  # type: ignore[no-any-return]
