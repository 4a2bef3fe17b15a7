"""What torch.compile writes for an operator, as one Triton kernel file: `python -m backend_bench.writers.inductor`.

Reads {"op", "cases"} as JSON and answers {"code", "words"}. Inductor is asked once for each form that the cases have
(dtypes, ranks, sizes of 0 and 1, and whatever is neither tensor nor number), with sizes and numbers left open, and stopped before it
compiles; and for the simple form into which calls of any other form are brought, where there is one (`simple`). So no
GPU is needed: its back end for a CPU writes the same Triton, with the blocks that its heuristics choose first. It does not tune, and
an operator for which Inductor calls ATen gets no file. Uses parts of torch that have no promise (seen with 2.13).
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest import mock

import torch

from backend_bench.cases import Call
from backend_bench.errors import UsageError
from backend_bench.grading.choices import arguments, call_of
from backend_bench.operator import Operator
from backend_bench.suites import resolve
from backend_bench.suites.arguments import TensorSpec, parse
from backend_bench.suites.calls import build, dtype_of, tensors_of
from backend_bench.writers.kernel_file import (
    OPEN,
    Form,
    Launch,
    NoKernel,
    Operation,
    Real,
    assemble,
    kernels_of,
)
from backend_bench.writers.simple import family_of, is_open, simplified, takes_dims

MOST_FORMS, MOST_SIMPLE = 24, 24
"""So many kernels a file, the first cases' own, and so many for their simple forms; each costs a second and some thousand characters."""


class _Written(BaseException):
    """Inductor has written its code; nothing more is wanted of it. No handler of torch's may hold it."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code


def write(op: Operator, cases: Sequence[str]) -> tuple[str | None, str]:
    """The file, or none, and a sentence about it. Raises `UsageError` for an operator that torch does not have."""
    overload = resolve(op)
    refused: list[str] = []
    calls = list(_calls(overload, cases))
    forms = _forms(overload, ((call, False) for call in calls), MOST_FORMS, 0, refused)
    told = list(refused)
    simple = ((each, True) for call in calls for each in simplified(overload, call))
    general = _forms(overload, simple, MOST_SIMPLE, len(forms), refused)
    if not forms and not general:
        why = refused[0] if refused else "the prompt shows no arguments to compile for"
        return None, f"torch.compile has no Triton kernel for `{op}`: {why}."
    others = f", and for {len(general)} into which others are brought" if general else ""
    note = f" {len(told)} forms of its cases are left out: {told[0]}." if told else ""
    written = f"This is what torch.compile of torch {torch.__version__} writes"
    words = f"{written}, for {len(forms)} forms of arguments{others}.{note}"
    return assemble(_operation(op, overload), forms, general), words


def _forms(
    overload: torch._ops.OpOverload,
    calls: Iterable[tuple[Call, bool]],
    most: int,
    first: int,
    refused: list[str],
) -> list[Form]:
    """The code for calls of different kinds, with numbers left open where that is asked for and there is such code; `refused` gets why
    there is none for some."""
    forms: dict[str, Form] = {}
    failed: set[str] = set()
    for call, with_open in calls:
        closed = _closed(call)
        for values in (_opened(overload, call), closed) if with_open else (closed,):
            kind = _kind(values)
            if len(forms) == most or kind in forms:
                break
            if kind in failed:
                continue
            try:
                forms[kind] = _form(overload, call, values, first + len(forms))
                break
            except NoKernel as error:
                failed.add(kind)
                if values is closed:
                    refused.append(str(error))
    return list(forms.values())


def _calls(overload: torch._ops.OpOverload, cases: Sequence[str]) -> Iterator[Call]:
    """The cases, the largest first: Inductor chooses blocks by the sizes that it sees."""

    def empty(spec: TensorSpec) -> torch.Tensor:
        return torch.empty(spec.shape, dtype=dtype_of(spec.dtype))  # contiguous, as the file will make it

    built = (build(parse(text), empty) for text in cases)
    calls = [
        call_of(overload, arguments(overload, call)) for call in built
    ]  # with defaults, in the schema's order
    yield from sorted(calls, key=lambda call: -sum(tensor.numel() for tensor in tensors_of(call)))


@dataclass(frozen=True, slots=True)
class _Number:
    """An argument that is left open."""

    kind: type
    traced: int | float
    """What torch sees in its place: 0 and 1 it takes for constants, and of floats it makes constants at times."""


def _kind(values: Sequence[Any]) -> str:
    """What calls have in common whose code should be the same, whatever their other sizes and open numbers."""

    def told(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return f"{value.dtype}{[size if size < 2 else '*' for size in value.shape]}"
        return value.kind if isinstance(value, _Number) else value

    return repr(torch.fx.node.map_aggregate(list(values), told))


def _closed(call: Call) -> list[Any]:
    """All arguments in their order."""
    return [*call.args, *call.kwargs.values()]


def _opened(overload: torch._ops.OpOverload, call: Call) -> list[Any]:
    """The same with numbers left open. To Triton a float is one of 32 bits, so none is beside a tensor of 64."""
    dtypes = {tensor.dtype for tensor in tensors_of(call)}
    unlike = itertools.count(3, 2)

    def opened(value: int | float) -> _Number | float:
        if torch.float64 in dtypes:
            return value if isinstance(value, float) else _Number(int, next(unlike))
        if all(dtype.is_floating_point for dtype in dtypes):
            return _Number(Real, next(unlike))
        return _Number(type(value), next(unlike) if isinstance(value, int) else value)

    return [
        opened(value) if is_open(overload, name, value) else value
        for name, value in arguments(overload, call).items()
    ]


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
        family=family_of(overload),
        dims=takes_dims(overload),
    )


def _form(overload: torch._ops.OpOverload, call: Call, values: Sequence[Any], number: int) -> Form:
    """Inductor's code for one call. Raises `NoKernel`."""
    code = _code(_graph(overload, call, values), _inputs(values))
    launches = [_launch(name, source) for name, source in kernels_of(code)]
    given = [
        leaf.kind if isinstance(leaf, _Number) else (str(leaf.dtype), tuple(leaf.shape))
        for leaf in _inputs(values)
    ]
    marked = [OPEN if isinstance(value, _Number) else value for value in values]
    return Form.of(number, code, launches, given, marked)


def _inputs(values: Sequence[Any]) -> list[Any]:
    """Tensors and open numbers, in the order in which Dynamo finds them and a form takes them: arguments first, then what is in lists."""
    inside = [item for value in values if isinstance(value, (list, tuple)) for item in value]
    return [value for value in (*values, *inside) if isinstance(value, (torch.Tensor, _Number))]


def _code(graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> str:
    from torch._dynamo import config as dynamo
    from torch._inductor import config
    from torch._inductor.graph import GraphLowering
    from torch.fx.experimental import _config as symbols

    def stop(code: str) -> NoReturn:
        raise _Written(code)

    torch._dynamo.reset()
    given = [each.traced if isinstance(each, _Number) else each for each in inputs]
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(GraphLowering, "save_output_code", staticmethod(stop)))
        patches.enter_context(mock.patch.object(symbols, "use_duck_shape", False))
        patches.enter_context(config.patch(cpu_backend="triton", fallback_random=True))
        patches.enter_context(
            dynamo.patch(specialize_float=False, specialize_int=False, assume_static_by_default=False)
        )
        try:
            torch.compile(graph, dynamic=True)(*given)
        except _Written as written:
            return written.code
        except Exception as error:
            raise NoKernel(f"it fails with {type(error).__name__}") from error
    raise NoKernel("it compiles nothing")


def _graph(overload: torch._ops.OpOverload, call: Call, values: Sequence[Any]) -> torch.fx.GraphModule:
    """The call with a placeholder for each tensor and open number, and everything else as a constant."""
    graph = torch.fx.Graph()
    placeholders = {id(leaf): graph.placeholder(f"input_{at}") for at, leaf in enumerate(_inputs(values))}

    def node(value: Any) -> Any:
        return placeholders.get(id(value), value) if isinstance(value, (torch.Tensor, _Number)) else value

    nodes = torch.fx.node.map_aggregate(list(values), node)
    by_name = dict(zip(call.kwargs, nodes[len(call.args) :], strict=True))
    graph.output(graph.call_function(overload, tuple(nodes[: len(call.args)]), by_name))
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
