"""Models of transformers: by the name of a model's class, of its configuration's class, or of its type."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import torch
import transformers

from backend_bench.errors import UsageError
from backend_bench.recording.libraries import Built, configured, dtype
from backend_bench.recording.manifest import Model, Step
from backend_bench.suites.arguments import Arguments, TensorSpec, Value, parse
from backend_bench.suites.near_matches import did_you_mean

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "num_local_experts": 4,
    "image_size": 32,
    "patch_size": 8,
}
"""Sizes under the names that most configurations know."""


def build(model: Model, step: Step, place: str) -> Built:
    """A model with random weights; on `meta` they are never made."""
    transformers.logging.set_verbosity_error()
    found, config_class = _classes(model.what)
    config = configured(config_class, model.config, config_class.__name__)
    if found is config_class:
        found = _headed(config_class)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype(step))
    try:
        with torch.device(place):
            module = configured(found, {"config": config}, found.__name__)
    finally:
        torch.set_default_dtype(before)
    arguments = parse(step.inputs) if step.inputs else _inputs(module, model, step)
    return Built(module, arguments, _labels(module, arguments, step), _below(module))


def small(model: Model) -> Model:
    """The model with `SMALL` sizes, those of them that its configuration knows and does not say."""
    config_class = _classes(model.what)[1]
    known = config_class()
    sizes = {name: size for name, size in SMALL.items() if isinstance(getattr(known, name, None), int)}
    return dataclasses.replace(model, config={**sizes, **model.config})


def _classes(name: str) -> tuple[Any, Any]:
    """What was named, and the class of its configuration, which may be the same."""
    found = _class(name)
    return found, found if issubclass(found, transformers.PretrainedConfig) else found.config_class


def _class(name: str) -> Any:
    by_type = transformers.CONFIG_MAPPING
    found = by_type[name] if name in by_type else getattr(transformers, name, None)
    if not isinstance(found, type) or not (
        issubclass(found, transformers.PretrainedConfig) or getattr(found, "config_class", None)
    ):
        names = [each for each in dir(transformers) if each.endswith(("Config", "Model")) or "For" in each]
        raise UsageError(
            f"transformers {transformers.__version__} has no model, configuration or model type"
            f" {name!r}{did_you_mean(name, [*names, *by_type])}"
        )
    return found


def _headed(config_class: type) -> Any:
    """The model for text where there is one, else the bare one."""
    for mapping in (transformers.MODEL_FOR_CAUSAL_LM_MAPPING, transformers.MODEL_MAPPING):
        if config_class in mapping:
            return mapping[config_class]
    raise UsageError(f"{config_class.__name__} has no model of its own; name the model's class")


def _inputs(module: Any, model: Model, step: Step) -> Arguments:
    """Tokens or pictures, whichever the model reads first."""
    config = module.config
    if module.main_input_name == "input_ids":
        tokens: dict[str, Value] = {"input_ids": TensorSpec((step.batch, step.length), "i64")}
        if config.is_encoder_decoder:
            tokens["decoder_input_ids"] = TensorSpec((step.batch, step.length), "i64")
        return Arguments((), tokens)
    size = getattr(config, "image_size", None)
    if module.main_input_name == "pixel_values" and isinstance(size, int):
        shape = (step.batch, getattr(config, "num_channels", 3), size, size)
        return Arguments((), {"pixel_values": TensorSpec(shape, "f32")})
    accepted = ", ".join(list(inspect.signature(module.forward).parameters)[:8])
    raise UsageError(
        f"what {model.source} is called with does not follow from its configuration; give its inputs, such as"
        f" \"((), {{'{module.main_input_name}': T([1, 80, 3000], f32)}})\" (it takes {accepted})"
    )


def _labels(module: Any, arguments: Arguments, step: Step) -> Arguments:
    """Labels in the shape that the head asks for; none for a model without a loss of its own."""
    if "labels" not in inspect.signature(module.forward).parameters:
        return Arguments(())
    if step.labels:
        return Arguments((), {"labels": one_tensor(step.labels)})
    name = type(module).__name__
    tokens = arguments.kwargs.get("decoder_input_ids", arguments.kwargs.get("input_ids"))
    if isinstance(tokens, TensorSpec) and name.endswith(("LM", "LMHeadModel", "Generation")):
        return Arguments((), {"labels": tokens})
    if name.endswith("Classification"):
        return Arguments((), {"labels": TensorSpec((step.batch,), "i64")})
    return Arguments(())


def _below(module: Any) -> dict[str, int]:
    """Tokens are below the size of the vocabulary; labels too, except where they are classes."""
    words = getattr(module.config.get_text_config(), "vocab_size", None)
    classes = type(module).__name__.endswith("Classification")
    bounds = {
        "input_ids": words,
        "decoder_input_ids": words,
        "labels": module.config.num_labels if classes else words,
    }
    return {name: bound for name, bound in bounds.items() if bound is not None}


def one_tensor(text: str) -> TensorSpec:
    """`T([8], i64)`, read as the text of arguments is."""
    [found] = parse(f"(({text},), {{}})").args
    if not isinstance(found, TensorSpec):
        raise UsageError(f"labels are one tensor such as T([8], i64), not {text}")
    return found
