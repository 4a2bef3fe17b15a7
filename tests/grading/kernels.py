"""Labelled kernels: for each operator right re-implementations and wrong ones.

Right ones differ from ATen in the order of summation, in inner precision or in formula. Wrong ones are
what models write: constants, a neighbouring mode, a forgotten argument, a tail left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from backend_bench.cases import Call

aten = torch.ops.aten
Kernel = Callable[..., Any]
SHAPE = (9, 40)


@dataclass(frozen=True)
class Labelled:
    """One operator, its calls and its labelled kernels."""

    op: Any
    calls: Callable[[torch.dtype], Iterable[Call]]
    right: dict[str, Kernel] = field(default_factory=dict)
    wrong: dict[str, Kernel] = field(default_factory=dict)
    float32_only_wrong: dict[str, Kernel] = field(default_factory=dict)
    """Wrong by less than a bfloat16 step: only float32 draws have to tell."""


def values(dtype: torch.dtype, *shape: int, size: float = 2.0) -> Tensor:
    """Signed values; the global generator is seeded by the test."""
    return (torch.randn(shape, dtype=torch.float64) * size).to(dtype)


def f64(function: Kernel) -> Kernel:
    """Float64 inside, rounded once."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        dtype = next(a.dtype for a in flat(args) if isinstance(a, Tensor))
        return function(*_cast(args, torch.float64), **kwargs).to(dtype)

    return kernel


def f32(function: Kernel) -> Kernel:
    """Float32 inside, rounded once."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        dtype = next(a.dtype for a in flat(args) if isinstance(a, Tensor))
        return function(*_cast(args, torch.float32), **kwargs).to(dtype)

    return kernel


def bf16_inside(op: Any) -> Kernel:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        dtype = next(a.dtype for a in flat(args) if isinstance(a, Tensor))
        return op(*_cast(args, torch.bfloat16), **kwargs).to(dtype)

    return kernel


def fp16_inside(op: Any) -> Kernel:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        dtype = next(a.dtype for a in flat(args) if isinstance(a, Tensor))
        return op(*_cast(args, torch.float16), **kwargs).to(dtype)

    return kernel


def flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(item, dtype) for item in value)
    return value


def like(op: Any, change: Callable[[Tensor], Tensor]) -> Kernel:
    """The right result with its tensors changed."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        result = op(*args, **kwargs)
        if isinstance(result, (list, tuple)):
            return tuple(change(leaf) for leaf in result)
        return change(result)

    return kernel


def _tail(result: Tensor) -> Tensor:
    """The last element was never written."""
    changed = result.clone()
    if changed.numel():
        changed.view(-1)[-1] = 7 if not changed.dtype.is_floating_point else 123.0
    return changed


def _column(result: Tensor) -> Tensor:
    changed = result.contiguous().clone()
    if changed.dim():
        changed[..., -1] = 0
    return changed


class Sub(Tensor):
    """A tensor that is not plain."""


def trivial(op: Any) -> dict[str, Kernel]:
    """Wrong for every operator that computes something."""
    return {
        "zeros": like(op, torch.zeros_like),
        "ones": like(op, torch.ones_like),
        "not plain": like(op, lambda t: t.as_subclass(Sub)),
        "another shape": like(op, lambda t: t.unsqueeze(0)),
        "another dtype": like(
            op, lambda t: t.to(torch.float64 if t.dtype != torch.float64 else torch.float32)
        ),
        "the tail": like(op, _tail),
        "the first input": lambda *args, **kwargs: flat(args)[0].clone(),
    }


# ------------------------------------------------------------------------------------ formulas


def unary(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((values(dtype, *SHAPE),))
    yield Call((values(dtype, 40, 9, size=0.5).t(),))


def positive(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((values(dtype, *SHAPE).abs() + 0.1,))


def binary(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((values(dtype, *SHAPE), values(dtype, *SHAPE)))
    yield Call((values(dtype, *SHAPE), values(dtype, 1, 40)))


def with_alpha(dtype: torch.dtype) -> Iterable[Call]:
    for call in binary(dtype):
        yield Call(call.args, {"alpha": 0.37})


def halves(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((values(dtype, *SHAPE, size=10.0),))
    yield Call(((torch.arange(-20, 20) / 2).to(dtype),))


def rows(*rest: Any) -> Callable[[torch.dtype], Iterable[Call]]:
    def calls(dtype: torch.dtype) -> Iterable[Call]:
        yield Call((values(dtype, *SHAPE), *rest))
        yield Call((values(dtype, 3, 700), *rest))

    return calls


def matrices(*shapes: tuple[int, ...]) -> Callable[[torch.dtype], Iterable[Call]]:
    def calls(dtype: torch.dtype) -> Iterable[Call]:
        yield Call(tuple(values(dtype, *shape) for shape in shapes))

    return calls


def chunked_sum(x: Tensor, dims: Any, keepdim: bool = False, **_: Any) -> Tensor:
    wide = x.float()
    total = sum(part.sum(dims, keepdim=True) for part in wide.split(7, dim=1))
    assert isinstance(total, Tensor)
    return (total if keepdim else total.squeeze(dims)).to(x.dtype)


def summed_in_order(rows: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sums of the last dimension, one term after the other."""
    total = torch.zeros(rows.shape[:-1], dtype=dtype)
    for column in rows.unbind(-1):
        total = total + column
    return total


def sequential_sum(x: Tensor, dims: Any, keepdim: bool = False, **_: Any) -> Tensor:
    total = summed_in_order(x.float())
    return (total.unsqueeze(1) if keepdim else total).to(x.dtype)


def sequential_mm(a: Tensor, b: Tensor) -> Tensor:
    total = torch.zeros(a.shape[0], b.shape[1], dtype=torch.float32)
    for k in range(a.shape[1]):
        total = total + a[:, k : k + 1].float() * b[k : k + 1].float()
    return total.to(a.dtype)


def reversed_mm(a: Tensor, b: Tensor) -> Tensor:
    return (a.float().flip(1) @ b.float().flip(0)).to(a.dtype)


def tf32(x: Tensor) -> Tensor:
    """Round to ten bits of mantissa, as tensor cores do."""
    raw = x.float().contiguous().view(torch.int32)
    return ((raw + 0x1000) & ~0x1FFF).view(torch.float32)


def softmax(x: Tensor, dim: int, _half: bool = False) -> Tensor:
    wide = x.float()
    shifted = wide - wide.amax(dim, keepdim=True)
    powers = torch.exp2(shifted * math.log2(math.e))
    return (powers / powers.sum(dim, keepdim=True)).to(x.dtype)


def log_softmax(x: Tensor, dim: int, _half: bool = False) -> Tensor:
    wide = x.float()
    shifted = wide - wide.amax(dim, keepdim=True)
    return (shifted - shifted.exp().sum(dim, keepdim=True).log()).to(x.dtype)


def layer_norm(x: Tensor, shape: Any, w: Any, b: Any, eps: float, *, one_pass: bool = False) -> Any:
    wide = x.float()
    mean = wide.mean(-1, keepdim=True)
    if one_pass:
        var = (wide * wide).mean(-1, keepdim=True) - mean * mean
    else:
        var = ((wide - mean) ** 2).mean(-1, keepdim=True)
    rstd = 1 / torch.sqrt(var + eps)
    y = (wide - mean) * rstd * w.float() + b.float()
    kept = aten.native_layer_norm(x, shape, w, b, eps)[1].dtype
    return y.to(x.dtype), mean.to(kept), rstd.to(kept)


def layer_calls(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((values(dtype, *SHAPE), [40], values(dtype, 40), values(dtype, 40), 1e-5))
    yield Call((values(dtype, 5, 30, size=1e-2), [30], values(dtype, 30), values(dtype, 30), 1e-4))


def gelu_erf(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x * 0.7071067811865476))


def gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def tanh_by_exp(x: Tensor) -> Tensor:
    return 1 - 2 / (torch.exp(2 * x) + 1)


def half_up(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5)


def norm(x: Tensor, ord_: float = 2, dims: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    return torch.sqrt((x * x).sum(dims, keepdim=keepdim))


def clobber(op: Any) -> Kernel:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        result = op(*args, **kwargs)
        args[0].add_(1)
        return result

    return kernel


def conv_by_unfold(x: Tensor, w: Tensor, b: Tensor, *_: Any) -> Tensor:
    n, _c, h, width = x.shape
    columns = torch.nn.functional.unfold(x.float(), w.shape[2:], padding=1)
    y = w.float().flatten(1) @ columns + b.float().view(1, -1, 1)
    return y.view(n, w.shape[0], h, width).to(x.dtype)


def conv_calls(dtype: torch.dtype) -> Iterable[Call]:
    x, w, b = values(dtype, 2, 6, 9, 9), values(dtype, 5, 6, 3, 3), values(dtype, 5)
    yield Call((x, w, b, [1, 1], [1, 1], [1, 1], False, [0, 0], 1))


def scatter_calls(dtype: torch.dtype) -> Iterable[Call]:
    index = torch.randint(9, (9, 40))
    yield Call((values(dtype, 9, 40), 0, index, values(dtype, 9, 40)))


def scatter_add_loop(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    result = x.float().clone()
    for row in reversed(range(index.shape[0])):
        result.scatter_add_(dim, index[row : row + 1], src[row : row + 1].float())
    return result.to(x.dtype)


def index_calls(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((values(dtype, *SHAPE), 0, torch.randint(9, (12,))))


def ties(dtype: torch.dtype) -> Tensor:
    return torch.randint(-3, 4, SHAPE).to(dtype)


def last_argmax(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    size = x.shape[dim]
    return size - 1 - x.flip(dim).argmax(dim, keepdim=keepdim)


def inplace_without(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return torch.add(x, *args, **kwargs)


def add_inplace(x: Tensor, y: Tensor, alpha: float = 1) -> Tensor:
    return x.copy_((x.double() + alpha * y.double()).to(x.dtype))


def pools(dtype: torch.dtype) -> Iterable[Call]:
    yield Call((torch.randint(-2, 3, (2, 3, 8, 8)).to(dtype), [2, 2]))
    yield Call((values(dtype, 2, 3, 8, 8), [3, 3], [2, 2], [1, 1]))


def pool_last(x: Tensor, kernel: Any, stride: Any = (), padding: Any = 0) -> Any:
    """Max pooling that takes the last of equal values."""
    pad, step = (padding[0] if padding else 0), (stride[0] if stride else kernel[0])
    wide = torch.nn.functional.pad(x.float(), [pad] * 4, value=-math.inf)
    places = torch.arange(x.shape[2] * x.shape[3]).view(1, 1, *x.shape[2:]).expand(x.shape)
    places = torch.nn.functional.pad(places.contiguous(), [pad] * 4, value=-1)
    windows = wide.unfold(2, kernel[0], step).unfold(3, kernel[1], step).flatten(-2)
    where = places.unfold(2, kernel[0], step).unfold(3, kernel[1], step).flatten(-2)
    best = last_argmax(windows, -1, True)
    return windows.gather(-1, best).squeeze(-1).to(x.dtype), where.gather(-1, best).squeeze(-1)


TABLE = [
    Labelled(
        aten.relu.default,
        unary,
        {
            "where": lambda x: torch.where((x > 0) | x.isnan(), x, 0.0),
            "clamp": lambda x: x.clamp(min=0),
        },
        {
            **trivial(aten.relu.default),
            "NaN swallowed": lambda x: torch.where(x > 0, x, 0.0),
            "abs": torch.abs,
            "clobbered": clobber(torch.relu),
            "in place": torch.relu_,
        },
        {"bf16 inside": bf16_inside(torch.relu)},
    ),
    Labelled(aten.abs.default, unary, {"max": lambda x: torch.maximum(x, -x)}, trivial(aten.abs.default)),
    Labelled(
        aten.exp.default,
        unary,
        {"exp2": f32(lambda x: torch.exp2(x * 1.4426950408889634)), "f64": f64(torch.exp)},
        {**trivial(aten.exp.default), "expm1": torch.expm1, "exp2": torch.exp2},
        {"bf16 inside": bf16_inside(torch.exp), "fp16 inside": fp16_inside(torch.exp)},
    ),
    Labelled(
        aten.tanh.default,
        unary,
        {"by exp": f32(tanh_by_exp), "f64": f64(torch.tanh)},
        {**trivial(aten.tanh.default), "hardtanh": lambda x: x.clamp(-1, 1), "atan": torch.atan},
        {"bf16 inside": bf16_inside(torch.tanh)},
    ),
    Labelled(
        aten.sigmoid.default,
        unary,
        {
            "by exp": f32(lambda x: 1 / (1 + torch.exp(-x))),
            "by tanh": f64(lambda x: 0.5 * torch.tanh(x / 2) + 0.5),
        },
        {
            **trivial(aten.sigmoid.default),
            "half": like(torch.sigmoid, lambda t: torch.full_like(t, 0.5)),
        },
        {"bf16 inside": bf16_inside(torch.sigmoid)},
    ),
    Labelled(
        aten.gelu.default,
        unary,
        {"erf in f32": f32(gelu_erf), "erf in f64": f64(gelu_erf)},
        {**trivial(aten.gelu.default), "tanh": f32(gelu_tanh), "silu": torch.nn.functional.silu},
    ),
    Labelled(
        aten.gelu.default,
        lambda dtype: [Call(c.args, {"approximate": "tanh"}) for c in unary(dtype)],
        {"tanh": f32(lambda x, approximate: gelu_tanh(x))},
        {"erf": f32(lambda x, approximate: gelu_erf(x))},
    ),
    Labelled(
        aten.silu.default,
        unary,
        {"divided": f32(lambda x: x / (1 + torch.exp(-x)))},
        {**trivial(aten.silu.default), "gelu": torch.nn.functional.gelu},
    ),
    Labelled(
        aten.sin.default,
        unary,
        {"f64": f64(torch.sin)},
        {**trivial(aten.sin.default), "cos": torch.cos},
    ),
    Labelled(
        aten.sqrt.default,
        positive,
        {"pow": f32(lambda x: x**0.5)},
        {**trivial(aten.sqrt.default), "rsqrt": torch.rsqrt},
    ),
    Labelled(
        aten.rsqrt.default,
        positive,
        {"1 / sqrt": f32(lambda x: 1 / x.sqrt()), "pow": f32(lambda x: x**-0.5)},
        {**trivial(aten.rsqrt.default), "eps": lambda x: torch.rsqrt(x + 1e-2)},
    ),
    Labelled(
        aten.floor.default,
        halves,
        {"f64": f64(torch.floor)},
        {**trivial(aten.floor.default), "trunc": torch.trunc, "round": torch.round},
    ),
    Labelled(
        aten.trunc.default,
        halves,
        {"f64": f64(torch.trunc)},
        {**trivial(aten.trunc.default), "floor": torch.floor},
    ),
    Labelled(
        aten.ceil.default,
        halves,
        {"-floor": lambda x: -torch.floor(-x)},
        {**trivial(aten.ceil.default), "floor + 1": lambda x: x.floor() + 1},
    ),
    Labelled(
        aten.round.default,
        halves,
        {"f64": f64(torch.round)},
        {**trivial(aten.round.default), "half up": half_up},
    ),
    Labelled(
        aten.add.Tensor,
        with_alpha,
        {
            "f64": f64(lambda a, b, alpha=1: a + alpha * b),
            "fma": f32(lambda a, b, alpha=1: torch.addcmul(a, b, torch.tensor(alpha))),
            "product rounded": lambda a, b, alpha=1: a + (alpha * b).to(a.dtype),
        },
        {
            **trivial(aten.add.Tensor),
            "no alpha": lambda a, b, alpha=1: a + b,
            "alpha on the other": lambda a, b, alpha=1: alpha * a + b,
            "clobbered": clobber(torch.add),
            "in place": lambda a, b, alpha=1: a.add_(b, alpha=alpha),
        },
        {"bf16 inside": bf16_inside(torch.add)},
    ),
    Labelled(
        aten.mul.Tensor,
        binary,
        {"f64": f64(torch.mul)},
        {**trivial(aten.mul.Tensor), "no sign": lambda a, b: (a * b).abs()},
        {"bf16 inside": bf16_inside(torch.mul)},
    ),
    Labelled(
        aten.div.Tensor,
        lambda dtype: [Call((values(dtype, *SHAPE), values(dtype, *SHAPE).abs() + 0.5))],
        {"by reciprocal": f32(lambda a, b: a * (1 / b))},
        {
            **trivial(aten.div.Tensor),
            "swapped": lambda a, b: b / a,
            "floored": lambda a, b: torch.div(a, b, rounding_mode="floor"),
        },
    ),
    Labelled(
        aten.div.Tensor_mode,
        lambda dtype: [
            Call(
                (values(dtype, *SHAPE, size=9.0), values(dtype, *SHAPE).abs() + 0.5),
                {"rounding_mode": "trunc"},
            )
        ],
        {"f32": f32(lambda a, b, rounding_mode: torch.trunc(a / b))},
        {
            "floor": lambda a, b, rounding_mode: torch.div(a, b, rounding_mode="floor"),
            "none": lambda a, b, rounding_mode: a / b,
        },
    ),
    Labelled(
        aten.maximum.default,
        binary,
        {"where": lambda a, b: torch.where(a.isnan() | (a > b), a, b)},
        {**trivial(aten.maximum.default), "fmax": torch.fmax, "minimum": torch.minimum},
    ),
    Labelled(
        aten.clamp.default,
        lambda dtype: [Call((values(dtype, *SHAPE), -0.7, 1.1))],
        {"min max": lambda x, lo, hi: torch.where(x.isnan(), x, x.clamp(min=lo).clamp(max=hi))},
        {
            **trivial(aten.clamp.default),
            "only min": lambda x, lo, hi: x.clamp(min=lo),
            "NaN swallowed": lambda x, lo, hi: torch.fmax(x, torch.full_like(x, lo)).clamp(max=hi),
        },
    ),
    Labelled(
        aten.where.self,
        lambda dtype: [Call((torch.rand(SHAPE) > 0.5, *c.args)) for c in binary(dtype)],
        {
            "indexed": lambda c, a, b: (
                torch.stack(torch.broadcast_tensors(b, a)).gather(0, c.long()[None]).squeeze(0)
            )
        },
        {
            "swapped": lambda c, a, b: torch.where(c, b, a),
            "first": lambda c, a, b: a.expand(c.shape).clone(),
        },
    ),
    Labelled(
        aten.lt.Tensor,
        binary,
        {"gt": lambda a, b: b > a},
        {
            "le": lambda a, b: ~(a > b),
            "as float": lambda a, b: (a < b).to(a.dtype),
            "False": lambda a, b: (a < b) & False,
        },
    ),
    Labelled(
        aten.bitwise_xor.Tensor,
        lambda dtype: [Call((torch.randint(-99, 99, SHAPE), torch.randint(-99, 99, SHAPE)))],
        {"or - and": lambda a, b: (a | b) - (a & b)},
        {
            "or": lambda a, b: a | b,
            "plus": lambda a, b: a + b,
            "tail": like(torch.bitwise_xor, _tail),
        },
    ),
    Labelled(
        aten.sum.dim_IntList,
        rows([1]),
        {
            "chunked": chunked_sum,
            "sequential": sequential_sum,
            "f64": f64(torch.sum),
            "flipped": f32(lambda x, d: x.flip(1).sum(d)),
        },
        {
            "zeros": like(torch.sum, torch.zeros_like),
            "mean": torch.mean,
            "a column dropped": lambda x, d: x[:, :-1].sum(d),
            "keepdim": lambda x, d: x.sum(d, keepdim=True),
            "wrong dim": lambda x, d: x.sum([0])[: x.shape[0]],
            "clobbered": clobber(torch.sum),
        },
        {"bf16 inside": bf16_inside(torch.sum), "fp16 inside": fp16_inside(torch.sum)},
    ),
    Labelled(
        aten.sum.dim_IntList,
        rows([1], True),
        {"chunked": chunked_sum, "sequential": sequential_sum},
        {"ignoring keepdim": lambda x, d, k: x.sum(d)},
    ),
    Labelled(
        aten.mean.dim,
        rows([1]),
        {"sum / n": f32(lambda x, d: x.sum(d) / x.shape[1])},
        {
            "sum": torch.sum,
            "n - 1": lambda x, d: x.sum(d) / (x.shape[1] - 1),
            "zeros": like(torch.mean, torch.zeros_like),
        },
    ),
    Labelled(
        aten.var.correction,
        lambda dtype: [Call((values(dtype, *SHAPE), [1]), {"correction": 1})],
        {
            "two pass": f32(
                lambda x, d, correction: ((x - x.mean(d, keepdim=True)) ** 2).sum(d) / (x.shape[1] - 1)
            ),
            "one pass": f32(
                lambda x, d, correction: ((x * x).sum(d) - x.sum(d) ** 2 / x.shape[1]) / (x.shape[1] - 1)
            ),
        },
        {
            "biased": lambda x, d, correction: x.float().var(d, correction=0).to(x.dtype),
            "std": lambda x, d, correction: x.std(d),
            "zeros": like(torch.var, torch.zeros_like),
        },
    ),
    Labelled(
        aten.amax.default,
        rows([1]),
        {"sorted": lambda x, d: x.sort(1).values[:, -1]},
        {
            "NaN swallowed": lambda x, d: x.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf).amax(
                d
            ),
            "amin": torch.amin,
            "a column dropped": lambda x, d: x[:, :-1].amax(d) * 0 + x[:, :-1].sort(1).values[:, -2],
            "of absolutes": lambda x, d: x.abs().amax(d),
        },
    ),
    Labelled(
        aten.prod.dim_int,
        lambda dtype: [Call((values(dtype, 9, 12), 1))],
        {
            "sequential": f32(lambda x, d: x.cumprod(1)[:, -1]),
            "log": f64(lambda x, d: x.abs().log().sum(1).exp() * x.sign().prod(1)),
        },
        {
            "sum": torch.sum,
            "zeros": like(torch.prod, torch.zeros_like),
            "no sign": lambda x, d: x.prod(d).abs(),
        },
    ),
    Labelled(
        aten.cumsum.default,
        rows(1),
        {
            "sequential": f32(lambda x, d: torch.stack(list(_running(x)), 1)),
            "f64": f64(torch.cumsum),
        },
        {
            "exclusive": lambda x, d: x.cumsum(d) - x,
            "wrong dim": lambda x, d: x.cumsum(0),
            "tail": like(torch.cumsum, _tail),
            "identity": lambda x, d: x.clone(),
        },
        {"bf16 inside": bf16_inside(torch.cumsum)},
    ),
    Labelled(
        aten._softmax.default,
        lambda dtype: [
            Call((values(dtype, *SHAPE), 1, False)),
            Call((values(dtype, 2, 10000), 1, False)),
        ],
        {"exp2": softmax, "f64": f64(lambda x, d, h: x.softmax(d))},
        {
            **trivial(aten._softmax.default),
            "uniform": like(aten._softmax.default, lambda t: torch.full_like(t, 1 / t.shape[1])),
            "wrong dim": lambda x, d, h: x.softmax(0),
            "no max, halved": lambda x, d, h: x.softmax(d) / 2,
        },
        {
            "bf16 inside": bf16_inside(aten._softmax.default),
            "fp16 inside": fp16_inside(aten._softmax.default),
        },
    ),
    Labelled(
        aten._log_softmax.default,
        rows(1, False),
        {"by hand": log_softmax, "f64": f64(lambda x, d, h: x.log_softmax(d))},
        {**trivial(aten._log_softmax.default), "softmax": lambda x, d, h: x.softmax(d)},
    ),
    Labelled(
        aten.native_layer_norm.default,
        layer_calls,
        {"two pass": layer_norm, "one pass": lambda *a: layer_norm(*a, one_pass=True)},
        {
            "no bias": lambda x, s, w, b, e: layer_norm(x, s, w, b * 0, e),
            "missing eps": lambda x, s, w, b, e: layer_norm(x, s, w, b, 0.0),
            "only the first output": lambda x, s, w, b, e: layer_norm(x, s, w, b, e)[0],
            "zeros": like(aten.native_layer_norm.default, torch.zeros_like),
            "clobbered": clobber(aten.native_layer_norm.default),
        },
    ),
    Labelled(
        aten.linalg_vector_norm.default,
        lambda dtype: [
            Call((values(dtype, *SHAPE), 2, [1])),
            Call((values(dtype, 4, 900), 2, [1], True)),
        ],
        {"by hand": f32(norm), "f64": f64(norm)},
        {
            "squared": lambda *a: norm(*a) ** 2,
            "L1": lambda x, o, d, k=False: x.abs().sum(d, keepdim=k),
            "zeros": like(aten.linalg_vector_norm.default, torch.zeros_like),
        },
    ),
    Labelled(
        aten.mm.default,
        lambda dtype: [
            Call((values(dtype, 17, 64), values(dtype, 64, 11))),
            Call((values(dtype, 5, 700), values(dtype, 7, 700).t())),
        ],
        {
            "sequential": sequential_mm,
            "reversed": reversed_mm,
            "f64": f64(torch.mm),
            "split K": f32(lambda a, b: a[:, ::2] @ b[::2] + a[:, 1::2] @ b[1::2]),
        },
        {
            **trivial(aten.mm.default),
            "K - 1": lambda a, b: a[:, :-1] @ b[:-1],
            "a column dropped": like(torch.mm, _column),
            "transposed": lambda a, b: (a @ b).t(),
        },
        {
            "bf16 inside": bf16_inside(torch.mm),
            "TF32": lambda a, b: tf32(a) @ tf32(b),
            "fp16 inside": fp16_inside(torch.mm),
        },
    ),
    Labelled(
        aten.bmm.default,
        matrices((3, 9, 33), (3, 33, 8)),
        {"looped": lambda a, b: torch.stack([sequential_mm(x, y) for x, y in zip(a, b, strict=True)])},
        {
            **trivial(aten.bmm.default),
            "first batch": lambda a, b: (a[:1] @ b[:1]).expand(3, -1, -1).clone(),
        },
    ),
    Labelled(
        aten.addmm.default,
        lambda dtype: [
            Call(
                (values(dtype, 11), values(dtype, 9, 64), values(dtype, 64, 11)),
                {"beta": 0.5, "alpha": 2},
            )
        ],
        {
            "f32": f32(lambda c, a, b, beta, alpha: beta * c + alpha * (a @ b)),
            "sequential": lambda c, a, b, beta, alpha: (
                beta * c.float() + alpha * sequential_mm(a.float(), b.float())
            ).to(c.dtype),
        },
        {
            "no beta": lambda c, a, b, beta, alpha: c + alpha * (a @ b),
            "no alpha": lambda c, a, b, beta, alpha: beta * c + a @ b,
            "no bias": lambda c, a, b, beta, alpha: alpha * (a @ b),
        },
    ),
    Labelled(
        aten.convolution.default,
        conv_calls,
        {"unfold": conv_by_unfold, "f64": f64(torch.ops.aten.convolution.default)},
        {
            **trivial(aten.convolution.default),
            "no bias": lambda x, w, b, *r: aten.convolution(x, w, None, *r),
            "flipped": lambda x, w, *r: aten.convolution(x, w.flip(-1), *r),
        },
        {"bf16 inside": bf16_inside(aten.convolution.default)},
    ),
    Labelled(
        aten.avg_pool2d.default,
        lambda dtype: [Call((values(dtype, 2, 3, 8, 8), [3, 3], [2, 2], [1, 1]))],
        {
            "unfold": f32(
                lambda x, k, s, p: (
                    torch.nn.functional.pad(x, [1] * 4).unfold(2, 3, 2).unfold(3, 3, 2).mean((-1, -2))
                )
            )
        },
        {
            "padding not counted": lambda x, k, s, p: aten.avg_pool2d(x, k, s, p, False, False),
            "max": lambda x, k, s, p: torch.nn.functional.max_pool2d(x, k, s, p),
            "zeros": like(aten.avg_pool2d.default, torch.zeros_like),
        },
    ),
    Labelled(
        aten.max_pool2d_with_indices.default,
        pools,
        {"the last of equals": pool_last},
        {
            "no indices": lambda *a: (
                aten.max_pool2d_with_indices(*a)[0],
                aten.max_pool2d_with_indices(*a)[1] * 0,
            ),
            "one ahead": lambda *a: (
                aten.max_pool2d_with_indices(*a)[0],
                (aten.max_pool2d_with_indices(*a)[1] + 1) % 64,
            ),
            "outside": lambda *a: (
                aten.max_pool2d_with_indices(*a)[0],
                aten.max_pool2d_with_indices(*a)[1] + 999,
            ),
            "int32": lambda *a: (
                aten.max_pool2d_with_indices(*a)[0],
                aten.max_pool2d_with_indices(*a)[1].int(),
            ),
        },
    ),
    Labelled(
        aten.gather.default,
        lambda dtype: [Call((values(dtype, *SHAPE), 1, torch.randint(40, (9, 12))))],
        {"indexed": lambda x, d, i: x[torch.arange(9)[:, None], i]},
        {
            "wrong dim": lambda x, d, i: x.gather(0, i % 9),
            "tail": like(torch.gather, _tail),
            "zeros": like(torch.gather, torch.zeros_like),
        },
        {"bf16 inside": bf16_inside(torch.gather)},
    ),
    Labelled(
        aten.index_select.default,
        index_calls,
        {"indexed": lambda x, d, i: x[i]},
        {
            "head": lambda x, d, i: x[: len(i)].repeat(2, 1)[:12],
            "zeros": like(torch.index_select, torch.zeros_like),
            "off by one": lambda x, d, i: x[(i + 1) % 9],
        },
        {"bf16 inside": bf16_inside(torch.index_select)},
    ),
    Labelled(
        aten.scatter_add.default,
        scatter_calls,
        {"reversed": scatter_add_loop, "f64": f64(torch.scatter_add)},
        {
            "scatter": torch.scatter,
            "identity": lambda x, d, i, s: x.clone(),
            "without self": lambda x, d, i, s: (x * 0).scatter_add(d, i, s),
        },
    ),
    Labelled(
        aten.index_put.default,
        lambda dtype: [Call((values(dtype, *SHAPE), [torch.tensor([1, 1, 3])], values(dtype, 3, 40)))],
        {
            "looped": lambda x, i, v: _put(x, i[0], v, (0, 1, 2)),
            "another order": lambda x, i, v: _put(x, i[0], v, (2, 1, 0)),
        },
        {
            "accumulated": lambda x, i, v: torch.index_put(x, i, v, True),
            "identity": lambda x, i, v: x.clone(),
        },
    ),
    Labelled(
        aten.cat.default,
        lambda dtype: [Call(([values(dtype, *SHAPE), values(dtype, 4, 40)], 0))],
        {"stacked": lambda parts, d: torch.vstack(parts)},
        {
            "swapped": lambda parts, d: torch.cat(parts[::-1], d),
            "tail": like(torch.cat, _tail),
            "first twice": lambda parts, d: torch.cat([parts[0], parts[0][:4]]),
        },
        {"bf16 inside": bf16_inside(torch.cat)},
    ),
    Labelled(
        aten.stack.default,
        lambda dtype: [Call(([values(dtype, *SHAPE), values(dtype, *SHAPE)], 1))],
        {"cat": lambda parts, d: torch.cat([p.unsqueeze(d) for p in parts], d)},
        {
            "another dim": lambda parts, d: torch.stack(parts, 0),
            "reshaped": lambda parts, d: torch.stack(parts, 0).reshape(9, 2, 40),
        },
    ),
    Labelled(
        aten.argmax.default,
        lambda dtype: [Call((ties(dtype), 1)), Call((values(dtype, *SHAPE), 1))],
        {"the last of equals": last_argmax},
        {
            "argmin": torch.argmin,
            "zeros": like(torch.argmax, torch.zeros_like),
            "int32": like(torch.argmax, Tensor.int),
            "keepdim": lambda x, d: x.argmax(d, True),
            "outside": like(torch.argmax, lambda t: t + 99),
        },
    ),
    Labelled(
        aten.sort.default,
        lambda dtype: [Call((ties(dtype), 1)), Call((values(dtype, *SHAPE), 1, True))],
        {"from the other end": lambda x, d, r=False: _sort_other_way(x, d, r)},
        {
            "ascending": lambda x, d, r=False: x.sort(d),
            "unsorted": lambda x, d, r=False: (x.clone(), torch.arange(40).expand(9, 40).clone()),
            "one index": lambda x, d, r=False: (x.sort(d, r)[0], x.sort(d, r)[1] * 0),
        },
    ),
    Labelled(
        aten.sort.stable,
        lambda dtype: [Call((ties(dtype),), {"stable": True, "dim": 1})],
        {"again": lambda x, stable, dim: torch.sort(x, dim=dim, stable=True)},
        {"unstable": lambda x, stable, dim: _sort_other_way(x, dim, False)},
    ),
    Labelled(
        aten.topk.default,
        lambda dtype: [Call((values(dtype, *SHAPE), 5)), Call((ties(dtype), 5))],
        {"sorted": lambda x, k: tuple(t[:, :k] for t in _sort_other_way(x, 1, True))},
        {
            "smallest": lambda x, k: torch.topk(x, k, largest=False),
            "k - 1": lambda x, k: torch.topk(x, k - 1),
            "one index": lambda x, k: (
                torch.topk(x, k)[0],
                torch.topk(x, k)[1][:, :1].repeat(1, k),
            ),
        },
    ),
    Labelled(
        aten.add_.Tensor,
        with_alpha,
        {"in place": add_inplace},
        {
            "not in place": inplace_without,
            "no alpha": lambda x, y, alpha=1: x.add_(y),
            "nothing": lambda x, y, alpha=1: x,
            "changed and copied": lambda x, y, alpha=1: x.add_(y, alpha=alpha).clone(),
            "the other one": lambda x, y, alpha=1: y.add_(y),
        },
    ),
    Labelled(
        aten.relu_.default,
        unary,
        {"copy_": lambda x: x.copy_(torch.relu(x))},
        {
            "not in place": torch.relu,
            "anything": lambda x: x.mul_(-7).add_(3),
            "nothing": lambda x: x,
        },
    ),
    Labelled(
        aten.transpose.int,
        lambda dtype: [Call((values(dtype, *SHAPE), 0, 1))],
        {"view": torch.transpose, "copied": lambda x, a, b: x.t().contiguous()},
        {"reshaped": lambda x, a, b: x.reshape(40, 9), "identity": lambda x, a, b: x},
    ),
    Labelled(
        aten.clone.default,
        unary,
        {"plus zero": lambda x: x * 1},
        {"itself": lambda x: x, "a view": lambda x: x.view_as(x), "zeros": torch.zeros_like},
        {"bf16 inside": bf16_inside(torch.clone)},
    ),
]


def _running(x: Tensor) -> Iterable[Tensor]:
    total = torch.zeros_like(x[:, 0])
    for column in x.unbind(1):
        total = total + column
        yield total


def _put(x: Tensor, index: Tensor, rows_: Tensor, order: Iterable[int]) -> Tensor:
    result = x.clone()
    for n in order:
        result[index[n]] = rows_[n]
    return result


def _sort_other_way(x: Tensor, dim: int, descending: bool) -> tuple[Tensor, Tensor]:
    size = x.shape[dim]
    found, index = torch.sort(x.flip(dim), dim=dim, descending=descending, stable=True)
    return found, size - 1 - index
