"""Triton without a GPU: its interpreter on CPU tensors, mended where it gives wrong answers.

`TRITON_INTERPRET` must be set before triton is imported, so an interpreting worker comes from a
zygote of its own. Mended (triton 3.6 to 3.9): functions in files that do not import `triton.language`; floats and truth values as
arguments; `and`, `or`, `not` of blocks; the larger and the smaller of NaN and a number; bfloat16, which the interpreter adds bit pattern by
bit pattern; autotuning, which asks for a driver; libdevice, whose functions are empty. Not covered:
inline assembly, and what only compiled code does (races, out-of-range reads). So a verdict from
here says that it was interpreted, and no time is taken.
"""

from __future__ import annotations

import ast
import inspect
import math
import os
from collections.abc import Callable
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from backend_bench.worker.launches import LOG, Stretch

_BY_NUMPY = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "abs": np.abs,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    **{
        name: getattr(np, name)
        for name in (
            "cbrt", "ceil", "cos", "cosh", "exp", "exp2", "expm1", "floor", "log", "log10", "log1p", "log2",
            "rint", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
        )
    },
    **{f"fast_{name}f": getattr(np, name) for name in ("cos", "exp", "log10", "log2", "sin", "tan", "tanh")},
    "fast_logf": np.log,
    "exp10": lambda x: np.power(10.0, x),
    "cospi": lambda x: np.cos(np.pi * x),
    "nearbyint": np.rint,
    "rcbrt": lambda x: 1 / np.cbrt(x),
    "rcp_rn": lambda x: 1 / x,
    "round": lambda x: np.trunc(x) + np.copysign(np.abs(x - np.trunc(x)) >= 0.5, x),
    **dict.fromkeys(("rsqrt", "rsqrt_rn"), lambda x: 1 / np.sqrt(x)),
    "sinpi": lambda x: np.sin(np.pi * x),
    "sqrt_rn": np.sqrt,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "erfc": np.vectorize(math.erfc, otypes=[np.float64]),
    "lgamma": np.vectorize(lambda x: _lgamma(x), otypes=[np.float64]),
    "erfinv": np.vectorize(lambda x: _erfinv(x), otypes=[np.float64]),
}  # fmt: skip
"""libdevice's functions of one argument. Not by torch: its operators are withheld from a worker."""
_OF_MORE = {
    "add_rn": np.add,
    "atan2": np.arctan2,
    "copysign": np.copysign,
    "div_rn": np.divide,
    "fast_dividef": np.divide,
    "fast_powf": np.power,
    "fdim": lambda x, y: np.where(np.isnan(x) | np.isnan(y), np.nan, np.where(x > y, x - y, 0)),
    **dict.fromkeys(("fma", "fma_rn"), lambda x, y, z: np.multiply(x, y, dtype=np.float64) + z),
    "fmod": np.fmod,
    "hypot": np.hypot,
    "ldexp": np.ldexp,
    "nextafter": np.nextafter,
    "mul_rn": np.multiply,
    "pow": np.power,
    "remainder": lambda x, y: x - y * np.rint(x / y),
    "rhypot": lambda x, y: 1 / np.hypot(x, y),
    "sub_rn": np.subtract,
}
"""Those of two and three; the result is as the widest of them that has fractions."""
_TESTS = {"finitef": np.isfinite, "isfinited": np.isfinite, "isinf": np.isinf, "isnan": np.isnan}
"""Those that say yes or no."""
_SIGNS = {"signbit": np.signbit}
"""Those that say it as a whole number."""


def install() -> None:
    """Import triton in interpreting mode and mend it. Raises ImportError where there is no triton."""
    os.environ["TRITON_INTERPRET"] = "1"
    import triton.language as tl
    from triton.runtime import autotuner, interpreter

    _launch_unrecorded(interpreter)
    _note_memory(interpreter)
    _mend_helpers(tl, interpreter)
    _mend_numbers(tl, interpreter)
    _mend_logic(tl, interpreter)
    _mend_extremes(interpreter)
    _mend_bfloat16(tl, interpreter)
    _mend_autotuning(autotuner)
    _mend_libdevice(tl, interpreter)


def widen(bits: Any) -> Any:
    """bfloat16 bit patterns (uint16) as float32."""
    return (np.ascontiguousarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow(values: Any) -> Any:
    """float32 as bfloat16 bit patterns (uint16), rounded to nearest even; NaN stays NaN."""
    single = np.array(values, dtype=np.float32, order="C")
    bits = single.view(np.uint32)
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FC0), rounded)


def _launch_unrecorded(interpreter: Any) -> None:
    """What the interpreter itself does with torch during a launch is not the kernel's doing."""
    plain = interpreter.GridExecutor.__call__

    def launch(self: Any, *args: Any, **kwargs: Any) -> Any:
        LOG.begin(_allocations((args, kwargs)))
        with _disable_current_modes():
            return plain(self, *args, **kwargs)

    interpreter.GridExecutor.__call__ = launch


def _allocations(tree: Any) -> list[Stretch]:
    """Of all tensors among a launch's arguments, those inside descriptors included."""
    leaves = [getattr(leaf, "base", leaf) for leaf in tree_leaves(tree)]
    storages = [leaf.untyped_storage() for leaf in leaves if isinstance(leaf, torch.Tensor)]
    return [(storage.data_ptr(), storage.data_ptr() + storage.nbytes()) for storage in storages]


def _note_memory(interpreter: Any) -> None:
    """An address out of each block that a kernel reads or writes goes to the log."""
    builder = interpreter.InterpreterBuilder

    def noting(name: str, mask_at: int | None, **how: bool) -> None:
        plain = getattr(builder, name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            pointers = args[1 if name == "create_atomic_rmw" else 0].data.reshape(-1)
            if mask_at is not None and len(args) > mask_at:
                # Of a block pointer it is a bare array, whose data is its memory.
                mask = np.asarray(args[mask_at].data).reshape(-1)
                pointers = pointers[np.broadcast_to(mask, pointers.shape)]
            if len(pointers):
                LOG.note(int(pointers[0]), **how)
            return plain(self, *args, **kwargs)

        setattr(builder, name, call)

    noting("create_masked_load", 1, reads=True)
    noting("create_masked_store", 2, writes=True)
    noting("create_atomic_cas", None, reads=True, writes=True)
    noting("create_atomic_rmw", 3, reads=True, writes=True)
    LOG.is_kept = True


def _mend_helpers(tl: Any, interpreter: Any) -> None:
    """A function may be all operators, in a file that does not import `triton.language`."""
    plain = interpreter._patch_lang

    def patch_lang(function: Any) -> Any:
        sees_it = any(value is tl or value is tl.core for value in function.__globals__.values())
        return plain(function if sees_it else SimpleNamespace(__globals__={"tl": tl}))

    interpreter._patch_lang = patch_lang


def _mend_numbers(tl: Any, interpreter: Any) -> None:
    """A number that a kernel is given is a scalar of it; the interpreter leaves a float as Python has it, and makes no truth value of one."""
    plain, launch = interpreter._implicit_cvt, interpreter.GridExecutor.__call__

    def scalar(value: Any, kind: Any, stored: Any) -> Any:
        with np.errstate(over="ignore"):
            return tl.tensor(interpreter.TensorHandle(np.array([value], dtype=stored), kind), kind)

    def convert(value: Any) -> Any:
        if isinstance(value, bool):
            return scalar(value, tl.int1, np.bool_)
        if isinstance(value, float):
            return scalar(value, tl.float32, np.float32)
        return plain(value)

    def as_annotated(value: Any, kind: Any) -> Any:
        """A float is one of single precision, but where a kernel asks for another."""
        is_double = isinstance(value, float) and kind in (tl.float64, "tl.float64", "fp64")
        return scalar(value, tl.float64, np.float64) if is_double else value

    def launch_annotated(self: Any, *args: Any, **kwargs: Any) -> Any:
        kinds = {name: each.annotation for name, each in inspect.signature(self.fn).parameters.items()}
        first = (as_annotated(value, kind) for value, kind in zip(args, kinds.values(), strict=False))
        named = {name: as_annotated(value, kinds.get(name)) for name, value in kwargs.items()}
        return launch(self, *first, *args[len(kinds) :], **named)

    interpreter._implicit_cvt = convert
    interpreter.GridExecutor.__call__ = launch_annotated


def _mend_logic(tl: Any, interpreter: Any) -> None:
    """`and`, `or` and `not` are element by element where there are several; the interpreter takes any block for true."""

    def combined(of: str, *parts: Callable[[], Any]) -> Any:
        """In order, until one that the compiler knows decides; what it knows and does not decide is dropped."""
        tensors = []
        for part in parts:
            value = part()
            if isinstance(value, tl.tensor):
                tensors.append(value)
            elif bool(value) == (of == "Or"):
                return value
        if not tensors:
            return value
        result = tensors.pop()
        while tensors:
            left = tensors.pop()
            result = left.logical_and(result) if of == "And" else left.logical_or(result)
        return result

    def inverted(value: Any) -> Any:
        return value.__not__() if isinstance(value, tl.tensor) else not value

    def visit_bool_op(self: Any, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        later: list[ast.expr] = [ast.Lambda(args=nothing, body=value) for value in node.values]
        name = ast.Name(id="_backend_bench_combined", ctx=ast.Load())
        return ast.Call(func=name, args=[ast.Constant(type(node.op).__name__), *later], keywords=[])

    def visit_unary_op(self: Any, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not):
            return node
        name = ast.Name(id="_backend_bench_inverted", ctx=ast.Load())
        return ast.Call(func=name, args=[node.operand], keywords=[])

    assign = interpreter.ASTTransformer.visit_Assign

    def visit_assign(self: Any, node: ast.Assign) -> Any:
        node.value = self.visit(node.value)  # the interpreter's own looks at targets only
        return assign(self, node)

    interpreter._backend_bench_combined, interpreter._backend_bench_inverted = combined, inverted
    interpreter.ASTTransformer.visit_BoolOp = visit_bool_op
    interpreter.ASTTransformer.visit_UnaryOp = visit_unary_op
    interpreter.ASTTransformer.visit_Assign = visit_assign


def _mend_extremes(interpreter: Any) -> None:
    """The larger of NaN and a number is the number, unless asked otherwise; the interpreter says NaN in any case."""
    builder = interpreter.InterpreterBuilder
    clamp = builder.create_clampf
    builder.create_minnumf = lambda self, one, other: self.binary_op(one, other, np.fmin)
    builder.create_maxnumf = lambda self, one, other: self.binary_op(one, other, np.fmax)

    def create_clampf(self: Any, value: Any, low: Any, high: Any, propagate_nans: Any) -> Any:
        if propagate_nans == interpreter._ir.PROPAGATE_NAN.ALL:
            return clamp(self, value, low, high, propagate_nans)
        return self.create_minnumf(self.create_maxnumf(value, low), high)

    builder.create_clampf = create_clampf
    reduced = interpreter.ReduceOps.min_max
    past_nan = {
        np.max: np.fmax.reduce, np.nanmax: np.fmax.reduce, np.min: np.fmin.reduce, np.nanmin: np.fmin.reduce,
        np.argmax: _place_past_nan(np.argmax, -np.inf), np.argmin: _place_past_nan(np.argmin, np.inf),
    }  # fmt: skip

    def min_max(self: Any, given: Any, val_reduce_op: Any, idx_reduce_op: Any = None) -> Any:
        value, place = (past_nan.get(each, each) for each in (val_reduce_op, idx_reduce_op))
        return reduced(self, given, val_reduce_op=value, idx_reduce_op=place)

    interpreter.ReduceOps.min_max = min_max


def _place_past_nan(find: Callable[..., Any], worst: float) -> Callable[..., Any]:
    def found(values: Any, **how: Any) -> Any:
        is_number = np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.bool_)
        return find(values if is_number else np.where(np.isnan(values), worst, values), **how)

    return found


def _mend_bfloat16(tl: Any, interpreter: Any) -> None:
    builder, handle = interpreter.InterpreterBuilder, interpreter.TensorHandle
    on_bits = {np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift}
    plain = {name: getattr(builder, name) for name in ("binary_op", "unary_op", "create_dot", "cast_impl")}

    def is_bf16(value: Any) -> bool:
        return bool(value.dtype.scalar == tl.bfloat16)

    def as_float32(value: Any) -> Any:
        return handle(widen(value.data), tl.float32) if is_bf16(value) else value

    def binary_op(self: Any, left: Any, right: Any, op: Any) -> Any:
        if not (is_bf16(left) and is_bf16(right)) or op in on_bits:
            came = plain["binary_op"](self, left, right, op)
            # a comparison of floats is none, and may be spread over a block
            return handle(came.data, tl.int1) if came.data.dtype == np.bool_ else came
        out = op(widen(left.data), widen(right.data))
        return handle(out, tl.int1) if out.dtype == np.bool_ else handle(narrow(out), tl.bfloat16)

    def unary_op(self: Any, value: Any, op: Any) -> Any:
        if not is_bf16(value):
            return plain["unary_op"](self, value, op)
        return handle(narrow(op(widen(value.data))), tl.bfloat16)

    def create_dot(self: Any, left: Any, right: Any, *rest: Any) -> Any:
        return plain["create_dot"](self, as_float32(left), as_float32(right), *rest)

    def cast_impl(self: Any, value: Any, target: Any) -> Any:
        to = target.scalar
        if is_bf16(value) and to != tl.bfloat16:
            return plain["cast_impl"](self, as_float32(value), target)
        if to == tl.bfloat16 and not is_bf16(value):
            return handle(narrow(value.data.astype(np.float32)), to)
        return plain["cast_impl"](self, value, target)

    builder.binary_op, builder.unary_op = binary_op, unary_op
    builder.create_dot, builder.cast_impl = create_dot, cast_impl


def _mend_autotuning(autotuner: Any) -> None:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        """The first configuration that works; times mean nothing here."""
        self.nargs = dict(zip(self.arg_names, args, strict=False))
        last: Exception | None = None
        for config in self.configs:
            try:
                if config.pre_hook is not None:
                    config.pre_hook({**self.nargs, **kwargs, **config.all_kwargs()})
                result = self.fn.run(*args, **kwargs, **config.all_kwargs())
            except Exception as error:  # noqa: BLE001  (the last one is raised)
                last = error
                continue
            self.best_config = config
            return result
        raise last or RuntimeError("no configuration to choose from")

    autotuner.Autotuner.run = run


def _mend_libdevice(tl: Any, interpreter: Any) -> None:
    from triton.language.extra import libdevice

    def data_of(value: Any) -> Any:
        return widen(value.handle.data) if value.handle.dtype.scalar == tl.bfloat16 else value.handle.data

    def through_numpy(function: Callable[..., Any], kind_of: Any = None) -> Callable[..., Any]:
        def call(*values: Any, _semantic: Any = None, **_: Any) -> Any:
            values = tuple(getattr(value, "value", value) for value in values)  # what the compiler knows
            values = tuple(map(interpreter._implicit_cvt, values))
            tensors = [value for value in values if isinstance(value, tl.core.tensor)]
            if not tensors:
                raise TypeError("a function of libdevice needs numbers")
            scalars = [value.handle.dtype.scalar for value in tensors]
            floats = [scalar for scalar in scalars if scalar.is_floating()]
            widest = max(floats, key=lambda scalar: scalar.primitive_bitwidth, default=scalars[0])
            scalar = kind_of or widest
            with np.errstate(all="ignore"):
                out = np.asarray(function(*map(data_of, values)))
            if scalar == tl.bfloat16:
                out = narrow(out)
            elif kind_of is None:
                out = out.astype(tensors[scalars.index(widest)].handle.data.dtype)
            elif kind_of == tl.int32:
                out = out.astype(np.int32)
            kind = (
                tl.block_type(scalar, list(out.shape))
                if any(value.type.is_block() for value in tensors)
                else scalar
            )
            return tl.core.tensor(interpreter.TensorHandle(out, scalar), kind)

        return call

    def missing(name: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            raise NotImplementedError(f"libdevice.{name} cannot be interpreted here; it works on a GPU")

        return refuse

    for name, function in vars(libdevice).copy().items():
        if getattr(function, "__module__", None) == libdevice.__name__:  # an empty one
            setattr(libdevice, name, missing(name))
    for name, function in (_BY_NUMPY | _OF_MORE).items():
        setattr(libdevice, name, through_numpy(function))
    for kind_of, functions in ((tl.int1, _TESTS), (tl.int32, _SIGNS)):
        for name, function in functions.items():
            setattr(libdevice, name, through_numpy(function, kind_of))


def _lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def _erfinv(x: float) -> float:
    """The normal quantile, which near 0 has lost digits to the 1, and Newton's steps from there."""
    if not abs(x) < 1:
        return math.copysign(math.inf, x) if abs(x) == 1 else math.nan
    guess = NormalDist().inv_cdf((1 + x) / 2) / math.sqrt(2) if abs(x) > 1e-3 else x * math.sqrt(math.pi) / 2
    for _ in range(2):
        slope = 2 / math.sqrt(math.pi) * math.exp(-guess * guess)
        guess -= (math.erf(guess) - x) / slope if slope else 0.0
    return guess
