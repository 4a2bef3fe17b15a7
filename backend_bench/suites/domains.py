"""What an operator's arguments have to be beyond their shapes: indices within bounds, statistics of the very input.

One table of rules by operator. A rule changes freshly drawn tensors in place and leaves their strides alone. Where
plain values would make a test toothless (no NaN for isnan, no two equal elements for eq), a rule plants some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from backend_bench import refused
from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.catalog import resolve

_SHARE = 4
"""One element in four is planted: often enough to be met, seldom enough to leave the rest a test."""
_NEGATIVE_SHARE = 16
"""One element in sixteen stays outside the domain of a logarithm or a root."""
_SEVERAL = 4
"""Indices of which one may be planted."""
_IGNORED_SHARE = 8
"""One target in eight is the one that the loss ignores."""
_MEAN = 1
"""`reduction` of a loss that is averaged."""
_LARGE_GRADIENT = 30_000
"""Within float16."""
_EPS = 1e-5
"""What torch adds to a variance by default."""


class Given:
    """A call's arguments under the names of the schema, defaults included."""

    def __init__(self, op: Operator, call: Call, generator: torch.Generator) -> None:
        schema = resolve(op)._schema.arguments
        defaults = {argument.name: argument.default_value for argument in schema}
        named = {argument.name: value for argument, value in zip(schema, call.args, strict=False)}
        self.values: dict[str, Any] = defaults | named | call.kwargs
        self.generator = generator

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def tensor(self, name: str) -> Tensor:
        value = self.values[name]
        if not isinstance(value, Tensor):
            raise TypeError(f"argument {name} should be a tensor and is {value!r}")
        return value


Rule = Callable[[Given], None]


def admit(op: Operator, call: Call, seed: int) -> Call:
    """The call with values that the operator admits; its tensors are changed in place."""
    rule = RULES.get(op.base) or RULES.get(op.base.removesuffix("_"))
    device = next((tensor.device for tensor in _tensors(call)), torch.device("cpu"))
    given = Given(op, call, torch.Generator(device=device).manual_seed(seed))
    _variances(given)
    if rule is not None:
        rule(given)
    return call


def fit(op: Operator, call: Call) -> bool:
    """Let what a forward pass has left be that of the arguments again, in place, after some were changed; False where that cannot be.

    The exponential of a score less its row's logarithmic sum is a share. Less another's sum it is any number, in which nothing else shows.
    """
    left = _LEFT_BY_FORWARD.get(op.base, ())
    if not left:
        return True
    given = Given(op, call, torch.Generator())
    if any(_memory(tensor).numel() < tensor.numel() for tensor in map(given.tensor, left)):
        return False  # elements share a place
    try:
        RULES[op.base](given)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except RuntimeError:  # the forward pass does not take this form, whatever the backward pass does
        return False
    return True


def _tensors(call: Call) -> list[Tensor]:
    values = [*call.args, *call.kwargs.values()]
    flat = [item for value in values for item in (value if isinstance(value, tuple | list) else [value])]
    return [value for value in flat if isinstance(value, Tensor)]


# ---- writing into a tensor -----------------------------------------------------------------------


def _memory(tensor: Tensor) -> Tensor:
    """Everything between the first and the last element, as one row; elements that share a place are one."""
    if tensor.numel() == 0:
        return tensor.new_empty(0)
    reach = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.as_strided((1 + reach,), (1,))


def _put(tensor: Tensor, values: Tensor) -> None:
    """Copy the values in; of those that share a place along an expanded dimension, the first."""
    for dim, step in enumerate(tensor.stride()):
        if step == 0 and tensor.shape[dim] > 1:
            tensor, values = tensor.narrow(dim, 0, 1), values.narrow(dim, 0, 1)
    tensor.copy_(values)


def _some(given: Given, row: Tensor, share: int) -> Tensor:
    """A mask that is true at one in `share` elements, at random."""
    return torch.randint(0, share, row.shape, generator=given.generator, device=row.device) == 0


def _below(given: Given, index: Tensor, bound: int) -> None:
    """Indices from 0 on, below the bound; one among several is the first or the last there is, which of thousands would hardly be drawn."""
    if index.numel() and bound < 1:
        raise IndexError("an index into a dimension without elements")
    row = _memory(index)
    if row.numel():
        row.random_(0, bound, generator=given.generator)
    if row.numel() >= _SEVERAL:
        where = torch.randint(0, row.numel(), (1,), generator=given.generator, device=row.device)
        which = torch.randint(0, 2, (1,), generator=given.generator, device=row.device)
        row.scatter_(0, where, (which * (bound - 1)).to(row.dtype))


def _half_true(given: Given, mask: Tensor, count: int | None = None) -> None:
    """A fixed number of true elements in random places, so that shapes of results do not depend on the draw."""
    many = mask.numel() // 2 if count is None else count
    order = torch.randperm(mask.numel(), generator=given.generator, device=mask.device)
    mask.copy_((order < many).view(mask.shape))


def _mostly_positive(given: Given, tensor: Tensor) -> None:
    row = _memory(tensor)
    if row.is_floating_point():
        few = row.numel() < _NEGATIVE_SHARE  # a lone NaN would be the whole answer
        row.copy_(row.abs() if few else torch.where(_some(given, row, _NEGATIVE_SHARE), row, row.abs()))


def _plant(given: Given, tensor: Tensor, values: list[float]) -> None:
    row = _memory(tensor)
    palette = torch.tensor(values, device=row.device).to(row.dtype)
    picks = torch.randint(0, len(values), row.shape, generator=given.generator, device=row.device)
    row.copy_(torch.where(_some(given, row, _SHARE), palette[picks], row))


# ---- rules for indices ---------------------------------------------------------------------------


def _index_along_dim(given: Given) -> None:
    """gather, scatter, index_select, index_add and their like: `index` names places along `dim` of `self`."""
    target = given.tensor("self")
    _below(given, given.tensor("index"), target.shape[given["dim"]] if target.dim() else 1)


def _distinct_along_dim(given: Given) -> None:
    """index_copy: two values for one place would leave the result to chance."""
    target, index = given.tensor("self"), given.tensor("index")
    size = target.shape[given["dim"]] if target.dim() else 1
    index.copy_(torch.randperm(size, generator=given.generator, device=index.device)[: index.numel()])


def _scatter(given: Given) -> None:
    """No place is written twice with different values: the order would decide which one stays."""
    target, index = given.tensor("self"), given.tensor("index")
    size = target.shape[given["dim"]] if target.dim() else 1
    if not isinstance(given.values.get("src"), Tensor) or not index.dim():
        _below(given, index, size)
        return
    dim = given["dim"] % index.dim()
    count = index.shape[dim]
    if count > size:
        raise IndexError(f"{count} values for {size} places")
    order = torch.rand(
        (*index.shape[:dim], size, *index.shape[dim + 1 :]), generator=given.generator, device=index.device
    )
    _put(index, order.argsort(dim).narrow(dim, 0, count))


def _take(given: Given) -> None:
    _below(given, given.tensor("index"), given.tensor("self").numel())


def _embedding(given: Given) -> None:
    _below(given, given.tensor("indices"), given.tensor("weight").shape[0])
    _some_padding(given)


def _embedding_backward(given: Given) -> None:
    _below(given, given.tensor("indices"), given["num_weights"])
    _some_padding(given)


def _some_padding(given: Given) -> None:
    """The row that means nothing is asked for, too; of thousands it would hardly be drawn."""
    row = _memory(given.tensor("indices"))
    if given["padding_idx"] >= 0 and row.numel() > _IGNORED_SHARE:
        row.masked_fill_(_some(given, row, _IGNORED_SHARE), given["padding_idx"])


def _embedding_bag(given: Given) -> None:
    """`offsets` are where the bags start in `indices`: ascending from 0."""
    indices, offsets = given.tensor("indices"), given.tensor("offsets")
    _below(given, indices, given.tensor("weight").shape[0])
    _below(given, offsets, indices.numel() + 1)
    offsets.copy_(offsets.sort().values)
    offsets[:1] = 0
    if isinstance(given.values.get("offset2bag"), Tensor):
        places = torch.arange(indices.numel(), device=offsets.device, dtype=offsets.dtype)
        given.tensor("offset2bag").copy_(torch.searchsorted(offsets, places, right=True) - 1)


def _indices(given: Given) -> None:
    """index and index_put: one index for each dimension in turn; a mask stands for as many as it has."""
    target, values = given.tensor("self"), given.values.get("values")
    dim = 0
    for index in given["indices"]:
        if index is None:
            dim += 1
        elif index.dtype in (torch.bool, torch.uint8):
            count = values.shape[0] if isinstance(values, Tensor) and values.dim() > 0 else 1
            _half_true(given, index, count if count != 1 else None)
            dim += index.dim()
        else:
            _below(given, index, target.shape[dim])
            dim += 1


def _one_hot(given: Given) -> None:
    """Without a number of classes it is the largest index, which then has to be the same in each draw."""
    index, classes = given.tensor("self"), given["num_classes"]
    bound = classes if classes > 0 else 10
    _below(given, index, bound)
    index.view(-1)[:1] = bound - 1


def _targets(given: Given) -> None:
    """Losses over classes: `target` names a class, or what is ignored; weights are positive."""
    scores, target = given.tensor("self"), given.tensor("target")
    classes = scores.shape[1] if scores.dim() > 1 else scores.shape[0]
    if isinstance(given["weight"], Tensor):
        _memory(given["weight"]).abs_()
    if target.is_floating_point():
        _put(target, target.float().softmax(1))
        return
    _below(given, target, classes)
    if target.numel() > _IGNORED_SHARE:
        row = _memory(target)
        row.masked_fill_(_some(given, row, _IGNORED_SHARE), given["ignore_index"])
    if "total_weight" in given.values:
        kept = target != given["ignore_index"]
        weight = given["weight"]
        each = weight[target.clamp(0, classes - 1)].float() if isinstance(weight, Tensor) else kept.float()
        given.tensor("total_weight").fill_(float((each * kept).sum()))


def _few_repeats(given: Given) -> None:
    """Each element as often as any other: the length of the result may be an argument, and is the same each time."""
    repeats, length = given.tensor("repeats"), given["output_size"]
    repeats.fill_(2 if length is None else length // max(1, repeats.numel()))


def _pooled(given: Given) -> None:
    """The places where the forward pass found its largest values, with the same settings."""
    settings = [given[name] for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")]
    _, indices = torch.ops.aten.max_pool2d_with_indices(given.tensor("self"), *settings)
    _put(given.tensor("indices"), indices)


# ---- rules for what a forward pass left behind ---------------------------------------------------


def _variances(given: Given) -> None:
    """Running variances are positive, whatever the operator."""
    if isinstance(given.values.get("running_var"), Tensor):
        _memory(given["running_var"]).abs_().add_(0.1)


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and reciprocal standard deviation of each row."""
    wide = rows if rows.dtype is torch.float64 else rows.float()
    variance, mean = torch.var_mean(wide, dim=-1, correction=0)
    return mean, (variance + _EPS).rsqrt()


def _batch_norm_backward(given: Given) -> None:
    if not isinstance(given["save_mean"], Tensor) or given["save_mean"].numel() == 0:
        return
    source = given.tensor("input")
    mean, scale = _moments(source.transpose(0, 1).reshape(source.shape[1], -1))
    _put(given["save_mean"], mean)
    _put(given.tensor("save_invstd"), scale)


def _layer_norm_backward(given: Given) -> None:
    source, mean = given.tensor("input"), given.tensor("mean")
    width = len(given["normalized_shape"])
    means, scale = _moments(source.flatten(source.dim() - width))
    _put(mean, means.view(mean.shape))
    _put(given.tensor("rstd"), scale.view(mean.shape))


def _group_norm_backward(given: Given) -> None:
    source, mean = given.tensor("input"), given.tensor("mean")
    means, scale = _moments(source.reshape(given["N"], given["group"], -1))
    _put(mean, means.view(mean.shape))
    _put(given.tensor("rstd"), scale.view(mean.shape))


def _rms_norm_backward(given: Given) -> None:
    source, rstd = given.tensor("input"), given.tensor("rstd")
    rows = source.flatten(source.dim() - len(given["normalized_shape"])).double()
    _put(rstd, (rows.square().mean(-1) + _EPS).rsqrt().view(rstd.shape))


def _attention_backward(forward: str, *outputs: str) -> Rule:
    """What the forward pass on these queries, keys and values has left; its statistics have a layout of their own."""

    def rule(given: Given) -> None:
        op = getattr(torch.ops.aten, forward).default
        taken = {argument.name for argument in op._schema.arguments}
        known = {**given.values, "compute_log_sumexp": True}
        results = refused.call(
            op,
            **{
                name: value
                for name, value in known.items()
                if name in taken and (value is not None or name == "attn_bias")
            },
        )
        for name, result in zip(outputs, results, strict=False):
            _put(given.tensor(name), result)

    return rule


def _log_sigmoid_backward(given: Given) -> None:
    """The forward pass keeps the smaller exponential of the two signs; a GPU keeps none."""
    source, buffer = given.tensor("self"), given.tensor("buffer")
    if buffer.shape == source.shape:
        _put(buffer, (-source.abs().double()).exp())


def _groups(given: Given) -> None:
    """_grouped_mm: where each group of rows, columns or terms ends, ascending up to all of them."""
    if not isinstance(given["offs"], Tensor):
        return
    left, right, ends = given.tensor("self"), given.tensor("mat2"), given.tensor("offs")
    whole = right.shape[-1] if left.dim() == 3 else left.shape[0 if right.dim() == 3 else 1]
    _below(given, ends, whole + 1)
    ends.copy_(ends.sort().values)
    ends[-1:] = whole


def _denominator(given: Given) -> None:
    """addcdiv: an update is divided by a root of squares plus epsilon, never by what is near zero."""
    row = _memory(given.tensor("tensor2"))
    if row.is_floating_point():
        row.abs_().add_(0.1)


def _softmax_output(given: Given) -> None:
    output = given.tensor("output")
    _put(output, torch.softmax(output.float(), given["dim"]))


def _log_softmax_output(given: Given) -> None:
    output = given.tensor("output")
    _put(output, torch.log_softmax(output.float(), given["dim"]))


def _tanh_output(given: Given) -> None:
    _memory(given.tensor("output")).tanh_()


def _sigmoid_output(given: Given) -> None:
    _memory(given.tensor("output")).sigmoid_()


def _elu_output(given: Given) -> None:
    if given["is_result"]:
        own = given.tensor("self_or_result")
        _put(own, torch.ops.aten.elu(own, given["alpha"], given["scale"], given["input_scale"]))


def _mean_backward(given: Given) -> None:
    """Losses that divide by the number of elements: a gradient near 1 would leave results that round to zero."""
    grad, count = given.tensor("grad_output"), given.tensor("self").numel()
    if given["reduction"] == _MEAN:
        row = _memory(grad)
        row.copy_(torch.where(row < 0, -1.0, 1.0) * min(max(count // 8, 1), _LARGE_GRADIENT))


# ---- rules for domains ---------------------------------------------------------------------------


def _positive_self(given: Given) -> None:
    _mostly_positive(given, given.tensor("self"))


def _unit_self(given: Given) -> None:
    """Arc functions: most values within [-1, 1]."""
    row = _memory(given.tensor("self"))
    row.copy_(torch.where(_some(given, row, _NEGATIVE_SHARE), row, row.tanh()))


def _from_one(given: Given) -> None:
    """acosh: most values from 1 on."""
    row = _memory(given.tensor("self"))
    row.copy_(torch.where(_some(given, row, _NEGATIVE_SHARE), row, row.abs() + 1))


def _share_self(given: Given) -> None:
    """logit: most values between 0 and 1."""
    row = _memory(given.tensor("self"))
    row.copy_(torch.where(_some(given, row, _NEGATIVE_SHARE), row, row.sigmoid()))


def _zeta(given: Given) -> None:
    """special_zeta: the sum converges for exponents above 1, and its first term is at `other`."""
    for name, least in (("self", 1.1), ("other", 0.1)):
        if isinstance(given[name], Tensor):
            _memory(given[name]).abs_().add_(least)


def _shares(given: Given) -> None:
    """binary_cross_entropy: probabilities on both sides."""
    for name in ("self", "target"):
        _memory(given.tensor(name)).sigmoid_()


def _power(given: Given) -> None:
    base, exponent = given["self"], given["exponent"]
    if isinstance(exponent, Tensor):
        if exponent.is_floating_point():
            _memory(exponent).clamp_(-3, 3)  # 10000 ** 24 is infinite, and so is every mistake near it
        else:
            _memory(exponent).remainder_(4)
    if isinstance(base, Tensor) and (isinstance(exponent, Tensor) or exponent != int(exponent)):
        _mostly_positive(given, base)


def _divisor(given: Given) -> None:
    """No whole number is divided by zero."""
    other = given["other"]
    if isinstance(other, Tensor) and not (other.is_floating_point() or other.is_complex()):
        row = _memory(other)
        row.masked_fill_(row == 0, 1)


def _grid(given: Given) -> None:
    """Places within the picture, and some beyond its edge."""
    _memory(given.tensor("grid")).uniform_(-1.2, 1.2, generator=given.generator)


def _lone(given: Given) -> None:
    """any and all: random bits would give the same answer with every draw."""
    row, whole = _memory(given.tensor("self")), given.values.get("op") == "all"
    row.fill_(1 if whole else 0)
    coin, place = (
        torch.randint(0, bound, (), generator=given.generator, device=row.device)
        for bound in (2, max(1, row.numel()))
    )
    if row.numel() and bool(coin):
        row[place] = 0 if whole else 1


def _all(given: Given) -> None:
    given.values["op"] = "all"
    _lone(given)


def _wild(given: Given) -> None:
    """isnan and isinf: what they look for is there."""
    if given.tensor("self").is_floating_point():
        _plant(given, given.tensor("self"), [float("nan"), float("inf"), float("-inf"), 0.0])


def _equal(given: Given) -> None:
    """Comparisons: some elements are equal to the other side."""
    own, other = given.tensor("self"), given["other"]
    if own.dtype is torch.bool:
        return
    if isinstance(other, Tensor):
        with torch.no_grad():
            wide = torch.where(_some(given, own, _SHARE), other.to(own.dtype), own)
        if wide.shape == own.shape:
            _put(own, wide)
    elif float(torch.tensor(other).to(own.dtype)) == other:  # 1e-12 is none of float16
        step = abs(other) / 4 + 1  # and both sides of it: ordinary values may all lie below
        _plant(given, own, [other, other - step, other + step])


def _zeros(given: Given) -> None:
    for name in ("self", "other"):
        value = given.values.get(name)
        if isinstance(value, Tensor) and value.dtype is not torch.bool:
            _plant(given, value, [0.0])


def _half_zero(given: Given) -> None:
    """nonzero: as many places with every draw."""
    own = given.tensor("self")
    mask = torch.empty(own.shape, dtype=torch.bool, device=own.device)
    _half_true(given, mask)
    _put(own, torch.where(mask, 1, 0).to(own.dtype))


def _half_mask(given: Given) -> None:
    _half_true(given, given.tensor("mask"))


def _each(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


_LEFT_BY_FORWARD: Mapping[str, tuple[str, ...]] = {
    **{
        f"_scaled_dot_product_{kernel}_backward": ("out", "logsumexp")
        for kernel in ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")
    },
    "log_sigmoid_backward": ("buffer",),
}
"""Arguments of a backward pass that its forward pass has left, where others than those would drown everything else."""

RULES: Mapping[str, Rule] = {
    **_each(
        _index_along_dim,
        "gather scatter_add scatter_reduce index_select index_add index_fill index_reduce",
    ),
    **_each(_scatter, "scatter"),
    **_each(_distinct_along_dim, "index_copy"),
    **_each(_take, "take put"),
    **_each(_embedding, "embedding"),
    **_each(_embedding_backward, "embedding_dense_backward embedding_backward"),
    **_each(
        _embedding_bag,
        "_embedding_bag _embedding_bag_forward_only _embedding_bag_per_sample_weights_backward embedding_bag",
    ),
    **_each(_indices, "index index_put _index_put_impl _unsafe_index _unsafe_index_put"),
    **_each(_one_hot, "one_hot"),
    **_each(
        _targets,
        "nll_loss nll_loss_forward nll_loss_backward nll_loss2d nll_loss2d_forward nll_loss2d_backward"
        " cross_entropy_loss",
    ),
    **_each(_few_repeats, "repeat_interleave"),
    **_each(_pooled, "max_pool2d_with_indices_backward"),
    **_each(_batch_norm_backward, "native_batch_norm_backward"),
    **_each(_layer_norm_backward, "native_layer_norm_backward"),
    **_each(_group_norm_backward, "native_group_norm_backward"),
    **_each(_rms_norm_backward, "_fused_rms_norm_backward"),
    **{
        name: _attention_backward(name.removesuffix("_backward"), *left)
        for name, left in _LEFT_BY_FORWARD.items()
        if "attention" in name
    },
    **_each(_log_sigmoid_backward, "log_sigmoid_backward"),
    **_each(_groups, "_grouped_mm"),
    **_each(_denominator, "addcdiv"),
    **_each(_softmax_output, "_softmax_backward_data"),
    **_each(_log_softmax_output, "_log_softmax_backward_data"),
    **_each(_mean_backward, "mse_loss_backward smooth_l1_loss_backward huber_loss_backward"),
    **_each(_tanh_output, "tanh_backward"),
    **_each(_sigmoid_output, "sigmoid_backward"),
    **_each(_elu_output, "elu_backward"),
    **_each(_positive_self, "log log2 log10 log1p sqrt rsqrt lgamma digamma"),
    **_each(_unit_self, "acos asin atanh erfinv"),
    **_each(_from_one, "acosh"),
    **_each(_share_self, "logit"),
    **_each(_shares, "binary_cross_entropy binary_cross_entropy_backward"),
    **_each(_zeta, "special_zeta"),
    **_each(_power, "pow float_power"),
    **_each(_divisor, "div divide true_divide floor_divide remainder fmod"),
    **_each(_grid, "grid_sampler_2d grid_sampler_3d grid_sampler_2d_backward grid_sampler_3d_backward"),
    **_each(_lone, "any"),
    **_each(_all, "all"),
    **_each(_wild, "isnan isinf isfinite isposinf isneginf nan_to_num"),
    **_each(_equal, "eq ne lt le gt ge"),
    **_each(_zeros, "logical_and logical_or logical_xor logical_not count_nonzero sgn sign"),
    **_each(_half_zero, "nonzero"),
    **_each(_half_mask, "masked_select masked_scatter"),
}
"""By the operator's base name, the in-place form included. Operators without a rule admit any values."""
