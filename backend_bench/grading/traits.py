"""What grading has to know about particular ATen operators; tables, with the reason beside each.

Names are those of the functional packet: `add_` and `add.out` are found under `add`.
"""

from __future__ import annotations

import torch

Op = torch._ops.OpOverload


def base_name(op: Op) -> str:
    """The packet's name without the mark of the in-place form: `add` for `add_.Tensor`."""
    name = str(op._schema.name).removeprefix("aten::")
    return name if name.startswith("__") else name.rstrip("_") or name


def is_pointwise(op: Op) -> bool:
    """Whether each element of the result comes from one element of each input."""
    name = base_name(op)
    if torch.Tag.pointwise in op.tags:
        return name not in _NOT_POINTWISE
    if name in UNTAGGED:
        return True
    packet = getattr(torch.ops.aten, name, None)
    functional = getattr(packet, op._overloadname, None)
    tags = functional.tags if isinstance(functional, Op) else []
    return torch.Tag.pointwise in tags and name not in _NOT_POINTWISE


def unjudgeable(op: Op) -> str:
    """Why results of `op` cannot be judged, or an empty string where they can."""
    return UNJUDGEABLE.get(base_name(op), "")


def names(text: str) -> frozenset[str]:
    """A set of operator names from words, since the tables are read and not computed."""
    return frozenset(text.split())


UNTAGGED = names(
    "hardtanh_backward hardsigmoid_backward hardswish_backward leaky_relu_backward elu_backward"
    " hardshrink_backward softshrink_backward softplus_backward log_sigmoid_backward"
)
"""Pointwise gradients that torch has given no tag; at NaN its own vector and scalar code differ in some of them."""
_NOT_POINTWISE = names("equal")  # tagged so, yet it reduces to one answer

_PHASE = "its factors are unique only up to sign, phase or order"
_MEMORY = "it returns uninitialised memory"
_RANDOM = "its results are random"

UNJUDGEABLE: dict[str, str] = {
    **dict.fromkeys(names("svd linalg_svd linalg_eig geqrf qr linalg_qr"), _PHASE),
    **dict.fromkeys(names("_linalg_svd linalg_eigh _linalg_eigh _linalg_eigvals"), _PHASE),
    **dict.fromkeys(names("linalg_eigvals linalg_ldl_factor linalg_ldl_factor_ex"), _PHASE),
    **dict.fromkeys(names("pca_lowrank svd_lowrank lobpcg"), _PHASE),
    **dict.fromkeys(names("empty empty_like empty_strided empty_permuted new_empty"), _MEMORY),
    **dict.fromkeys(names("new_empty_strided resize resize_as"), _MEMORY),
    **dict.fromkeys(names("rand rand_like randn randn_like randint randint_like"), _RANDOM),
    **dict.fromkeys(names("randperm bernoulli normal multinomial uniform exponential"), _RANDOM),
    **dict.fromkeys(names("cauchy geometric log_normal random poisson binomial"), _RANDOM),
    **dict.fromkeys(names("_standard_gamma _sample_dirichlet normal_functional"), _RANDOM),
}

ORDERED: dict[str, str] = {
    "bucketize": "boundaries",
    "searchsorted": "sorted_sequence",
    "histogram": "bins",
    "_histogramdd_from_bin_tensors": "bins",
}
"""The argument that has to be in ascending order; on any other the answer is that of one search and of no other."""

UNPOOLS: dict[str, int] = {"max_unpool2d": 2, "max_unpool3d": 3}
"""Operators that put a window's value where its index says, and how many dimensions a plane of theirs has."""

STEPS = names("linspace logspace")
"""Operators that go from a start to an end in equal steps; ATen takes them in the dtype of the result on a CPU, and may end up far off."""

DTYPE_BOUND = names(
    # the result is a property of the dtype itself, or of its bits
    "nan_to_num nextafter frexp view view_as_real view_as_complex view_dtype ldexp isclose allclose"
    " finfo"
    # casts round: the float64 run would skip the rounding that is the operator's whole work
    " _to_copy to copy type_as lift lift_fresh bernoulli"
    # takes float64 on some machines, and gives anything
    " _scaled_dot_product_cudnn_attention _scaled_dot_product_cudnn_attention_backward"
    # quantisation and packed formats
    " quantize_per_tensor quantize_per_channel fake_quantize_per_tensor_affine_cachemask"
    " fake_quantize_per_channel_affine_cachemask _fake_quantize_learnable_per_tensor_affine"
    " dequantize _weight_int4pack_mm _weight_int8pack_mm _convert_weight_to_int4pack"
    " _scaled_mm _int_mm choose_qparams_optimized"
    # fills and scans that ask for the dtype
    " full_like ones_like zeros_like new_full new_ones new_zeros scalar_tensor"
    # one step in the dtype is the result
    " arange"
)
"""Operators for which a float64 run answers another question: ATen alone is the reference."""

MEMORY_BOUND = names(
    "as_strided as_strided_copy as_strided_scatter _unsafe_view view view_copy _reshape_alias set"
)
"""Operators that name places in memory: other strides are another question."""

EXACT = names(
    # moves and copies
    "clone copy contiguous cat concat stack hstack vstack dstack gather index_select index take"
    " take_along_dim where masked_select masked_fill masked_scatter fill fill_diagonal zero zeros"
    " ones full eye full_like ones_like zeros_like new_full new_ones new_zeros scalar_tensor"
    " repeat repeat_interleave tile roll flip fliplr flipud rot90 tril triu expand expand_as"
    " broadcast_to narrow slice select split split_with_sizes chunk unbind unfold im2col pad"
    " constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d"
    " replication_pad2d replication_pad3d _pad_circular _pad_enum pixel_shuffle pixel_unshuffle"
    " channel_shuffle native_channel_shuffle diag diag_embed diagonal diagonal_scatter"
    " slice_scatter select_scatter as_strided_scatter as_strided index_copy index_fill embedding"
    " one_hot transpose t permute movedim moveaxis swapaxes swapdims squeeze unsqueeze reshape"
    " _unsafe_view view view_as _reshape_alias flatten unflatten ravel alias detach real imag"
    " view_as_real view_as_complex _to_copy to type_as lift lift_fresh resolve_conj resolve_neg"
    " conj _conj _neg_view conj_physical block_diag meshgrid cartesian_prod combinations"
    " atleast_1d atleast_2d atleast_3d column_stack _chunk_cat split_copy unbind_copy slice_copy"
    " select_copy permute_copy transpose_copy t_copy squeeze_copy unsqueeze_copy view_copy"
    " expand_copy as_strided_copy diagonal_copy unfold_copy detach_copy alias_copy"
    " split_with_sizes_copy view_as_real_copy view_as_complex_copy _local_scalar_dense item"
    " _unsafe_index unsafe_split unsafe_chunk unsafe_split_with_sizes upsample_nearest1d"
    " upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d"
    " _upsample_nearest_exact3d max_unpool2d max_unpool3d isin vander_ tril_indices triu_indices"
    # selections
    " sort argsort msort topk kthvalue median nanmedian mode max min amax amin aminmax argmax"
    " argmin cummax cummin maximum minimum fmax fmin clamp clamp_min clamp_max clip relu relu6"
    " hardtanh threshold hardshrink unique_dim unique_consecutive _unique _unique2 searchsorted"
    " max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices"
    " max_pool3d_with_indices adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
    " fractional_max_pool2d fractional_max_pool3d threshold_backward bucketize"
    # one rounding at most, and that is the result
    " abs neg negative positive sign signbit copysign floor ceil round trunc fix frac heaviside"
    " nan_to_num nextafter frexp isnan isinf isfinite isposinf isneginf eq ne lt le gt ge"
    " logical_and logical_or logical_xor logical_not equal isclose allclose"
)
"""Operators that move, select or round once: a right kernel gives the very same values."""

JUMPS = names(
    "floor ceil round trunc fix frac sign sgn heaviside eq ne lt le gt ge argmax argmin"
    " floor_divide remainder fmod hardshrink threshold bucketize searchsorted histc"
)
"""Operators with jumps: beside one, the value of either precision is right."""

FROM_ITS_SIZE = names("gelu gelu_backward")
"""Pointwise operators whose formula takes their first input times a difference of nearly equal numbers."""

ARITHMETIC = names(
    "add sub rsub mul div true_divide reciprocal square sqrt addcmul addcdiv lerp deg2rad rad2deg"
    " log1p expm1"  # there is a one inside, and to keep it from costing digits is their whole purpose
)
"""Pointwise operators without a transcendental function, so without a one inside a formula."""

SUMS = names(
    "sum mean nansum nanmean trace mv dot vdot inner cumsum mm bmm addmm addbmm baddbmm addmv"
    " linear matmul einsum _trilinear convolution _convolution conv1d conv2d conv3d"
    " conv_transpose1d conv_transpose2d conv_transpose3d mkldnn_convolution cudnn_convolution"
    " conv_tbc tensordot chain_matmul linalg_multi_dot kron outer avg_pool1d avg_pool2d avg_pool3d"
    " adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d"
    " _adaptive_avg_pool3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d"
    " upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa addr"
)
"""Sums of products: the magnitude of their terms is the same operator on absolute values."""

INTERPOLATIONS = names("upsample_linear1d upsample_bilinear2d upsample_trilinear3d upsample_bicubic2d")
"""Those among them that look at places between the elements of an image."""

ADDS_TO_PRODUCT: dict[str, str] = {
    "addmm": "mat1",
    "addmv": "mat",
    "addbmm": "batch1",
    "baddbmm": "batch1",
    "addr": "vec1",
    "convolution": "input",
}
"""Products to which something is added, and a factor of them: a kernel may do the two one after the other."""

PRODUCTS = names("prod cumprod")
"""Products of many, which in one order may overflow half way and in another not."""

SCATTERED_SUMS = names(
    "index_add scatter_add scatter_reduce index_put _index_put_impl _unsafe_index_put put"
    " embedding_bag _embedding_bag col2im embedding_dense_backward avg_pool2d_backward"
    " avg_pool3d_backward _adaptive_avg_pool2d_backward _adaptive_avg_pool3d_backward"
    " max_pool2d_with_indices_backward max_pool3d_with_indices_backward"
    " upsample_bilinear2d_backward upsample_nearest2d_backward upsample_bicubic2d_backward"
    " select_backward slice_backward unfold_backward segment_reduce bincount scatter"
    " reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward"
    " replication_pad1d_backward replication_pad2d_backward replication_pad3d_backward"
)
"""Sums that ATen itself accumulates in the output's dtype, with atomics on a GPU."""

TRANSFORMS = names("_fft_c2c _fft_r2c _fft_c2r")
"""Each result is a sum over all of a line, and the error of its largest terms shows in the smallest."""

SAMPLERS = names("grid_sampler_2d grid_sampler_3d")
"""Operators that reckon where to look from a position in [-1, 1], in three or four roundings."""

ACCUMULATIONS = (
    TRANSFORMS
    | SAMPLERS
    | names(
        "prod cumprod norm linalg_vector_norm linalg_norm var std var_mean std_mean logsumexp"
        " logcumsumexp softmax _softmax log_softmax _log_softmax _safe_softmax native_layer_norm"
        " layer_norm native_group_norm group_norm native_batch_norm batch_norm rms_norm"
        " _fused_rms_norm _native_batch_norm_legit _native_batch_norm_legit_functional"
        " _native_batch_norm_legit_no_training _batch_norm_with_update cudnn_batch_norm instance_norm"
        " cdist _cdist_forward pdist _pdist_forward dist renorm nll_loss nll_loss_forward"
        " nll_loss2d_forward cross_entropy_loss mse_loss l1_loss smooth_l1_loss huber_loss kl_div"
        " binary_cross_entropy binary_cross_entropy_with_logits soft_margin_loss cosine_similarity"
        " _softmax_backward_data _log_softmax_backward_data native_layer_norm_backward"
        " native_group_norm_backward native_batch_norm_backward convolution_backward"
        " _scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention"
        " _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_cudnn_attention"
        " scaled_dot_product_attention _scaled_dot_product_attention_math cov corrcoef"
        " _scaled_dot_product_flash_attention_backward _scaled_dot_product_efficient_attention_backward"
        " _scaled_dot_product_flash_attention_for_cpu_backward _scaled_dot_product_cudnn_attention_backward"
        " _weight_norm_interface _weight_norm_interface_backward"
    )
)
"""Long accumulations that are not plain sums: rounding grows with the root of their length."""

CHAINS = names(
    "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention"
    " _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_cudnn_attention"
    " scaled_dot_product_attention _scaled_dot_product_attention_math linalg_multi_dot"
    " _scaled_dot_product_flash_attention_backward _scaled_dot_product_efficient_attention_backward"
    " _scaled_dot_product_flash_attention_for_cpu_backward _scaled_dot_product_cudnn_attention_backward"
    " chain_matmul _trilinear bilinear"
)
"""One product after another: what lies between is rounded to the short dtype, by ATen too."""

UNDEFINED_OUTPUTS: dict[str, dict[int, str]] = {
    "_embedding_bag": dict.fromkeys((1, 2, 3), "bookkeeping of ATen's own backward"),
    "_embedding_bag_forward_only": dict.fromkeys((1, 2, 3), "bookkeeping of ATen's backward"),
    "_scaled_dot_product_flash_attention": dict.fromkeys(
        (1, 2, 3, 4, 5, 6, 7, 8), "statistics in ATen's own layout, random state"
    ),
    "_scaled_dot_product_efficient_attention": dict.fromkeys(
        (1, 2, 3), "statistics in ATen's own layout, random state"
    ),
    "_scaled_dot_product_cudnn_attention": dict.fromkeys(
        (1, 2, 3, 4, 5, 6, 7, 8), "statistics in ATen's own layout, random state"
    ),
    "_ctc_loss": {1: "ATen's own table for backward, not written throughout"},
    "cudnn_batch_norm": {3: "cuDNN's reserve"},
    "_cudnn_rnn": {4: "cuDNN's reserve"},
    "_batch_norm_with_update": {3: "a backend's reserve"},
    "_linalg_det": dict.fromkeys((1, 2), "factors of the matrix or of its transpose, by its strides"),
    "_linalg_slogdet": dict.fromkeys((2, 3), "factors of the matrix or of its transpose, by its strides"),
}
"""Outputs whose values nobody defines: only number, shape and dtype are compared."""

DRAWN_WINDOWS = names("fractional_max_pool2d fractional_max_pool3d")
"""Poolings whose windows follow from random numbers, and in a short dtype from their rounding: values, then indices."""

TOTALS = names("nll_loss_forward nll_loss2d_forward")
"""Losses that give a total weight, too, which without a reduction divides nothing."""

UNSHAPED_OUTPUTS = names("_embedding_bag _embedding_bag_forward_only")
"""Those among them whose shape ATen itself changes from path to path."""

INDEX_ALONG_DIM: dict[str, int] = {
    "argmax": 0,
    "argmin": 0,
    "argsort": 0,
    **dict.fromkeys(names("max min sort topk kthvalue median nanmedian mode cummax cummin"), 1),
}
"""Which output is an index along the argument `dim` of the first input."""

INDEX_IN_PLANE: dict[str, int] = {
    "max_pool1d_with_indices": 1,
    "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3,
    "adaptive_max_pool1d": 1,
    "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3,
    "fractional_max_pool2d": 2,
    "fractional_max_pool3d": 3,
}
"""Whose second output is a flat index into the last so many dimensions of the first input."""

CONTESTED_WRITES = names("scatter index_put _index_put_impl _unsafe_index_put index_copy put")
"""Writers without an order: where two writes meet, either value may stay."""

NORMALISATIONS = names(
    "native_layer_norm native_group_norm native_batch_norm _native_batch_norm_legit"
    " _native_batch_norm_legit_functional"
)
"""Operators that subtract a mean and give it back with the reciprocal deviation: output, mean, rstd."""

SOFTMAXES = names("softmax _softmax _safe_softmax")
"""Operators whose results are exponentials: an absolute error before is a relative one after."""

SOFTMAX_GRADIENTS = names("_softmax_backward_data _log_softmax_backward_data")
"""Gradients that subtract a sum, of which next to nothing may be left."""

WEIGHT_NORM_GRADIENT = "_weight_norm_interface_backward"
"""Its sum runs over whole rows of a weight, and of random signs little may be left of it."""

EXPONENTIAL_SUMS = SOFTMAXES | names("log_softmax _log_softmax logsumexp")
"""Operators that add up exponentials, where most may be too small to count beside the largest."""
