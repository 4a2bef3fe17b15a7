"""The person's door to recording: which operators a model calls. Parses and prints; `recording` does the work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from backend_bench.cli.ending import check_writable, usage
from backend_bench.cli.options import read_config
from backend_bench.errors import UsageError, need

_UNSAID = {"autocast": False, "device": "cuda", "attention": "flash"}
"""What a step's options are where none is given."""


def trace(
    model: Annotated[
        str,
        typer.Argument(
            help="transformers:CLASS, timm:NAME, diffusers:CLASS, package.module:function,"
            " a manifest FILE.toml, or bundled"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="parquet to write; --source takes it")],
    config: Annotated[str, typer.Option("--config", help="values of its configuration, a JSON object")] = "",
    name: Annotated[str, typer.Option("--name", help="what the rows call it")] = "",
    mode: Annotated[
        list[str] | None,
        typer.Option("--mode", help="inference (the default), prefill, decode, training; may be repeated"),
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="bfloat16, float16 or float32")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="how many inputs at once")] = None,
    length: Annotated[int | None, typer.Option("--length", help="tokens; for decode, those before")] = None,
    inputs: Annotated[str, typer.Option("--inputs", help="arguments of the model, as text")] = "",
    labels: Annotated[str, typer.Option("--labels", help="labels of a training step, as text")] = "",
    autocast: Annotated[
        bool, typer.Option("--autocast", help="mixed precision: float32 and --dtype")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="cuda or cpu: whose kernels are recorded")] = "cuda",
    attention: Annotated[
        str, typer.Option("--attention", help="flash, efficient, cudnn or math, on cuda")
    ] = "flash",
) -> None:
    """Record the operators that a model calls, without its weights; the file is a --source of torchbench."""
    with usage():
        given = {"dtype": dtype, "batch": batch, "length": length, "inputs": inputs, "labels": labels}
        given |= {"autocast": autocast, "device": device, "attention": attention}
        models = _models(model, name, config, mode or [], given)
        check_writable(out)
        need("torch", "trace", "recording a model needs torch")
        from backend_bench.recording import trace as recording

        data = recording.trace(models, lambda line: print(line, file=sys.stderr))
        try:
            out.write_bytes(data)
        except OSError as problem:
            raise UsageError(f"cannot write {out}: {problem.strerror}") from None
    print(f"{out}: {len(data)} bytes; try backend-bench ops --suite torchbench --source {out}")


def _models(source: str, name: str, config: str, modes: list[str], given: dict[str, Any]) -> list[Any]:
    """The models of a manifest, or the one that the options describe."""
    from backend_bench.recording import manifest

    values = {key: value for key, value in given.items() if value not in (None, "")}
    if source == manifest.BUNDLED or source.endswith(".toml"):
        if name or config or modes or values != _UNSAID:
            raise UsageError(f"{source} says itself how its models are run; only --out goes with a manifest")
        return manifest.read(source)
    settings = read_config(config)
    steps = [manifest.step({**values, "mode": mode}) for mode in modes or ["inference"]]
    return [manifest.model(name=name, source=source, config=settings, steps=steps)]
