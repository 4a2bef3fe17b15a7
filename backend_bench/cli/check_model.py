"""The person's door to a model on kernels: parses and prints; `model_check` does the work."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend_bench.cli.ending import usage, write_json
from backend_bench.cli.options import DeviceOption, device_at, read_config
from backend_bench.errors import UsageError, need
from backend_bench.submission import Device

if TYPE_CHECKING:
    from backend_bench.model_check import Check

_SHOWN = 6
"""So many tensors are printed, the worst ones; the JSON has all."""


def check_model(
    model: Annotated[
        str,
        typer.Argument(
            help="transformers:CLASS, timm:NAME, diffusers:CLASS or package.module:function, as trace takes it"
        ),
    ],
    kernels_dir: Annotated[
        Path, typer.Argument(metavar="KERNELS_DIR", help="a folder an operator, see export")
    ],
    config: Annotated[
        str,
        typer.Option(
            "--config", help="values of its configuration, a JSON object; sizes left unsaid are small"
        ),
    ] = "",
    device: DeviceOption = "auto",
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16")] = "float32",
    batch: Annotated[int, typer.Option("--batch", help="how many inputs at once")] = 2,
    length: Annotated[int, typer.Option("--length", help="tokens of a sequence")] = 32,
    inputs: Annotated[str, typer.Option("--inputs", help="arguments of the model, as text")] = "",
    labels: Annotated[str, typer.Option("--labels", help="its labels, as text")] = "",
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="largest difference, as a share of a tensor's largest value; by dtype if not given",
        ),
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", help="timed runs of each, after the first")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="of weights and inputs")] = 0,
    json_file: Annotated[
        str | None, typer.Option("--json", help="write all of it to this file; - is standard output")
    ] = None,
) -> None:
    """Run a model with random weights on the kernels of a folder and on ATen, forward and backward, and compare."""
    with usage():
        need("torch", "trace", "running a model needs torch")
        if tolerance is not None and not 0 <= tolerance < math.inf:
            raise UsageError("--tolerance must be a number from 0")
        if repeat < 1:
            raise UsageError("--repeat must be 1 or more")
        from backend_bench import model_check
        from backend_bench.recording import libraries, manifest

        step = manifest.step(
            {
                "mode": "training",
                "dtype": dtype,
                "batch": batch,
                "length": length,
                "inputs": inputs,
                "labels": labels,
            }
        )
        named = manifest.model(name="", source=model, config=read_config(config), steps=[step])
        if named.library in manifest.LIBRARIES:
            named = libraries.small(named)
        found = model_check.check(
            named,
            step,
            kernels_dir,
            device=_device(device),
            tolerance=tolerance,
            repeat=repeat,
            seed=seed,
        )
        if not found.failure and not found.served:
            raise UsageError(
                f"{model} calls none of the operators in {kernels_dir}; it calls "
                + ", ".join(each.op for each in found.called)
            )
        if json_file is not None:
            write_json(json_file, document(found))
    if json_file != "-":
        print_check(found)
    raise typer.Exit(0 if found.right else 1)


def document(found: Check) -> dict[str, Any]:
    """The JSON of a check, schema 1."""
    return {
        "schema": 1,
        "model": found.model.source,
        "config": dict(found.model.config),
        **{
            name: getattr(found, name)
            for name in ("parameters", "device", "dtype", "interpreted", "right", "failure")
        },
        "tensors": [{**dataclasses.asdict(each), "right": each.right} for each in found.compared],
        "operators": [
            {**dataclasses.asdict(each), "kernel": str(each.kernel) if each.kernel else None}
            for each in found.called
        ],
        "aten_ms": list(found.aten_ms),
        "kernels_ms": list(found.kernels_ms),
        "wrong_alone": dict(found.alone),
        "explained": dict(found.explained),
    }


def print_check(found: Check) -> None:
    """What served what, the worst tensors, the times, and which kernels are to blame."""
    from backend_bench.report.table import own_console, plain_table, printable

    console = own_console()
    served = plain_table("operator", "calls", "served", "kernel")
    for each in found.called:
        kernel = "ATen" if each.kernel is None else each.kernel.name
        served.add_row(each.op, str(each.calls), str(each.served), printable(kernel))
    tensors = plain_table("tensor", "of", "difference", "allowed")
    for row in found.compared[:_SHOWN]:
        tensors.add_row(printable(row.name), row.kind, f"{row.error:.2g}", f"{row.tolerance:.2g}")
    for table in (served, tensors):
        if table.row_count:
            console.print(table)
    for line in _summary(found):
        console.print(printable(line), highlight=False, markup=False)


def _summary(found: Check) -> list[str]:
    lines = [f"{found.model.source}, {found.parameters} parameters, {found.dtype} on {found.device}"]
    if found.failure:
        lines.append(f"failed on the kernels: {found.failure}")
    else:
        wrong = sum(not each.right for each in found.compared)
        lines.append(
            f"{len(found.compared) - wrong} of {len(found.compared)} outputs and gradients as ATen's; "
            f"kernels answered {found.served} calls"
        )
    if found.kernels_ms:
        aten, ours = statistics.median(found.aten_ms), statistics.median(found.kernels_ms)
        why = " (Triton's interpreter: says nothing)" if found.interpreted else ""
        lines.append(f"forward and backward: ATen {aten:.3g} ms, kernels {ours:.3g} ms{why}")
    for op, how in found.alone.items():
        if op in found.explained:
            lines.append(
                f"right, and not as ATen: {op}: {how}, but {found.explained[op]}: a rounding, or another choice among equals"
            )
        else:
            lines.append(f"wrong alone: {op}: {how}")
    if not found.right and not found.alone:
        lines.append("every kernel alone is within the tolerance: only together they are not")
    return lines


def _device(device: str) -> Device:
    """`cpu` or `cuda`, whichever is meant and here. Raises `UsageError`."""
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"unknown device {device!r}; choose auto, cpu or cuda")
    return device_at("local", device)
