"""What a kernel would try to get an operator that is withheld from it, and what must go on working.

Runs as a program: withholds for `relu.default` on the CPU, then tries everything, and answers with a JSON object
of what came of each: the text of the exception, or "" where there was none.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from backend_bench.worker.withheld import noted, withhold

X = torch.tensor([-1.0, 2.0])
SQUARE = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
CPU, XLA = (torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, name)) for name in ("CPU", "XLA"))
LIBRARIES: list[Any] = []


def in_thread() -> Any:
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(torch.relu(X))
        except RuntimeError as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], RuntimeError):
        raise found[0]
    return found[0]


def without_modes() -> Any:
    with _disable_current_modes():
        return torch.relu(X)


def without_dispatch_to_python() -> Any:
    with torch._C._DisableTorchDispatch():  # type: ignore[attr-defined]
        return torch.relu(X)


def below_autograd() -> Any:
    with torch._C._AutoDispatchBelowAutograd():
        return torch.relu(X)


def own_library() -> Any:
    """An implementation of its own that asks for the one before it."""
    library = torch.library.Library("aten", "IMPL")
    LIBRARIES.append(library)
    before = torch.library.get_kernel("aten::relu", "CPU")
    library.impl("relu", lambda x: before.call_boxed(CPU, x), "CPU")
    return torch.relu(X)


def library_and_back() -> Any:
    library = torch.library.Library("aten", "IMPL")
    library.impl("relu", lambda x: x, "CPU")
    library._destroy()
    return torch.relu(X)


def resets_every_library() -> Any:
    for thing in gc.get_objects():
        if type(thing).__name__ in ("_DispatchModule", "Library", "RegistrationHandleRAII"):
            for name in ("reset", "destroy", "_destroy"):
                with contextlib.suppress(AttributeError):
                    getattr(thing, name)()
    return torch.relu(X)


def static_runtime() -> Any:
    scripted = torch.jit.freeze(torch.jit.script(torch.nn.ReLU().eval()))
    return torch._C._jit_to_static_module(scripted._c)(X)  # type: ignore[attr-defined]


def scripted() -> Any:
    return torch.jit.script(torch.nn.ReLU())(X)


def traced() -> Any:
    return torch.jit.trace(torch.relu, X)(X)


def sparse() -> Any:
    return torch.sparse.mm(SQUARE.to_sparse(), SQUARE)


def sparse_by_hand() -> Any:
    where, size = torch.tensor([[0, 1], [0, 1]]), (2, 2)
    make = torch.ops.aten._sparse_coo_tensor_with_dims_and_tensors.default
    return torch.relu(make(2, 0, size, where, X, dtype=X.dtype, layout=torch.sparse_coo, device=X.device))


def quantised() -> Any:
    return torch.relu(torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)).dequantize()


def nested() -> Any:
    return torch.relu(torch.nested.nested_tensor([X, X]))


DODGES: dict[str, Callable[[], Any]] = {
    "plainly": lambda: torch.relu(X),
    "in place": lambda: X.clone().relu_(),
    "into an output": lambda: torch.ops.aten.relu.out(X, out=torch.empty(2)),
    "as a function": lambda: torch.nn.functional.relu(X),
    "as a module": lambda: torch.nn.ReLU()(X),
    "by its packet": lambda: torch.ops.aten.relu(X),
    "by its overload": lambda: torch.ops.aten.relu.default(X),
    "by its name": lambda: torch._C._jit_get_operation("aten::relu")[0](X),
    "by redispatch": lambda: torch.ops.aten.relu.default.redispatch(CPU, X),
    "by another device's keys": lambda: torch.ops.aten.linear.default.redispatch(XLA, SQUARE, SQUARE),
    "by the kernel itself": lambda: torch.library.get_kernel("aten::relu", "CPU").call_boxed(CPU, X),
    "by a reference": lambda: torch._refs.nn.functional.relu(X),
    "by a twin": lambda: torch.clamp_min(X, 0),
    "by a comparison": lambda: X * (X > 0),
    "by another library": lambda: torch.ops.mkldnn._linear_pointwise(SQUARE, SQUARE, None, "relu", [], ""),
    "by onednn": lambda: X.to_mkldnn().relu().to_dense(),
    "on another thread": in_thread,
    "without modes": without_modes,
    "without dispatch to python": without_dispatch_to_python,
    "below autograd": below_autograd,
    "with a library of its own": own_library,
    "with a library that goes": library_and_back,
    "resetting what it finds": resets_every_library,
    "by the static runtime": static_runtime,
    "scripted": scripted,
    "traced": traced,
    "with vmap": lambda: torch.vmap(torch.relu)(X),
    "sparse": sparse,
    "sparse by hand": sparse_by_hand,
    "quantised": quantised,
    "nested": nested,
    "by indexing": lambda: X[torch.tensor([1, 0])],
    "by einsum": lambda: torch.einsum("ij,jk->ik", SQUARE, SQUARE),
    "by attention": lambda: torch.nn.functional.scaled_dot_product_attention(*3 * [SQUARE[None]]),
}

C = torch.view_as_complex(torch.ones(3, 2))

FAIR: dict[str, Callable[[], Any]] = {
    "allocation": lambda: [torch.empty(2), torch.empty_like(X), X.new_empty(3), torch.empty_strided((2,), (1,))],
    "constants": lambda: [torch.zeros(2), torch.ones(2), torch.full((2,), 3.0), torch.zeros_like(C), X.clone().fill_(1)],
    "numbers in order": lambda: [torch.arange(3), torch.linspace(0, 1, 3), torch.eye(2)],
    "random numbers": lambda: [torch.rand(2), torch.randn(2), torch.randint(3, (2,))],
    "a table": lambda: torch.tensor([[1, 2], [3, 4]]),
    "views": lambda: [SQUARE.t(), SQUARE.mT, SQUARE.T, SQUARE[0], SQUARE[:, 1:], SQUARE.unflatten(0, (2, 1)), X.unfold(0, 2, 1)],
    "shapes": lambda: [SQUARE.reshape(-1), SQUARE.flatten(), X.expand(3, 2), *torch.broadcast_tensors(X, SQUARE)],
    "parts": lambda: [*X.split(1), *X.chunk(2), *X.unbind(), *X.tensor_split(2)],
    "copies": lambda: [X.clone(), SQUARE.t().contiguous(), torch.empty(2).copy_(X), SQUARE[None, None].to(memory_format=torch.channels_last)],
    "casts": lambda: [X.to(torch.bfloat16), X.half(), X.double(), X.int(), X.bool(), X.type_as(C), X.view(torch.int32)],
    "lazy signs": lambda: [C.conj().resolve_conj(), torch._neg_view(X).resolve_neg(), torch.empty_like(C).copy_(C.conj())],
    "assignment": lambda: torch.empty(4).__setitem__(slice(1, 3), X),
    "values on the host": lambda: [X[0].item(), X.tolist(), bool(X[0]), X.numpy()],
    "queries": lambda: [torch.result_type(X, 2), torch.promote_types(X.dtype, torch.int8), torch.is_floating_point(X), X.is_contiguous()],
    "a file": lambda: torch.save(X, io.BytesIO()),
}  # fmt: skip


def outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  the test judges it
        return str(error) or type(error).__name__
    return ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    withhold("relu.default", "cpu")
    with torch.no_grad():
        fair = {name: outcome(attempt) for name, attempt in FAIR.items()}
        seen_fair = noted()
        dodged = {name: outcome(attempt) for name, attempt in DODGES.items()}
    print(json.dumps({"fair": fair, "seen fair": seen_fair, "dodged": dodged, "seen": noted()}))
