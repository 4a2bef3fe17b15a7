"""What torch.compile writes for an operator, as one Triton kernel file: `python -m backend_bench.writers.inductor`.

Reads {"op", "cases"} as JSON and answers {"code", "words"}. Inductor is asked once for each form that the cases have
(dtypes, ranks, sizes of 0 and 1, and whatever is no tensor), with sizes left open, and stopped before it compiles. So no
GPU is needed: its back end for a CPU writes the same Triton, with the blocks that its heuristics choose first. It does not tune, and
an operator for which Inductor calls ATen gets no file. Uses parts of torch that have no promise (seen with 2.13).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

import torch

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.suites import resolve
from backend_bench.suites.arguments import TensorSpec, parse
from backend_bench.suites.calls import build, dtype_of, tensors_of
from backend_bench.writers.kernel_file import Form, Launch, NoKernel, Operation, assemble, kernels_of

MOST_FORMS = 24
"""So many kernels a file, the first cases' own; each costs seconds and a few thousand characters."""


class _Written(BaseException):
    """Inductor has written its code; nothing more is wanted of it. No handler of torch's may hold it."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code


def write(op: Operator, cases: Sequence[str]) -> tuple[str | None, str]:
    """The file, or none, and a sentence about it. Raises `UsageError` for an operator that torch does not have."""
    overload = resolve(op)
    forms: dict[str, Form] = {}
    refused: list[str] = []
    seen: set[str] = set()
    for call in _calls(overload, cases):
        if len(forms) == MOST_FORMS or _kind(call) in seen:
            continue
        seen.add(_kind(call))
        try:
            form = _form(overload, call, len(forms))
        except NoKernel as error:
            refused.append(str(error))
            continue
        forms.setdefault(form.pattern, form)
    if not forms:
        why = refused[0] if refused else "the prompt shows no arguments to compile for"
        return None, f"torch.compile has no Triton kernel for `{op}`: {why}."
    note = f" {len(refused)} of its cases are left out: {refused[0]}." if refused else ""
    words = f"This is what torch.compile of torch {torch.__version__} writes, for {len(forms)} forms of arguments.{note}"
    return assemble(_operation(op, overload), list(forms.values())), words


def _calls(overload: torch._ops.OpOverload, cases: Sequence[str]) -> Iterator[Call]:
    """The cases, the largest first: Inductor chooses blocks by the sizes that it sees."""

    def empty(spec: TensorSpec) -> torch.Tensor:
        return torch.empty(spec.shape, dtype=dtype_of(spec.dtype))  # contiguous, as the file will make it

    calls = [_in_order(overload, build(parse(text), empty)) for text in cases]
    yield from sorted(calls, key=lambda call: -sum(tensor.numel() for tensor in tensors_of(call)))


def _in_order(overload: torch._ops.OpOverload, call: Call) -> Call:
    """The call with every argument of the schema, in its order."""
    arguments = overload._schema.arguments
    bound = {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}
    bound |= dict(zip((argument.name for argument in arguments), call.args, strict=False)) | dict(call.kwargs)
    by_name = {argument.name for argument in arguments if argument.kwarg_only}
    return Call(
        tuple(bound[argument.name] for argument in arguments if argument.name not in by_name),
        {argument.name: bound[argument.name] for argument in arguments if argument.name in by_name},
    )


def _kind(call: Call) -> str:
    """What calls have in common whose code should be the same, whatever their other sizes."""

    def told(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return f"{value.dtype}{[size if size < 2 else '*' for size in value.shape]}"
        return value

    return repr(torch.fx.node.map_aggregate((call.args, call.kwargs), told))


def _operation(op: Operator, overload: torch._ops.OpOverload) -> Operation:
    schema = overload._schema
    written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return Operation(
        name=str(op),
        function=op.function,
        arguments=tuple(a.name for a in schema.arguments),
        defaults={a.name: repr(a.default_value) for a in schema.arguments if a.has_default_value()},
        results=len(schema.returns),
        written=tuple(written),
        returns_written=bool(schema.returns) and schema.returns[0].alias_info is not None,
    )


def _form(overload: torch._ops.OpOverload, call: Call, number: int) -> Form:
    """Inductor's code for one call. Raises `NoKernel`."""
    code = _code(overload, call)
    launches = [_launch(name, source) for name, source in kernels_of(code)]
    tensors = [(str(tensor.dtype), tuple(tensor.shape)) for tensor in tensors_of(call)]
    return Form.of(number, code, launches, tensors, [*call.args, *call.kwargs.values()])


def _code(overload: torch._ops.OpOverload, call: Call) -> str:
    from torch._inductor import config
    from torch._inductor.graph import GraphLowering
    from torch.fx.experimental import _config as symbols

    def stop(code: str) -> NoReturn:
        raise _Written(code)

    torch._dynamo.reset()
    tensors = list(tensors_of(call))
    patched = mock.patch.object(GraphLowering, "save_output_code", staticmethod(stop))
    inductor = config.patch(cpu_backend="triton", fallback_random=True)
    try:
        with patched, inductor, mock.patch.object(symbols, "use_duck_shape", False):
            torch.compile(_graph(overload, call), dynamic=True)(*tensors)
    except _Written as written:
        return written.code
    except Exception as error:
        raise NoKernel(f"it fails with {type(error).__name__}") from error
    raise NoKernel("it compiles nothing")


def _graph(overload: torch._ops.OpOverload, call: Call) -> torch.fx.GraphModule:
    """The call with a placeholder for each tensor and everything else as a constant."""
    graph = torch.fx.Graph()
    nodes = {id(tensor): graph.placeholder(f"input_{at}") for at, tensor in enumerate(tensors_of(call))}

    def node(value: Any) -> Any:
        return nodes[id(value)] if isinstance(value, torch.Tensor) else value

    args = torch.fx.node.map_aggregate(call.args, node)
    kwargs = torch.fx.node.map_aggregate(call.kwargs, node)
    graph.output(graph.call_function(overload, args, kwargs))
    return torch.fx.GraphModule(torch.nn.Module(), graph)


def _launch(name: str, source: str) -> Launch:
    """A kernel with the first of the configurations that Inductor's heuristics name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.py"  # Triton reads a function back from its file
        file.write_text(source.replace("triton_helpers.set_driver_to_cpu()", ""))
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    kernel = getattr(module, name)
    config = kernel.configs[0]
    blocks = {block: size for block, size in config.kwargs.items() if block in kernel.fn.arg_names}
    return Launch(name, source, blocks, config.num_warps, config.num_stages)


def _pretend_a_gpu() -> None:
    """Inductor asks Triton which device it writes for, and takes no for no answer."""
    import triton
    from triton.backends.compiler import GPUTarget

    target = GPUTarget("cuda", 90, 32)
    device = torch.device("cpu")
    active = SimpleNamespace(get_current_target=lambda: target, get_active_torch_device=lambda: device)
    triton.runtime.driver.set_active(active)


def main() -> None:
    """Answer one request."""
    warnings.simplefilter("ignore")
    logging.disable()
    request = json.load(sys.stdin)
    _pretend_a_gpu()
    try:
        code, words = write(Operator.from_folder(request["folder"]), request["cases"])
    except UsageError as error:
        code, words = None, str(error)
    json.dump({"code": code, "words": words}, sys.stdout)


if __name__ == "__main__":
    main()
