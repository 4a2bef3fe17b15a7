"""Which models are run, and how: read from a manifest in TOML or put together from a command line.

Imports no torch. Whether a library has such a model is for the library to say.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from backend_bench.errors import UsageError
from backend_bench.suites.near_matches import did_you_mean

Mode = Literal["inference", "prefill", "decode", "training"]
Attention = Literal["flash", "efficient", "cudnn", "math"]
Dtype = Literal["bfloat16", "float16", "float32"]

LIBRARIES = ("transformers", "timm", "diffusers")
"""Known by name; any other source is a module with a callable."""
BUNDLED = "bundled"
"""Name of the manifest that comes with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One way of running a model."""

    mode: Mode = "inference"
    """`prefill` reads a prompt into a cache, `decode` adds one token to it, `training` is a whole training step."""
    dtype: Dtype | None = None
    """Floating dtype of parameters and inputs; None: as a callable made them, bfloat16 for a library's model."""
    batch: int = 1
    """Sequences, pictures or recordings at once."""
    length: int = 512
    """Tokens of a sequence; for `decode`, those in the cache."""
    inputs: str = ""
    """Arguments of the model as text; empty: what follows from its configuration."""
    labels: str = ""
    """One tensor as text, the `labels` of a training step; empty: what follows from the model."""
    autocast: bool = False
    """Parameters in float32, and matrix products in `dtype` (mixed precision)."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Whose kernels are written down where the two have different ones."""
    attention: Attention = "flash"
    """The kernel behind `scaled_dot_product_attention` on CUDA, where it admits the arguments."""

    def __str__(self) -> str:
        return f"{self.mode}, {self.dtype or 'its own dtype'}{', autocast' if self.autocast else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model, by its configuration."""

    name: str
    """What rows call it, such as `llama-3.1-70b`."""
    source: str
    """`transformers:CLASS`, `timm:NAME`, `diffusers:CLASS`, or `package.module:function`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Values of its configuration; what is left out is the library's default."""
    facts: str = ""
    """What is known of it, for people."""
    steps: tuple[Step, ...] = (Step(),)
    """How it is run."""

    @property
    def library(self) -> str:
        """`transformers`, `timm`, `diffusers`; else the module that holds the callable."""
        return self.source.partition(":")[0]

    @property
    def what(self) -> str:
        """The part of the source that the library is asked for."""
        return self.source.partition(":")[2]


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    model: list[dict[str, Any]]


def read(path: str) -> list[Model]:
    """The models of a manifest, or of the bundled one; a `UsageError` says what is wrong where."""
    try:
        text = bundled() if path == BUNDLED else Path(path).read_text(encoding="utf-8")
        manifest = msgspec.convert(tomllib.loads(text), _Manifest)
    except OSError as problem:
        raise UsageError(f"the manifest {path} cannot be read: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as problem:
        raise UsageError(f"{path} is no manifest of models ([[model]] in TOML): {problem}") from None
    models = [_model(entry, f"{path}, model {number}") for number, entry in enumerate(manifest.model, 1)]
    names = [model.name for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{path} names {', '.join(twice)} twice; rows are told apart by the model's name")
    return models


def bundled() -> str:
    """The manifest that comes with the package, as text."""
    return resources.files(__package__).joinpath("bundled.toml").read_text(encoding="utf-8")


def step(values: Mapping[str, Any]) -> Step:
    """A step from values by name; a `UsageError` for a name or a value that there is not."""
    known = [each.name for each in dataclasses.fields(Step)]
    for name in values:
        if name not in known:
            raise UsageError(f"a step has no {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}")
    try:
        made = msgspec.convert(dict(values), Step)
    except msgspec.ValidationError as problem:
        raise UsageError(f"{problem}{_choices(problem)}") from None
    if made.batch < 1 or made.length < 1:
        raise UsageError(f"batch {made.batch} and length {made.length} have to be 1 or more")
    return made


def model(*, name: str, source: str, steps: Sequence[Step], config: Any = None, facts: str = "") -> Model:
    """A model, if it is named so that it can be looked for."""
    library, colon, what = source.partition(":")
    if not (library and colon and what):
        raise UsageError(
            f"{source!r} names no model; write transformers:LlamaForCausalLM, timm:resnet50,"
            " diffusers:UNet2DConditionModel, package.module:function, or a manifest FILE.toml"
        )
    if not isinstance(config or {}, dict):
        raise UsageError(f"the configuration of {source} has to be an object of names and values")
    if library in LIBRARIES:
        steps = [dataclasses.replace(each, dtype=each.dtype or "bfloat16") for each in steps]
    return Model(name=name or what, source=source, config=config or {}, facts=facts, steps=tuple(steps))


def _model(entry: Mapping[str, Any], where: str) -> Model:
    given = dict(entry)
    try:
        steps = [step(values) for values in given.pop("steps", [{}])]
        return model(name=given.pop("name", ""), source=given.pop("source", ""), steps=steps, **given)
    except TypeError:
        raise UsageError(f"{where}: a model has name, source, config, facts and steps, not {given}") from None
    except UsageError as problem:
        raise UsageError(f"{where}: {problem}") from None


def _choices(problem: msgspec.ValidationError) -> str:
    """msgspec says which value is wrong, and not which ones are right."""
    for name, choices in (("mode", Mode), ("dtype", Dtype), ("attention", Attention)):
        if f"$.{name}" in str(problem):
            known = get_args(get_args(choices)[0]) if type(None) in get_args(choices) else get_args(choices)
            return f"; choose {', '.join(known)}"
    return "; device is cuda or cpu" if "$.device" in str(problem) else ""
