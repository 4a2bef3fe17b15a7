"""What operators with an internal name do, in our words: no public docstring describes them."""

from __future__ import annotations

_ATTENTION = (
    "Attention: softmax(scale * query @ key^T) @ value for each batch and head, with query (N, heads, L, E), key and value"
    " (N, heads, S, E); scale is 1/sqrt(E) unless given. With is_causal query i sees keys 0 to i only. Where keys and"
    " values have fewer heads, head h of the queries takes their head h // (query heads / key heads). Of the results the"
    " first is compared (N, heads, L, E); the others are bookkeeping whose shape and dtype must be right."
)
_ATTENTION_BACKWARD = (
    "Gradients of attention for query, key and value. With P = exp(scale * query @ key^T - logsumexp), 0 where masked:"
    " grad_value = P^T @ grad_out; S = P * (grad_out @ value^T - sum(grad_out * out) along the last dimension);"
    " grad_query = scale * S @ key; grad_key = scale * S^T @ query. scale is 1/sqrt(E) unless given. Where"
    " keys and values have fewer heads, head h of the queries takes their head h // (query heads / key heads), and the gradients of a head"
    " that several take add up."
)
OPERATORS = {
    "_adaptive_avg_pool2d": "Mean over windows chosen so that the last two dimensions get output_size: output i"
    " averages inputs floor(i*in/out) up to ceil((i+1)*in/out).",
    "_adaptive_avg_pool3d": "Mean over windows chosen so that the last three dimensions get output_size: output i"
    " averages inputs floor(i*in/out) up to ceil((i+1)*in/out).",
    "_batch_norm_with_update": "Batch normalisation for training: normalises each channel (dimension 1) with the"
    " batch's mean and biased variance, applies weight and bias, and moves running_mean and running_var by momentum"
    " (the unbiased variance). Returns the output, the saved mean, the saved 1/sqrt(var + eps), and a reserve.",
    "_cdist_forward": "Distance in the p-norm of every row of x1 to every row of x2, batched over leading dimensions.",
    "_chunk_cat": "Cuts each tensor into num_chunks pieces along dim, zero-padded at the end to equal pieces,"
    " flattens each piece, and joins the pieces of all tensors chunk by chunk.",
    "_conj_physical": "Complex conjugate, written to new memory.",
    "_embedding_bag_forward_only": "Looks up rows of weight at indices and reduces those of each bag (mode 0 sum,"
    " 1 mean, 2 max); bag i spans offsets[i] to offsets[i+1]. Returns the bags and bookkeeping tensors.",
    "_euclidean_dist": "Euclidean distance of every row of x1 to every row of x2, through a matrix product.",
    "_fft_c2c": "Discrete Fourier transform of complex input over dim; forward picks the direction, normalization"
    " 0 means none, 1 divides by sqrt(n), 2 by n.",
    "_fft_c2r": "Inverse Fourier transform over dim from the non-redundant half of a Hermitian signal to real output"
    " with last_dim_size elements in the last transformed dimension; normalization 0 none, 1 by sqrt(n), 2 by n.",
    "_fft_r2c": "Fourier transform over dim of real input to complex output; with onesided only the non-redundant"
    " half of the last transformed dimension is returned; normalization 0 none, 1 by sqrt(n), 2 by n.",
    "_grouped_mm": "Matrix products of groups; offs (int32) holds where each group ends. self (M, K) and mat2 (G, K, N):"
    " the rows of group g times mat2[g]. self (G, M, K) and mat2 (K, N): self[g] times the columns of group g. Both 2-d:"
    " K is cut into groups, and the result is (G, M, N). Both 3-d: a batched product.",
    "_histogramdd_bin_edges": "Edges of equally wide bins for a histogram of points with several coordinates, one"
    " tensor for each coordinate, over range or else from the smallest to the largest value.",
    "_histogramdd_from_bin_cts": "Counts (or sums weights of) points with several coordinates in equally wide bins.",
    "_histogramdd_from_bin_tensors": "Counts (or sums weights of) points with several coordinates between given edges.",
    "_linalg_det": "Determinant of square matrices, with their LU factors and pivots.",
    "_linalg_slogdet": "Sign and logarithm of the absolute determinant, with the LU factors and pivots.",
    "_linalg_solve_ex": "Solves A X = B (X A = B with left=False) by LU; returns X, the LU factors, the pivots and info.",
    "_log_softmax": "Logarithm of the softmax of self along dim: x - max - log(sum(exp(x - max))). half_to_float"
    " computes half input in float and returns float.",
    "_log_softmax_backward_data": "Gradient of log_softmax: grad_output - exp(output) * sum(grad_output) along dim; output"
    " is what the forward pass gave, input_dtype the dtype of the result.",
    "_native_batch_norm_legit": "Batch normalisation of each channel (dimension 1): with training, by the batch's"
    " mean and biased variance, else by the running ones; then weight and bias. In training the running statistics"
    " move by momentum. Returns the output, the mean used and 1/sqrt(var + eps).",
    "_pdist_forward": "Distances in the p-norm between all pairs of rows i < j of self, as a flat vector.",
    "_prelu_kernel": "self where it is positive, else weight * self; weight broadcasts.",
    "_safe_softmax": "Softmax along dim, with rows that are -inf throughout giving zeros instead of NaN.",
    "_scaled_dot_product_cudnn_attention": _ATTENTION
    + " attn_bias, where given, is added to the scaled scores.",
    "_scaled_dot_product_cudnn_attention_backward": _ATTENTION_BACKWARD,
    "_scaled_dot_product_efficient_attention": _ATTENTION
    + " attn_bias, where given, is added to the scaled scores.",
    "_scaled_dot_product_efficient_attention_backward": _ATTENTION_BACKWARD,
    "_scaled_dot_product_flash_attention": _ATTENTION,
    "_scaled_dot_product_flash_attention_backward": _ATTENTION_BACKWARD,
    "_scaled_dot_product_flash_attention_for_cpu": _ATTENTION
    + " attn_mask, where given, is added to the scaled scores.",
    "_scaled_dot_product_flash_attention_for_cpu_backward": _ATTENTION_BACKWARD,
    "_softmax": "Softmax of self along dim: exp(x - max) divided by its sum over that dimension. half_to_float"
    " computes half input in float and returns float.",
    "_softmax_backward_data": "Gradient of softmax: output * (grad - sum(grad * output)) along dim.",
    "_to_copy": "Copies self to another dtype, device, layout or memory format.",
    "_trilinear": "Sum over sumdim of the product of three tensors, each expanded at the dimensions in its list.",
    "_unique2": "The distinct elements of self, sorted; optionally where each element went and how often it occurs.",
    "_unsafe_masked_index": "self[indices] where mask is true, else fill; indices under a false mask may be invalid.",
    "_unsafe_masked_index_put_accumulate": "A copy of self with values added at indices where mask is true.",
    "_unsafe_view": "A copy-free reshape to size whose result counts as a tensor of its own.",
    "_upsample_bilinear2d_aa": "Bilinear resize of the last two dimensions with an antialiasing (triangle) filter.",
    "_upsample_nearest_exact1d": "Nearest-neighbour resize of the last dimension, taking input floor((i+0.5)*in/out).",
    "_upsample_nearest_exact2d": "Nearest-neighbour resize of the last two dimensions, taking input"
    " floor((i+0.5)*in/out) in each.",
    "_upsample_nearest_exact3d": "Nearest-neighbour resize of the last three dimensions, taking input"
    " floor((i+0.5)*in/out) in each.",
    "_weight_norm_interface": "v * g / norm, with the 2-norm of v over all dimensions but dim. Returns that and the norms.",
    "_weight_norm_interface_backward": "Gradients of v * g / norm(v) for v and for g, the norm taken over all dimensions"
    " but dim: grad_g = sum(grad_w * v) / norm, grad_v = g / norm * (grad_w - v * sum(grad_w * v) / norm**2).",
    "avg_pool2d_backward": "Gradient of 2-d mean pooling: spreads each output gradient evenly over its window's divisor;"
    " the padding counts in it with count_include_pad, and divisor_override replaces it.",
    "bucketize": "For each value, the index of the boundary interval that it falls into: the first boundary that is"
    " not smaller, or with right=True the first that is larger.",
    "clamp_max": "The element-wise minimum of self and max; NaN stays NaN.",
    "clamp_min": "The element-wise maximum of self and min; NaN stays NaN.",
    "col2im": "The reverse of im2col: adds every column (N, C*kh*kw, windows) at the window's place in an image"
    " (N, C, H, W) of output_size.",
    "constant_pad_nd": "Pads self with value; pad holds (before, after) from the last dimension backwards, and a"
    " negative amount cuts.",
    "convolution": "Convolution (cross-correlation) in one to three dimensions of input (N, C, ...) with weight"
    " (out, C/groups, ...), plus bias; with transposed, its transpose, enlarged by output_padding.",
    "convolution_backward": "Gradients of convolution for input, weight and bias; one whose output_mask is False is None."
    " bias's is grad_output summed over all dimensions but the channel.",
    "embedding_dense_backward": "Gradient of embedding for its weight (num_weights, D): adds row i of grad_output to row"
    " indices[i]; those at padding_idx add nothing; with scale_grad_by_freq each is divided by how often its index occurs.",
    "embedding": "The row of weight at each index: the result has the shape of indices, and then the length of a row.",
    "embedding_renorm_": "Scales those rows of self that indices name and whose norm exceeds max_norm down to it.",
    "fill": "A tensor like self with every element set to value.",
    "gelu_backward": "Gradient of gelu: grad_output * (Phi(x) + x * phi(x)) with the normal distribution's Phi and phi;"
    " with approximate='tanh' the derivative of 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))). x is self.",
    "grid_sampler_2d": "Samples input (N, C, H, W) at the points of grid (N, h, w, 2), given as x, y in [-1, 1];"
    " interpolation 0 bilinear, 1 nearest, 2 bicubic; padding 0 zeros, 1 border, 2 reflection.",
    "grid_sampler_3d": "Samples input (N, C, D, H, W) at the points of grid (N, d, h, w, 3), given as x, y, z in"
    " [-1, 1]; interpolation 0 trilinear, 1 nearest; padding 0 zeros, 1 border, 2 reflection.",
    "hardsigmoid_backward": "grad_output / 6 where -3 < self < 3, else 0.",
    "hardswish_backward": "Gradient of hardswish: 0 for self below -3, grad_output above 3, between them"
    " grad_output * (self/3 + 0.5).",
    "im2col": "Lays out every sliding window of an image (N, C, H, W) as a column: (N, C*kh*kw, windows).",
    "leaky_relu_backward": "grad_output where self > 0, else grad_output * negative_slope.",
    "index": "self[indices]: the index tensors stand for the first dimensions, and None keeps a dimension whole. They are"
    " broadcast together; their shape takes the place of the indexed dimensions if these are adjacent, else it comes first."
    " Negative indices count from the end; a boolean tensor stands for the places where it is true.",
    "index_put": "self[indices] = values, or += values with accumulate; values are broadcast to the shape of self[indices]."
    " Index tensors stand for the first dimensions, None keeps one whole, negative indices count from the"
    " end, a boolean tensor stands for the places where it is true. Where an index occurs twice and accumulate is False,"
    " either value may stay.",
    "linalg_vector_norm": "(sum of |x|**ord)**(1/ord) over dim, over all elements if dim is None; ord inf is the largest |x|,"
    " -inf the smallest, 0 the number of elements that are not 0. dtype is what it is computed and returned in.",
    "log_sigmoid_backward": "grad_output * sigmoid(-self); buffer is what the forward pass kept and need not be used.",
    "log_sigmoid_forward": "log(1/(1+exp(-x))) element by element, and a buffer for the backward pass.",
    "max_pool2d_with_indices": "Maximum over windows of the last two dimensions, as if padded with -inf: output (h, w) covers"
    " rows h*stride[0] - padding[0] + i*dilation[0] for i < kernel_size[0], and columns likewise. An empty stride means"
    " kernel_size, and one number counts for both. The size is floor((in + 2*padding - dilation*(kernel-1) - 1)/stride) + 1;"
    " with ceil_mode ceil instead, but no window starts beyond the input and its padding before. Also returns the int64"
    " index of each maximum, row * W + column of the unpadded plane.",
    "max_pool2d_with_indices_backward": "Gradient of 2-d max pooling: adds each output gradient at the input place"
    " that indices names (flat within its plane).",
    "multilabel_margin_loss_forward": "Multi-label hinge loss: sum over wrong labels i and target labels j of"
    " max(0, 1 - x[j] + x[i]) / classes, targets ending at the first -1; also returns the mask of targets.",
    "native_batch_norm": "Batch normalisation of each channel (dimension 1): with training, by the batch's mean and"
    " biased variance, else by the running ones; then weight and bias. In training the running statistics move by"
    " momentum. Returns the output, the mean used and 1/sqrt(var + eps).",
    "native_batch_norm_backward": "Gradients of batch normalisation for input, weight and bias; one whose output_mask is"
    " False is None. For each channel (dimension 1), with x = (input - save_mean) * save_invstd and means over all other"
    " dimensions: grad_bias = sum(grad_out), grad_weight = sum(grad_out * x), and with train grad_input ="
    " weight * save_invstd * (grad_out - mean(grad_out) - x * mean(grad_out * x)). Without train the running statistics"
    " stand in for the saved ones and grad_input = grad_out * weight / sqrt(running_var + eps). No weight means 1.",
    "native_dropout_backward": "Gradient of dropout: grad_output * mask * scale.",
    "native_group_norm": "Normalises each of group channel groups of each sample by its mean and biased variance,"
    " then applies weight and bias per channel; also returns the means and 1/sqrt(var + eps).",
    "native_group_norm_backward": "Gradients of group normalisation for input, weight and bias; one whose output_mask is"
    " False is None. With x = (input - mean) * rstd and means over a group: grad_bias = sum(grad_out) and grad_weight ="
    " sum(grad_out * x) per channel; grad_input = rstd * (g - mean(g) - x * mean(g * x)) for g = grad_out * weight.",
    "native_layer_norm": "Normalises over the last dimensions, whose sizes are normalized_shape:"
    " (x - mean) / sqrt(var + eps) with the biased variance, then * weight + bias where given. Returns the output,"
    " the means and 1/sqrt(var + eps), both with the normalised dimensions kept as 1.",
    "native_layer_norm_backward": "Gradients of layer normalisation for input, weight and bias; one whose output_mask is"
    " False is None. With x = (input - mean) * rstd and means over the normalised dimensions: grad_input ="
    " rstd * (g - mean(g) - x * mean(g * x)) for g = grad_out * weight; grad_weight = sum(grad_out * x) and grad_bias ="
    " sum(grad_out) over the other dimensions.",
    "nll_loss2d_backward": "Gradient of nll_loss2d: zeros, but -weight[t] * grad_output at [n, t, h, w] for the target t of"
    " each pixel that is not ignore_index; for reduction 1 (mean) divided by total_weight.",
    "nll_loss2d_forward": "Negative log likelihood at each pixel: -weight[t] * self[n, t, h, w], with targets equal to"
    " ignore_index left out; reduction 0 none, 1 mean by total weight, 2 sum. Also returns the total weight.",
    "nll_loss_backward": "Gradient of nll_loss: zeros, but -weight[t] * grad_output at [n, t] for each target t that is not"
    " ignore_index; for reduction 1 (mean) divided by total_weight.",
    "nll_loss_forward": "Negative log likelihood: -weight[t] * self[n, t], with targets equal to ignore_index left"
    " out; reduction 0 none, 1 mean by total weight, 2 sum. Also returns the total weight.",
    "reflection_pad1d": "Pads the last dimension by mirroring at the edge, the edge element itself not repeated.",
    "reflection_pad2d": "Pads the last two dimensions by mirroring at the edge, the edge element not repeated;"
    " padding is (left, right, top, bottom).",
    "reflection_pad3d": "Pads the last three dimensions by mirroring at the edge, the edge element not repeated;"
    " padding is (left, right, top, bottom, front, back).",
    "norm": "(sum of |x|**p)**(1/p) over dim, over all elements if dim is empty; p inf is the largest |x|, -inf the"
    " smallest, 0 the number of elements that are not 0; None is 2.",
    "replication_pad1d": "Pads the last dimension by repeating the edge element.",
    "replication_pad2d": "Pads the last two dimensions by repeating the edge elements; padding is (left, right, top,"
    " bottom).",
    "replication_pad3d": "Pads the last three dimensions by repeating the edge elements; padding is (left, right,"
    " top, bottom, front, back).",
    "rsub": "other - alpha * self.",
    "scalar_tensor": "A tensor without dimensions that holds the number s.",
    "select_backward": "Zeros of input_sizes with grad_output at the index of dim.",
    "sigmoid_backward": "grad_output * output * (1 - output).",
    "silu_backward": "grad_output * s * (1 + self * (1 - s)) with s = sigmoid(self).",
    "slice_backward": "Zeros of input_sizes with grad_output at start, start + step, ... below end of dim.",
    "softplus_backward": "grad_output where self * beta > threshold, else grad_output * sigmoid(beta * self).",
    "tanh_backward": "grad_output * (1 - output**2).",
    "threshold_backward": "0 where self <= threshold, else grad_output.",
    "unique_dim": "The distinct slices of self along dim, sorted; optionally where each slice went and how often it"
    " occurs.",
    "upsample_bicubic2d": "Bicubic resize (a = -0.75) of the last two dimensions to output_size.",
    "upsample_bilinear2d": "Bilinear resize of the last two dimensions to output_size. Output i lies at the input's"
    " i * (in-1)/(out-1) with align_corners, else at max(0, (i+0.5)*r - 0.5), where r is 1/scale if a scale is given and"
    " in/out if not; the neighbour beyond the last is the last.",
    "upsample_bilinear2d_backward": "Gradient of upsample_bilinear2d: adds each output gradient to the four inputs that it"
    " was made of, with the same weights; the result has input_size.",
    "upsample_linear1d": "Linear resize of the last dimension to output_size.",
    "upsample_nearest1d": "Nearest-neighbour resize of the last dimension, taking input floor(i*in/out).",
    "upsample_nearest2d": "Nearest-neighbour resize of the last two dimensions: output i takes input floor(i*r), at most"
    " the last, where r is 1/scale if a scale is given and in/out if not.",
    "upsample_nearest2d_backward": "Gradient of upsample_nearest2d: adds each output gradient to the input that it was"
    " copied from; the result has input_size.",
    "upsample_nearest3d": "Nearest-neighbour resize of the last three dimensions, taking input floor(i*in/out) in"
    " each.",
    "upsample_trilinear3d": "Trilinear resize of the last three dimensions to output_size.",
    "unsafe_split": "Splits self along dim into pieces of split_size, the last one smaller where it does not divide; the pieces"
    " count as tensors of their own, in new memory or not.",
}
"""By the operator's base name."""

ADDITIONS = {
    **dict.fromkeys(
        ("sum", "prod", "cumsum", "cumprod", "nansum"),
        "Without dtype, integers and booleans are added up in int64.",
    ),
    **dict.fromkeys(
        ("argmax", "argmin"),
        "NaN counts as the extreme; of equal elements any index is right. The result is int64.",
    ),
    **dict.fromkeys(
        ("max", "min", "amax", "amin", "cummax", "cummin", "maximum", "minimum"),
        "NaN in, NaN out; indices are int64.",
    ),
    **dict.fromkeys(
        ("sort", "argsort", "topk", "msort"), "NaN is larger than every number; indices are int64."
    ),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), "A correction of None is 1."),
    **dict.fromkeys(
        ("native_layer_norm", "native_group_norm", "native_batch_norm"),
        "Statistics are computed in float32 at least; for short dtypes they are float32 on a GPU.",
    ),
}
"""What torch's docstrings, or our words, leave out, by the operator's base name."""

RELATIVES = {
    "_log_softmax": "log_softmax",
    "_safe_softmax": "softmax",
    "_softmax": "softmax",
    "convolution": "conv2d",
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "native_batch_norm": "batch_norm",
    "native_group_norm": "group_norm",
    "native_layer_norm": "layer_norm",
    "nll_loss2d_forward": "nll_loss",
    "nll_loss_forward": "nll_loss",
}
"""Public functions whose docstring explains the arguments of an internal one."""

ARGUMENTS = {
    "accumulate": "add to what is there instead of replacing it",
    "half_to_float": "float16 in, float32 out",
    "ignore_index": "target that counts for nothing",
    "output_mask": "which of the results are wanted",
    "padding_idx": "row that gets no gradient; a forward pass may ignore it",
    "reduction": "0 none, 1 mean, 2 sum",
    "rounding_mode": "None divides, 'trunc' then rounds towards zero, 'floor' then rounds down",
}
"""Arguments of internal operators, by name, where no docstring explains them."""
