"""Models of timm, by name: pictures in, scores of classes out."""

from __future__ import annotations

import timm
import torch

from backend_bench.errors import UsageError
from backend_bench.recording.libraries import Built, configured, dtype
from backend_bench.recording.manifest import Model, Step
from backend_bench.suites.arguments import Arguments, TensorSpec, parse
from backend_bench.suites.near_matches import did_you_mean


def build(model: Model, step: Step, place: str) -> Built:
    """A model without weights, its values of configuration given to `timm.create_model`."""
    names = timm.list_models()
    if model.what not in names:
        raise UsageError(
            f"timm {timm.__version__} has no model {model.what!r}{did_you_mean(model.what, names)}"
        )
    with torch.device(place):
        config = {"model_name": model.what, "pretrained": False, **model.config}
        module = configured(timm.create_model, config, f"timm's {model.what}")
    module.to(dtype(step))
    picture = TensorSpec((step.batch, *module.pretrained_cfg["input_size"]), "f32")
    arguments = parse(step.inputs) if step.inputs else Arguments((picture,))
    target = Arguments((), {"target": TensorSpec((step.batch,), "i64")})
    return Built(module, arguments, target, {"target": module.num_classes})
