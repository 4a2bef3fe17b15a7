"""Where models come from: one short file a library, the only place that imports it.

Each builds a model from its configuration, on torch's device `meta` or with random weights on a real one, and says
what it is called with. None fetches anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch

from backend_bench.errors import MissingExtra, UsageError
from backend_bench.recording.manifest import Model, Step
from backend_bench.suites.arguments import Arguments


@dataclass(frozen=True, slots=True)
class Built:
    """A model that can be run."""

    run: torch.nn.Module
    """The model; without values and without memory on `meta`."""
    arguments: Arguments
    """What it is called with."""
    trained_with: Arguments = field(default_factory=lambda: Arguments(()))
    """What a training step adds: keyword arguments of the model, or else `target` of the cross entropy."""
    below: Mapping[str, int] = field(default_factory=dict)
    """By argument: what its whole numbers have to be below, such as the size of a vocabulary."""


def build(model: Model, step: Step, *, place: str = "meta") -> Built:
    """The model of a library, on the device `place`, with its inputs; a `UsageError` where there is no such thing."""
    made: Built = _library(model).build(model, step, place)
    return made


def small(model: Model) -> Model:
    """The model with sizes that its configuration leaves unsaid made small; as it is where the library has no names for them."""
    library = _library(model)
    made: Model = library.small(model) if hasattr(library, "small") else model
    return made


def _library(model: Model) -> ModuleType:
    try:
        return importlib.import_module(f"{__name__}.of_{model.library}")
    except ImportError as problem:
        raise MissingExtra("trace", f"{model.source} needs {model.library} ({problem})") from None
    except RuntimeError as problem:  # timm imports torchvision, which may be that of another torch
        raise UsageError(
            f"{model.library} does not import here ({problem}); install versions that fit this torch"
        ) from None


def dtype(step: Step) -> torch.dtype:
    """Of parameters and inputs."""
    found = torch.float32 if step.autocast else getattr(torch, step.dtype or "bfloat16")
    assert isinstance(found, torch.dtype)
    return found


def configured(make: Callable[..., Any], config: Mapping[str, Any], what: str) -> Any:
    """`make(**config)`, with a `UsageError` where the library refuses its values."""
    try:
        return make(**config)
    except Exception as problem:  # each library has its own ways of refusing
        raise UsageError(f"{what} cannot be made with {dict(config)}: {problem}") from problem
