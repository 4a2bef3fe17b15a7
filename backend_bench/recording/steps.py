"""Runs a model once in the way of a step: one forward pass, a prompt and a token, or a whole training step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own custom)
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.recording.manifest import Step
from backend_bench.recording.recorder import Recorder

Run = Callable[..., Any]

_LARGEST_NORM = 1.0
"""Of all gradients together, before they are applied; the value is common and changes no call."""


def run(model: Run, call: Call, extra: Call, step: Step, recorder: Recorder) -> None:
    """The step under the recorder; what only prepares it is not heard."""
    if isinstance(model, torch.nn.Module):
        model.train(step.mode == "training")
    if step.mode == "training":
        _training(model, call, extra, step, recorder)
        return
    with torch.no_grad(), _precision(step):
        match step.mode:
            case "prefill":
                _heard(model, _prompted(model, call), recorder)
            case "decode":
                _heard(model, _continued(model, call), recorder)
            case _:
                _heard(model, call, recorder)


def _heard(model: Run, call: Call, recorder: Recorder) -> Any:
    with recorder:
        return model(*call.args, **call.kwargs)


def _precision(step: Step) -> torch.autocast:
    dtype = getattr(torch, step.dtype or "bfloat16")
    return torch.autocast("cpu", dtype=dtype, enabled=step.autocast)


# ---- text, one token after the other -------------------------------------------------------------


def _prompted(model: Run, call: Call) -> Call:
    """The call that reads a prompt: it fills the cache, and scores the last token only."""
    accepted = _accepted(model)
    if not {"use_cache", "past_key_values", "cache_params"} & set(accepted):
        raise UsageError(f"{type(model).__name__} keeps no cache; use mode inference")
    kept = {"use_cache": True, "logits_to_keep": 1}
    return Call(call.args, call.kwargs | {name: value for name, value in kept.items() if name in accepted})


def _continued(model: Run, call: Call) -> Call:
    """The call for one more token, after a prompt that nobody listens to."""
    prompted = _prompted(model, call)
    cached = model(*prompted.args, **prompted.kwargs)
    tokens = "decoder_input_ids" if "decoder_input_ids" in call.kwargs else "input_ids"
    kwargs: dict[str, Any] = {tokens: _one_token(call.kwargs[tokens])}
    for name in ("past_key_values", "cache_params"):
        if getattr(cached, name, None) is not None and name in _accepted(model):
            kwargs[name] = getattr(cached, name)
    if tokens == "decoder_input_ids":
        kwargs["encoder_outputs"] = (cached.encoder_last_hidden_state,)
    return Call((), kwargs | {"use_cache": True})


def _one_token(tokens: Tensor) -> Tensor:
    return torch.empty((tokens.shape[0], 1), dtype=tokens.dtype)


def _accepted(model: Run) -> list[str]:
    forward = getattr(model, "forward", model)
    return list(inspect.signature(forward).parameters)


# ---- a training step -----------------------------------------------------------------------------


def _training(model: Run, call: Call, extra: Call, step: Step, recorder: Recorder) -> None:
    """Forward, backward, and the update: AdamW with gradients clipped, one parameter at a time."""
    given = dict(extra.kwargs)
    target = given.pop("target", None)
    with recorder, _precision(step):
        outputs = model(*call.args, **call.kwargs, **given)
        starts = ends(outputs, target)
    if not starts:
        raise UsageError(
            f"{type(model).__name__} returns nothing that depends on a parameter: it cannot be trained"
        )
    gradients = [torch.ones_like(end) for end in starts]
    recorder.phase = "backward"
    with recorder:
        torch.autograd.backward(starts, gradients)
    recorder.phase = "update"
    if isinstance(model, torch.nn.Module):
        _update(model, recorder)


def ends(outputs: Any, target: Tensor | None) -> list[Tensor]:
    """Where the backward pass starts: at the loss, if there is one, else at every output that has a gradient."""
    loss = getattr(outputs, "loss", None)
    if isinstance(loss, Tensor):
        return [loss]
    if target is not None and isinstance(outputs, Tensor):
        return [F.cross_entropy(outputs, target)]
    return [tensor for tensor in _tensors(outputs) if tensor.requires_grad]


def _update(model: torch.nn.Module, recorder: Recorder) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    optimizer = torch.optim.AdamW(trained, foreach=False)
    with recorder:
        torch.nn.utils.clip_grad_norm_(trained, _LARGEST_NORM, foreach=False)
        optimizer.step()


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, dict):
        yield from _tensors(list(outputs.values()))
    elif isinstance(outputs, tuple | list):
        for item in outputs:
            yield from _tensors(item)
