"""Models of diffusers, by the name of their class: denoisers and autoencoders."""

from __future__ import annotations

import inspect

import diffusers
import torch

from backend_bench.errors import UsageError
from backend_bench.recording.libraries import Built, configured, dtype
from backend_bench.recording.manifest import Model, Step
from backend_bench.suites.arguments import parse
from backend_bench.suites.near_matches import did_you_mean


def build(model: Model, step: Step, place: str) -> Built:
    """A model without weights. What it is called with has to be given: every denoiser takes something else."""
    found = getattr(diffusers, model.what, None)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        names = [each for each in dir(diffusers) if "Model" in each or "Autoencoder" in each]
        raise UsageError(
            f"diffusers {diffusers.__version__} has no model {model.what!r}{did_you_mean(model.what, names)}"
        )
    if not step.inputs:
        accepted = ", ".join(list(inspect.signature(found.forward).parameters)[1:8])
        raise UsageError(f"{model.source} needs its inputs; it takes {accepted}")
    with torch.device(place):
        module = configured(found, model.config, found.__name__)
    module.to(dtype(step))
    return Built(module, parse(step.inputs))
