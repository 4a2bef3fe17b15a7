"""How far a right answer may lie from the oracle, element by element.

Three sources, added up: the dtype's own table (torch.testing's, its absolute part scaled down to
the size of the output), what rounding costs under this operator (`growth`), and what ATen itself was
seen to lose. Does not decide whether an output is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import arguments
from backend_bench.grading.inputs import map_tensors, tensors_of
from backend_bench.grading.traits import (
    ACCUMULATIONS,
    ADDS_TO_PRODUCT,
    ARITHMETIC,
    CHAINS,
    EXPONENTIAL_SUMS,
    FROM_ITS_SIZE,
    INTERPOLATIONS,
    NORMALISATIONS,
    SAMPLERS,
    SCATTERED_SUMS,
    SOFTMAX_GRADIENTS,
    SOFTMAXES,
    STEPS,
    SUMS,
    TRANSFORMS,
    WEIGHT_NORM_GRADIENT,
    Op,
    base_name,
    is_pointwise,
    names,
)

Results = tuple[Tensor, ...]
Run = Callable[[Call], Results]
"""Runs the operator on a private copy: output leaves, then all input leaves as it left them."""

_TABLE = {
    # torch.testing's (rtol, atol); float8 is one step of its mantissa
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex32: (1e-3, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
TRUST = 16.0
"""Times its own tolerance that ATen may lie from the oracle before the oracle is not believed."""
_OWN_ERROR = 4.0  # times ATen's error at an element that is granted there
_USUAL_ERROR = 3.0  # at most so many tolerances more where ATen errs that much throughout
_INNER_FLOOR = 4 * 2.0**-23  # float32 steps of the number one inside a formula (tanh by exp)
_SMALLEST_SHARE = 1e-3  # of the output's size that this floor may reach


def has_table(dtype: torch.dtype) -> bool:
    return dtype in _TABLE


def table_tolerance(op: Op, expected: Tensor, dtype: torch.dtype) -> Tensor:
    """The dtype's table around `expected` (float64 or complex128), as absolute float64."""
    rtol, atol = _TABLE[dtype]
    pointwise = is_pointwise(op)
    size = typical_size(expected, pointwise=pointwise)
    formula = pointwise and base_name(op) not in ARITHMETIC
    floor = min(_INNER_FLOOR, _SMALLEST_SHARE * size) if formula else 0.0
    scaled = min(atol, max(rtol * size, floor)) + _smallest(dtype)
    return _finite_abs(expected).mul_(rtol).add_(scaled)


def typical_size(expected: Tensor, *, pointwise: bool) -> float:
    """The size of the finite nonzero elements: the median where each stands alone, else the RMS.

    Sums and softmax share rounding between neighbours, so there the large ones count.
    """
    sizes = _sample(_finite_abs(expected))
    sizes = sizes[sizes > 0]
    if sizes.numel() == 0:
        return 0.0
    return float(sizes.median() if pointwise else sizes.square().mean().sqrt())


_SAMPLE = 100_000  # elements; a quantile of more is no better and takes a sort


def _sample(values: Tensor) -> Tensor:
    flat = values.reshape(-1)
    return flat[:: max(1, flat.numel() // _SAMPLE)]


def _smallest(dtype: torch.dtype) -> float:
    """Below this a GPU may flush to zero; half precision keeps its subnormals."""
    limits = torch.finfo(dtype)
    return float(limits.smallest_normal) * (limits.eps if dtype is torch.float16 else 1.0)


def _finite_abs(values: Tensor) -> Tensor:
    return values.abs().to(torch.float64).nan_to_num(nan=0.0, posinf=0.0)


def with_own_error(table: Tensor, grown: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Widen by what ATen was seen to lose: the allowance, and where the oracle is not believed."""
    is_bounded = grown.isfinite()  # where float64 itself overflows on the way nothing follows from it
    allowed = table + torch.where(is_bounded, grown, 0.0)
    doubtful = ~(error <= TRUST * allowed) | ~is_bounded
    trusted = torch.where(doubtful, 0.0, error)
    usual = _USUAL_ERROR * _upper(trusted / allowed)
    widened = torch.maximum(_OWN_ERROR * trusted, min(usual, _USUAL_ERROR) * table)
    return allowed + widened, doubtful


def _upper(ratios: Tensor) -> float:
    """A high quantile."""
    flat = _sample(ratios)
    return float(flat.quantile(0.95)) if flat.numel() else 0.0


# --------------------------------------------------------------------------------------- growth


def growth(op: Op, call: Call, exact: Results, dtypes: list[torch.dtype], run: Run) -> Results:
    """What rounding may cost a sound kernel under this operator, for each result.

    `call` and `exact` are the float64 ones; `dtypes` are those in which the results are due.
    """
    name = base_name(op)
    sizes = [_finite_abs(result) for result in exact]
    none = tuple(torch.zeros_like(size) for size in sizes)
    if name in STEPS:
        return tuple(
            _stepping_error(op, call, size, dtype) for size, dtype in zip(sizes, dtypes, strict=True)
        )
    if is_pointwise(op):
        slopes = _sensitivity(call, exact, run)
        size = _finite_abs(call.args[0]) if name in FROM_ITS_SIZE else 0.0
        return tuple(
            slope * _input_step(dtype) + size * 2 * _step(dtype, False)
            for slope, dtype in zip(slopes, dtypes, strict=True)
        )
    if name in SUMS or name in SCATTERED_SUMS:
        terms, repeated = run(_absolute(call, whole=name in SUMS)), _repeated(op, call, dtypes)
        scattered = name in SCATTERED_SUMS
        apart = _addends(op, call, run) if name in ADDS_TO_PRODUCT else none
        if name == "addbmm":
            sizes = [_on_the_way(op, call)]
        whole = all(_is_whole(tensor) for tensor in tensors_of(call)[:1])
        return tuple(
            _sum_error(
                _finite_abs(term),
                size,
                _steps(op, call, size, dtype, repeated, whole=whole),
                _step(dtype, scattered),
            )
            + addend * _short_step(dtype)
            + (_misplaced(call, dtype, run) if name in INTERPOLATIONS else 0.0)
            for term, size, addend, dtype in zip(terms, sizes, apart, dtypes, strict=True)
        )
    if name in ACCUMULATIONS or name in CHAINS:
        slopes = _conditioning(op, call, exact, run) if name in ACCUMULATIONS else none
        if name in SOFTMAXES:
            slopes = (slopes[0] + sizes[0] * _exponent(op, call),)
        if name in SOFTMAX_GRADIENTS:
            slopes = (slopes[0] + _subtracted_sum(op, call),)
        if name == WEIGHT_NORM_GRADIENT:
            slopes = tuple(map(torch.add, slopes, _projection(op, call)))
        if name in NORMALISATIONS:
            means = 4 * _finite_abs(run(_absolute(call))[1])  # they are sums, too
            slopes = (slopes[0] + _subtracted_mean(op, call, exact, means), slopes[1] + means, *slopes[2:])
            sizes[0] = torch.maximum(sizes[0], _before_bias(op, call, exact, run))
        if "attention" in name and "backward" not in name and not _short_step(dtypes[0]):
            slopes = (slopes[0] + sizes[0] * _score(op, call), *slopes[1:])
        repeated = _repeated(op, call, dtypes)
        lost = _lost(op, call, exact, _step(dtypes[0], False)) if name in EXPONENTIAL_SUMS else none
        if name in CHAINS:
            # What lies between is rounded as the shortest result is, whatever another one is due in.
            dtypes = [max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)] * len(dtypes)
        return tuple(
            _accumulation_error(op, call, size, dtype, repeated) + slope * _step(dtype, False) + beside
            for size, slope, beside, dtype in zip(sizes, slopes, lost, dtypes, strict=True)
        )
    return none


def growth_alone(op: Op, call: Call, result: Tensor, dtype: torch.dtype) -> Tensor:
    """The same where there is no float64 run, for a result in float64; nothing where it follows from such a run alone."""
    size = _finite_abs(result)
    if base_name(op) in STEPS:
        return 2 * _stepping_error(op, call, size, dtype)
    if base_name(op) in ACCUMULATIONS or base_name(op) in CHAINS:
        return 2 * _accumulation_error(
            op, call, size, dtype, _repeated(op, call, [dtype])
        )  # ATen is off by as much
    return torch.zeros_like(size)


def _stepping_error(op: Op, call: Call, size: Tensor, dtype: torch.dtype) -> Tensor:
    """The step is rounded, and so is each multiple of it before it is added to the start or raised to a power."""
    given = arguments(op, call)
    farthest = max(abs(complex(given[end])) for end in ("start", "end")) * 2 * _step(dtype, False)
    return (
        size * farthest * abs(math.log(abs(given["base"]) or 1))
        if base_name(op) == "logspace"
        else torch.full_like(size, farthest)
    )


def _is_whole(tensor: Tensor) -> bool:
    """Nothing but whole numbers, whatever the dtype."""
    return not tensor.is_complex() and bool((tensor == tensor.to(torch.float64).round()).all())


def _accumulation_error(op: Op, call: Call, size: Tensor, dtype: torch.dtype, repeated: float) -> Tensor:
    step = _step(dtype, False) * _steps(op, call, size, dtype, repeated)
    if base_name(op) in CHAINS:
        step = max(step, torch.finfo(dtype).eps)
    return (size + typical_size(size, pointwise=False)) * step


def _sum_error(terms: Tensor, size: Tensor, steps: float, step: float) -> Tensor:
    """Signed terms: rounding grows with their sum of sizes; equal signs add the steps of a chain of sums.

    Partial sums of random signs stay near the root of the length, so `terms` alone bounds them; of
    one sign they climb to the result itself.
    """
    return (4 * terms + steps * size) * step


def _steps(
    op: Op, call: Call, size: Tensor, dtype: torch.dtype, repeated: float, *, whole: bool = False
) -> float:
    """How many roundings of a result a chain of sums adds up to, if it runs from the first term to the last.

    Those of different terms go either way and add up like the root of their number. Those of equal terms
    go the same way, since a sum near the result lies on the same grid each time: k of them add up to k. At most all
    do, half a step each, of sums that are half the result on average. Whole numbers come in few values,
    small beside the large. Short dtypes lie on the accumulator's grid themselves.
    """
    length = _length(op, call, size)
    apart, together = math.sqrt(length), max(math.sqrt(length), length / 4)
    if whole:
        return together
    return apart if _short_step(dtype) else min(together, apart * math.sqrt(repeated))


_PAIRED = 1 << 14
"""Elements; equal ones among them tell how many there are among all."""


def _repeated(op: Op, call: Call, dtypes: list[torch.dtype]) -> float:
    """How many elements have the value of an element, on average; where terms are products, of the factor that varies most.

    Zeros are added without an error, where it is the elements that are added. Of no concern where all results are short.
    """
    if all(map(_short_step, dtypes)):
        return 1.0
    lost = base_name(op) in SUMS or base_name(op) in SCATTERED_SUMS
    found = [
        _equals(tensor[tensor != 0] if lost else tensor)
        for tensor in tensors_of(call)
        if _real_valued(tensor) and tensor.dim()
    ]
    return min(found, default=1.0)


def _equals(tensor: Tensor) -> float:
    flat = (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).reshape(-1)
    sample = flat
    if flat.numel() > _PAIRED:  # at random, since a stride may keep to one column
        generator = torch.Generator(flat.device).manual_seed(0)
        places = torch.randint(flat.numel(), (_PAIRED,), generator=generator, device=flat.device)
        sample = flat[places.unique()]
    if sample.numel() < 2:
        return 1.0
    counts = sample.unique(return_counts=True)[1].to(torch.float64)
    pairs = float((counts * (counts - 1)).sum())
    return 1 + pairs / sample.numel() * (flat.numel() - 1) / (sample.numel() - 1)


def _step(dtype: torch.dtype, scattered: bool) -> float:
    """Relative spacing of the accumulator: float32 inside the 16-bit types, except for scatters."""
    own = torch.finfo(dtype).eps
    return own if scattered else min(own, torch.finfo(torch.float32).eps)


def _addends(op: Op, call: Call, run: Run) -> list[Tensor]:
    """What is added to the products: the results without any product."""
    factor = arguments(op, call)[ADDS_TO_PRODUCT[base_name(op)]]
    return [_finite_abs(result) for result in run(_without(call, factor))]


_MISPLACED = 3
"""Roundings of a place in an image: of a scale, of its product, of the half that is taken off."""


def _misplaced(call: Call, dtype: torch.dtype, run: Run) -> Tensor:
    """What interpolation answers to the rounding of the place that it looks at, which is as large as the image is long: neighbours differ by as
    much as both."""
    image = tensors_of(call)[0]
    lengths = image.shape[2:]
    pool = (torch.nn.functional.max_pool1d, torch.nn.functional.max_pool2d, torch.nn.functional.max_pool3d)
    near = pool[len(lengths) - 1](_finite_abs(image), 3, stride=1, padding=1)
    around = _finite_abs(run(map_tensors(call, lambda tensor: near if tensor is image else tensor))[0])
    inside = torch.float64 if dtype is torch.float64 else torch.float32
    return around * (_MISPLACED * sum(lengths) * torch.finfo(inside).eps)


def _on_the_way(op: Op, call: Call) -> Tensor:
    """How large a sum of products of matrices may become before the last of them takes it back."""
    given = arguments(op, call)
    products: Tensor = _finite_abs(given["batch1"] @ given["batch2"]).sum(0)
    return products * float(abs(given["alpha"]))


def _without(call: Call, gone: Tensor) -> Call:
    """The call with zeros for one of its tensors."""
    return map_tensors(call, lambda t: torch.zeros_like(t) if t is gone else t)


def _short_step(dtype: torch.dtype) -> float:
    """A product and its scaled value may each be rounded to a short dtype before something is added."""
    own = torch.finfo(dtype).eps
    return own if own > torch.finfo(torch.float32).eps else 0.0


def _input_step(dtype: torch.dtype) -> float:
    """Relative change of an input that a formula may cause: two float32 steps, half a short one.

    exp(x) as exp2(x * log2 e) rounds its argument once; a + alpha * b rounds the product once.
    """
    own = torch.finfo(dtype).eps
    return own / 2 if own > torch.finfo(torch.float32).eps else 2 * own


def _absolute(call: Call, *, whole: bool = False) -> Call:
    """The call with floating tensors and plain float or complex arguments made positive; with `whole` integer tensors too,
    which are then what is added up and no indices."""

    def positive(value: object) -> object:
        return abs(value) if type(value) is float else value

    bare = map_tensors(
        call, lambda t: t.abs().to(t.dtype) if _real_valued(t) or (whole and t.dtype.is_signed) else t
    )
    kwargs = {name: positive(value) for name, value in bare.kwargs.items()}
    return Call(tuple(positive(value) for value in bare.args), kwargs)


def _real_valued(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


_NUDGE = 2.0**-26  # relative; far above float64's rounding, far below any wanted precision


def _sensitivity(call: Call, exact: Results, run: Run) -> Results:
    """How strongly each result answers to a relative change of its inputs, one input at a time.

    Taken twice, at one and two steps: where twice the step does not give about twice the answer there
    is a jump or a flat place, and it counts as nothing.
    """
    total = [torch.zeros(r.shape, dtype=torch.float64, device=r.device) for r in exact]
    seen: list[Tensor] = []
    for leaf in tensors_of(call):
        if not _real_valued(leaf) or any(leaf is other for other in seen):
            continue
        seen.append(leaf)
        once, twice = (_answers(call, leaf, k * _NUDGE, exact, run) for k in (1, 2))
        for sum_so_far, one, two in zip(total, once, twice, strict=True):
            smooth = (two > 1.5 * one) & (two < 3.0 * one)
            sum_so_far.add_(torch.where(smooth, one / _NUDGE, 0.0))
    return tuple(total)


def _answers(call: Call, leaf: Tensor, step: float, exact: Results, run: Run) -> list[Tensor]:
    moved = leaf * (1 + step)
    results = run(map_tensors(call, lambda tensor: moved if tensor is leaf else tensor))
    return [_finite_abs(new - old) for new, old in zip(results, exact, strict=True)]


_TRIES = 3  # random changes of the inputs; their root mean square is the estimate


_ROUNDINGS = 4
"""Of the place where a sampler looks."""


def _conditioning(op: Op, call: Call, exact: Results, run: Run) -> Results:
    """How strongly each result answers to independent relative changes of all elements; and a sampler to where it looks, from the edge on.

    Where a mean is subtracted from its like, or sums cancel, the rounding of what was subtracted is
    all that is left, and no sound formula does without.
    """
    places = arguments(op, call)["grid"] if base_name(op) in SAMPLERS else None
    device = exact[0].device if exact else torch.device("cpu")
    generator = torch.Generator(device).manual_seed(0)
    total = [torch.zeros(r.shape, dtype=torch.float64, device=r.device) for r in exact]

    def moved(leaf: Tensor) -> Tensor:
        if not _real_valued(leaf):
            return leaf
        change = _NUDGE * torch.randn(leaf.shape, generator=generator, dtype=torch.float64, device=device)
        return leaf + _ROUNDINGS * change * (leaf.abs() + 1) if leaf is places else leaf * (1 + change)

    for _ in range(_TRIES):
        results = run(map_tensors(call, moved))
        for sum_so_far, old, new in zip(total, exact, results, strict=True):
            sum_so_far += (_finite_abs(new - old) / _NUDGE).square()
    return tuple((sum_so_far / _TRIES).sqrt() for sum_so_far in total)


def _exponent(op: Op, call: Call) -> Tensor:
    """The size of the numbers that a softmax takes exp of, line by line.

    exp(x - logsumexp(x)) and exp2 of scaled numbers round them once before the exponential.
    """
    source, dim = call.args[0], arguments(op, call)["dim"]
    sizes = _finite_abs(source)
    return sizes.amax(dim, keepdim=True) if sizes.dim() and sizes.shape[dim] else sizes


def _score(op: Op, call: Call) -> Tensor:
    """At most the size of what attention takes exp of, for each query: exp(a - logsumexp(a)) rounds it once before the exponential."""
    given = arguments(op, call)
    query, key = (
        torch.linalg.vector_norm(_finite_abs(given[name]), dim=-1, keepdim=True) for name in ("query", "key")
    )
    scale = float(given["query"].shape[-1] ** -0.5 if given.get("scale") is None else abs(given["scale"]))
    longest = float(key.max()) if key.numel() else 0.0
    sizes: Tensor = query * (longest * scale)
    return sizes


def _subtracted_sum(op: Op, call: Call) -> Tensor:
    """What a softmax's gradient answers to the rounding of the sum that it subtracts: where one share is nearly all, that is nearly the
    gradient itself, and what is left is what was rounded away."""
    given = arguments(op, call)
    terms, output = _finite_abs(given["grad_output"]), given["output"]
    if base_name(op) == "_log_softmax_backward_data":
        shares = _finite_abs(output.exp())
    else:
        shares = _finite_abs(output)
        terms = terms * shares
    return 4 * shares * (terms.sum(given["dim"], keepdim=True) if terms.dim() else terms)


def _projection(op: Op, call: Call) -> Results:
    """What a weight norm's gradient answers to the rounding of how far the incoming one lies along the weight, which both results are
    made of."""
    given = {
        name: _finite_abs(value) for name, value in arguments(op, call).items() if isinstance(value, Tensor)
    }
    v, norms = given["saved_v"], given["saved_norms"]
    beside = [dim for dim in range(v.dim()) if norms.shape[dim] == 1]
    products = 4 * given["grad_w"] * v
    # Along no dimensions it would add up all.
    terms = products.sum(beside, keepdim=True) if beside else products
    return _finite_abs(given["saved_g"] * v / norms**3 * terms), _finite_abs(terms / norms)


def _lost(op: Op, call: Call, exact: Results, step: float) -> Results:
    """What whoever meets the largest exponential first loses of their sum: all those below half a step of it."""
    result, dim = exact[0], arguments(op, call)["dim"]
    if not result.dim() and not call.args[0].dim():
        return (torch.zeros_like(_finite_abs(result)),)
    if base_name(op) in SOFTMAXES:
        shares = result
    elif base_name(op) == "logsumexp":
        shares = (call.args[0] - call.args[0].logsumexp(dim, keepdim=True)).exp()
    else:
        shares = result.exp()
    shares = _finite_abs(shares)
    lost = torch.where(shares < step / 2, shares, 0.0).sum(dim, keepdim=True)
    if base_name(op) in SOFTMAXES:
        return (shares * lost,)
    return (lost.reshape(result.shape) if base_name(op) == "logsumexp" else lost.expand_as(result),)


def _before_bias(op: Op, call: Call, exact: Results, run: Run) -> Tensor:
    """The size of a normalised result before something is added that may cancel it: its rounding is that of this."""
    bias = arguments(op, call).get("bias")
    if not isinstance(bias, Tensor):
        return _finite_abs(exact[0])
    return _finite_abs(run(_without(call, bias))[0])


def _subtracted_mean(op: Op, call: Call, exact: Results, means: Tensor) -> Tensor:
    """What a normalised result answers to the rounding of the mean alone, which is as good as a sum is.

    That of two close values is lost in this way, though both answer to no change of the inputs.
    """
    result, _, rstd = exact[:3]
    answer = means * _finite_abs(rstd)
    if base_name(op) == "native_group_norm":  # one mean for some channels
        channels = result.shape[1]
        answer = answer.repeat_interleave(max(1, channels // max(1, answer.shape[1])), 1)
        answer = answer.view(*answer.shape, *[1] * (result.dim() - 2))
    elif base_name(op) != "native_layer_norm":  # one for each channel
        answer = answer.view(-1, *[1] * (result.dim() - 2))
    weight = arguments(op, call).get("weight")
    largest = float(_finite_abs(weight).max()) if isinstance(weight, Tensor) and weight.numel() else 1.0
    fits = result.numel() and answer.numel()
    return answer.expand_as(result) * largest if fits else torch.zeros_like(_finite_abs(result))


# --------------------------------------------------------------------------------------- length

_INNER = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "vdot": 0, "inner": 0, "matmul": 0, "linear": 0}
_INNER |= {"addmm": 1, "baddbmm": 1, "addbmm": 1, "addmv": 1}
_ALONG_DIM = names("_softmax _log_softmax softmax log_softmax _safe_softmax cumsum cumprod logcumsumexp")


_LEAST_TRANSFORM = 32
"""Terms that count where there are fewer: the factors of each are rounded, too."""


def _length(op: Op, call: Call, size: Tensor) -> int:
    """About how many terms meet in one element of a result with as many elements as `size`."""
    name = base_name(op)
    given = tensors_of(call)
    if name == "addbmm":  # the products of all matrices are added up, too
        return max(1, int(math.prod(arguments(op, call)["batch1"].shape[::2])))
    # Where there are no others, whole numbers are added up as fractions.
    floating = [tensor for tensor in given if _real_valued(tensor)] or given
    if not floating:
        return 1
    if name in _INNER and floating[min(_INNER[name], len(floating) - 1)].dim():
        return max(1, floating[min(_INNER[name], len(floating) - 1)].shape[-1])
    if "attention" in name and len(floating) > 2 and floating[2].dim() > 1:
        return max(1, floating[2].shape[-2])  # keys; of a backward pass the gradient comes first
    if "conv" in name and len(floating) > 1 and floating[1].dim():
        return max(1, floating[1].numel() // max(1, min(floating[1].shape[:2])))
    if name in TRANSFORMS:
        sizes = [max(size.shape[dim], given[0].shape[dim]) for dim in arguments(op, call)["dim"]]
        return int(max(_LEAST_TRANSFORM, math.prod(sizes)))
    if name in _ALONG_DIM and floating[0].dim():
        dim = arguments(op, call).get("dim")
        return max(1, floating[0].shape[dim if isinstance(dim, int) else -1])
    if name in SCATTERED_SUMS:
        return max(1, min(64, max(tensor.numel() for tensor in floating)))
    biggest = max(tensor.numel() for tensor in floating)
    kept = size.numel() if size.numel() < biggest else next(iter(floating[0].shape), 1)
    return max(1, biggest // max(1, kept))
