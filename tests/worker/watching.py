"""What a PyTorch kernel would do with the operator under test, each way while it is watched.

Runs as a program: watches `relu.default` and then `sum.dim_IntList` on the CPU, tries every way, and answers with a
JSON object: whether what the operator computed from the input was seen to be returned.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from backend_bench.worker.watched import Watch

X = torch.tensor([[-1.0, 2.0, float("nan")], [3.0, -4.0, 0.0]])
CPU = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)


def in_thread() -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(torch.relu(X)))
    thread.start()
    thread.join()
    return found[0]


def without_modes() -> Any:
    with _disable_current_modes():
        return torch.relu(X)


def in_inference_mode() -> Any:
    with torch.inference_mode():
        return torch.relu(X)


def into_an_output_in_inference_mode() -> Any:
    out = torch.empty_like(X)
    with torch.inference_mode():
        torch.ops.aten.relu.out(X, out=out)
    return out


def touched() -> Any:
    result = torch.relu(X)
    result[1, 0].add_(1e-6)
    return result


def among_many() -> Any:
    for _ in range(100):
        torch.relu(X)
    return torch.relu(X)


class Mine(torch.Tensor):
    pass


def overwritten() -> Any:
    return torch.relu(X).mul_(3)


RELU: dict[str, tuple[Callable[[], Any], bool]] = {
    "plainly": (lambda: torch.relu(X), True),
    "on a copy": (lambda: torch.relu(X.clone()).clone(), True),
    "in another dtype": (lambda: torch.relu(X.double()).float(), True),
    "in another shape": (lambda: torch.relu(X.reshape(-1)).reshape(X.shape), True),
    "in place": (lambda: X.clone().relu_(), True),
    "into an output": (lambda: torch.ops.aten.relu.out(X, out=torch.empty_like(X)), True),
    "on another thread": (in_thread, True),
    "without modes": (without_modes, True),
    "in inference mode": (in_inference_mode, True),
    "by redispatch": (lambda: torch.ops.aten.relu.default.redispatch(CPU, X), True),
    "by its kernel": (lambda: torch.library.get_kernel("aten::relu", "CPU").call_boxed(CPU, X), True),
    "scripted": (lambda: torch.jit.script(torch.nn.ReLU())(X), True),
    "not at all": (lambda: torch.clamp_min(X, 0), False),
    "on values of its own": (lambda: torch.relu(X * 2) / 2, False),
    "as a part": (lambda: torch.relu(X) + X, False),
    "with a touch": (touched, True),
    "as a parameter": (lambda: torch.relu(torch.nn.Parameter(X)).detach(), True),
    "as a class of one's own": (lambda: torch.relu(X.as_subclass(Mine)).as_subclass(torch.Tensor), True),
    "into an output in inference mode": (into_an_output_in_inference_mode, True),
    "among many": (among_many, True),
    "and worked on": (overwritten, False),
    "for nothing": (lambda: (torch.relu(X), torch.clamp_min(X, 1))[1], False),
}


def mean_in_inference_mode() -> Any:
    with torch.inference_mode():
        return X.mean(1) * 3


SUM: dict[str, tuple[Callable[[], Any], bool]] = {
    "a sum": (lambda: torch.sum(X, 1), True),
    "a sum by einsum": (lambda: torch.einsum("ij->i", X), True),
    "a mean, in which ATen sums": (lambda: X.mean(1) * 3, False),
    "a mean in inference mode": (mean_in_inference_mode, False),
    "a product": (lambda: X @ torch.ones(3), False),
}
ROUND: dict[str, tuple[Callable[[], Any], bool]] = {
    "to a decimal place": (lambda: torch.round(X, decimals=0), True),
    "as whole numbers": (lambda: torch.round(X), False),
    "by a factor": (lambda: torch.round(X * 1.0) / 1.0, False),
}
RECIPROCAL: dict[str, tuple[Callable[[], Any], bool]] = {
    "as an expression": (lambda: 1.0 / X, False),
    "by name": (lambda: torch.reciprocal(X) * 1.0, True),
}
SCALED: dict[str, Callable[[], Any]] = {
    "a number on the right": lambda: torch.mul(X, 2.5),
    "a number on the left": lambda: 3 * torch.tensor(2),
    "a whole number and a half": lambda: torch.tensor([1, 2]) * 0.5,
    "a truth value": lambda: torch.tensor([1, 2]) * True,
}
"""Numbers in the place of tensors, which the dispatcher hands on as numbers."""


def seen(watch: Watch, way: Callable[[], Any]) -> bool:
    watch.begin([X])
    return any(call.returned for call in watch.end(way()))


def described(result: torch.Tensor) -> list[Any]:
    return [str(result.dtype), torch.nan_to_num(result).tolist()]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with torch.no_grad():
        before = {name: described(way()) for name, way in SCALED.items()}
        relu = Watch("relu.default", "cpu")
        answers = {name: seen(relu, way) for name, (way, _) in RELU.items()}
        total = Watch("sum.dim_IntList", "cpu")
        answers |= {name: seen(total, way) for name, (way, _) in SUM.items()}
        places = Watch("round.decimals", "cpu")
        answers |= {name: seen(places, way) for name, (way, _) in ROUND.items()}
        upside_down = Watch("reciprocal.default", "cpu")
        answers |= {name: seen(upside_down, way) for name, (way, _) in RECIPROCAL.items()}
        Watch("mul.Tensor", "cpu").begin([X])
        after = {name: described(way()) for name, way in SCALED.items()}
    print(json.dumps({"seen": answers, "before": before, "after": after}))
