"""What an operator does, in a few plain sentences: torch's own docstring where there is one, else our words.

Docstrings are read from the installed torch when asked for; none is stored here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import torch

from backend_bench.operator import Operator

_LONGEST = 600
"""Characters; a prompt holds one summary beside a schema and a few shapes."""

_OURS = {
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
    "_histogramdd_bin_edges": "Edges of equally wide bins for a histogram of points with several coordinates, one"
    " tensor for each coordinate, over range or else from the smallest to the largest value.",
    "_histogramdd_from_bin_cts": "Counts (or sums weights of) points with several coordinates in equally wide bins.",
    "_histogramdd_from_bin_tensors": "Counts (or sums weights of) points with several coordinates between given edges.",
    "_linalg_det": "Determinant of square matrices, with their LU factors and pivots.",
    "_linalg_slogdet": "Sign and logarithm of the absolute determinant, with the LU factors and pivots.",
    "_linalg_solve_ex": "Solves A X = B (X A = B with left=False) by LU; returns X, the LU factors, the pivots and info.",
    "_log_softmax": "Logarithm of the softmax of self along dim: x - max - log(sum(exp(x - max))). half_to_float"
    " computes half input in float and returns float.",
    "_native_batch_norm_legit": "Batch normalisation of each channel (dimension 1): with training, by the batch's"
    " mean and biased variance, else by the running ones; then weight and bias. In training the running statistics"
    " move by momentum. Returns the output, the mean used and 1/sqrt(var + eps).",
    "_pdist_forward": "Distances in the p-norm between all pairs of rows i < j of self, as a flat vector.",
    "_prelu_kernel": "self where it is positive, else weight * self; weight broadcasts.",
    "_safe_softmax": "Softmax along dim, with rows that are -inf throughout giving zeros instead of NaN.",
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
    "bucketize": "For each value, the index of the boundary interval that it falls into: the first boundary that is"
    " not smaller, or with right=True the first that is larger.",
    "clamp_max": "The element-wise minimum of self and max; NaN stays NaN.",
    "clamp_min": "The element-wise maximum of self and min; NaN stays NaN.",
    "constant_pad_nd": "Pads self with value; pad holds (before, after) from the last dimension backwards, and a"
    " negative amount cuts.",
    "convolution": "Convolution (cross-correlation) in one to three dimensions of input (N, C, ...) with weight"
    " (out, C/groups, ...), plus bias; with transposed, its transpose, enlarged by output_padding.",
    "embedding_renorm_": "Scales those rows of self that indices name and whose norm exceeds max_norm down to it.",
    "fill": "A tensor like self with every element set to value.",
    "grid_sampler_2d": "Samples input (N, C, H, W) at the points of grid (N, h, w, 2), given as x, y in [-1, 1];"
    " interpolation 0 bilinear, 1 nearest, 2 bicubic; padding 0 zeros, 1 border, 2 reflection.",
    "grid_sampler_3d": "Samples input (N, C, D, H, W) at the points of grid (N, d, h, w, 3), given as x, y, z in"
    " [-1, 1]; interpolation 0 trilinear, 1 nearest; padding 0 zeros, 1 border, 2 reflection.",
    "im2col": "Lays out every sliding window of an image (N, C, H, W) as a column: (N, C*kh*kw, windows).",
    "log_sigmoid_forward": "log(1/(1+exp(-x))) element by element, and a buffer for the backward pass.",
    "max_pool2d_with_indices_backward": "Gradient of 2-d max pooling: adds each output gradient at the input place"
    " that indices names (flat within its plane).",
    "multilabel_margin_loss_forward": "Multi-label hinge loss: sum over wrong labels i and target labels j of"
    " max(0, 1 - x[j] + x[i]) / classes, targets ending at the first -1; also returns the mask of targets.",
    "native_batch_norm": "Batch normalisation of each channel (dimension 1): with training, by the batch's mean and"
    " biased variance, else by the running ones; then weight and bias. In training the running statistics move by"
    " momentum. Returns the output, the mean used and 1/sqrt(var + eps).",
    "native_dropout_backward": "Gradient of dropout: grad_output * mask * scale.",
    "native_group_norm": "Normalises each of group channel groups of each sample by its mean and biased variance,"
    " then applies weight and bias per channel; also returns the means and 1/sqrt(var + eps).",
    "native_layer_norm": "Normalises over the last dimensions, whose sizes are normalized_shape:"
    " (x - mean) / sqrt(var + eps) with the biased variance, then * weight + bias where given. Returns the output,"
    " the means and 1/sqrt(var + eps), both with the normalised dimensions kept as 1.",
    "nll_loss2d_forward": "Negative log likelihood at each pixel: -weight[t] * self[n, t, h, w], with targets equal to"
    " ignore_index left out; reduction 0 none, 1 mean by total weight, 2 sum. Also returns the total weight.",
    "nll_loss_forward": "Negative log likelihood: -weight[t] * self[n, t], with targets equal to ignore_index left"
    " out; reduction 0 none, 1 mean by total weight, 2 sum. Also returns the total weight.",
    "reflection_pad1d": "Pads the last dimension by mirroring at the edge, the edge element itself not repeated.",
    "reflection_pad2d": "Pads the last two dimensions by mirroring at the edge, the edge element not repeated;"
    " padding is (left, right, top, bottom).",
    "reflection_pad3d": "Pads the last three dimensions by mirroring at the edge, the edge element not repeated;"
    " padding is (left, right, top, bottom, front, back).",
    "replication_pad1d": "Pads the last dimension by repeating the edge element.",
    "replication_pad2d": "Pads the last two dimensions by repeating the edge elements; padding is (left, right, top,"
    " bottom).",
    "replication_pad3d": "Pads the last three dimensions by repeating the edge elements; padding is (left, right,"
    " top, bottom, front, back).",
    "rsub": "other - alpha * self.",
    "scalar_tensor": "A tensor without dimensions that holds the number s.",
    "unique_dim": "The distinct slices of self along dim, sorted; optionally where each slice went and how often it"
    " occurs.",
    "upsample_bicubic2d": "Bicubic resize (a = -0.75) of the last two dimensions to output_size.",
    "upsample_bilinear2d": "Bilinear resize of the last two dimensions to output_size; align_corners maps corner"
    " centres on each other.",
    "upsample_linear1d": "Linear resize of the last dimension to output_size.",
    "upsample_nearest1d": "Nearest-neighbour resize of the last dimension, taking input floor(i*in/out).",
    "upsample_nearest2d": "Nearest-neighbour resize of the last two dimensions, taking input floor(i*in/out) in each.",
    "upsample_nearest3d": "Nearest-neighbour resize of the last three dimensions, taking input floor(i*in/out) in"
    " each.",
    "upsample_trilinear3d": "Trilinear resize of the last three dimensions to output_size.",
}
"""Operators whose name is internal, so that no public docstring describes them."""


def summary(op: Operator) -> str:
    """A few sentences on the operator; empty where nobody wrote any."""
    return _fitted(_of(op.base))


def _of(base: str) -> str:
    if base in _OURS:
        return _OURS[base]
    text = _docstring(base)
    if base.endswith("_") and (not text or text.startswith("In-place version of")):
        functional = _of(base.rstrip("_"))
        return _in_place(functional) if functional else text
    if text.startswith("Out-of-place version of") or _SEE_IN_PLACE.match(text):
        in_place = _plain(inspect.getdoc(getattr(torch.Tensor, f"{base}_", None)) or "")
        return f"Returns a new tensor and leaves self alone. {in_place}" if in_place else text
    return text


def _in_place(functional: str) -> str:
    return f"Works in place on self. {functional.replace('Returns a new tensor with', 'Gives')}"


def _docstring(base: str) -> str:
    for function in _public_functions(base):
        text = _plain(inspect.getdoc(function) or "")
        if reference := _SEE_MODULE.search(text):
            text = _plain(inspect.getdoc(getattr(torch.nn, reference[1], None)) or "") or text
        if reference := _ALIAS.match(text):
            room = getattr(torch, reference[1])
            text = _plain(inspect.getdoc(getattr(room, reference[2], None)) or "") or text
        if text:
            return text
    return ""


def _public_functions(base: str) -> Iterator[object]:
    """Public functions that may describe the operator, the most telling first."""
    rooms: list[tuple[Any, str]] = [(torch, base), (torch.nn.functional, base), (torch.Tensor, base)]
    prefixes: tuple[tuple[str, Any], ...] = (
        ("linalg_", torch.linalg),
        ("special_", torch.special),
        ("fft_", torch.fft),
    )
    for prefix, room in prefixes:
        if base.startswith(prefix):
            rooms.insert(0, (room, base.removeprefix(prefix)))
    for room, name in rooms:
        if not name.startswith("_") and (function := getattr(room, name, None)) is not None:
            yield function


# ---- from Sphinx to sentences --------------------------------------------------------------------

_SIGNATURE = re.compile(r"^[\w.]+\(.*?\)\s*(?:->.*)?$")
_SECTION = re.compile(r"^(?:Args?|Arguments|Keyword args|Keyword Arguments|Returns?|Shape|Examples?)\b.*:")
_ROLE = re.compile(r":(?:\w+:)?\w+:`~?\.?([^`<]*?)(?:\s*<[^`]*>)?`")
_SEE_MODULE = re.compile(r"[Ss]ee (?:the documentation of )?(?:torch\.nn\.)?([A-Z]\w+) for")
_SEE_IN_PLACE = re.compile(r"See (?:torch\.)?Tensor\.\w+_ for")
_ALIAS = re.compile(r"Alias (?:for|of) torch\.(special|linalg)\.(\w+)")
_BACKSLASHES = 24
"""TeX commands in a formula that a reader still takes in at a glance."""
_TEX = (
    (re.compile(r"\\(?:text|mathrm|operatorname|mathbb)\{([^}]*)\}"), r"\1"),
    (re.compile(r"([_^])\{(\w+)\}"), r"\1\2"),
    (re.compile(r"([_^])\{([^{}]*)\}"), r"\1(\2)"),
    (re.compile(r"\\begin\{\w+\}|\\left\\?[{]?"), ""),
    (re.compile(r"\\end\{\w+\}|\\right\b"), ""),
    (re.compile(r"\\\\"), ";"),
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\sqrt\{([^{}]*)\}"), r"sqrt(\1)"),
    (re.compile(r"\\times"), "x"),
    (re.compile(r"\\cdot\b"), "*"),
    (re.compile(r"\\neq?\b"), "!="),
    (re.compile(r"\\geq?\b"), ">="),
    (re.compile(r"\\leq?\b"), "<="),
    (re.compile(r"\\[,;!]|\\q?quad|&"), " "),
    (re.compile(r"\\ "), ""),
    (re.compile(r"[\\{}]|(?<=\w)_(?=[. ]|$)|~"), ""),
)
"""TeX to what a person would type, in this order."""
_LINK = re.compile(r"`([^`<]+?)\s*<[^`]*>`_+")


def _plain(doc: str) -> str:
    """The first paragraphs of a docstring without signature, directives and markup; short formulas stay."""
    sentences: list[str] = []
    for paragraph in _paragraphs(doc):
        text = _unmarked(" ".join(paragraph))
        if _SECTION.match(text) or sum(map(len, sentences)) > _LONGEST:
            break
        sentences.append(text)
    text = " ".join(filter(None, sentences))
    return re.sub(r"(?:^|(?<=[.:] ))[^.]*:$", "", text).strip()


def _paragraphs(doc: str) -> Iterator[list[str]]:
    """Unindented paragraphs and short formulas; signatures, other directives and what they hold are left out."""
    lines = iter([*doc.splitlines(), "", "end"])
    paragraph: list[str] = []
    formula = False
    for line in lines:
        indented = line[:1].isspace()
        if formula and (indented or not line.strip()):
            paragraph += [line.strip()] if line.strip() else []
            continue
        if formula and "".join(paragraph).count("\\") <= _BACKSLASHES:
            yield [*paragraph, "."] if paragraph else []
        if formula:
            formula, paragraph = False, []
        if line.strip() and not indented and not line.startswith((".. ", ">>>")):
            if not (_SIGNATURE.match(line) or re.fullmatch(r"[-=~]+", line)):
                paragraph.append(line.strip())
            continue
        if paragraph:
            yield paragraph
        formula = line.startswith(".. math::")
        rest = line.removeprefix(".. math::").strip() if formula else ""
        paragraph = [rest] if rest else []


def _unmarked(text: str) -> str:
    text = _ROLE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = text.replace(":math:", "").replace("``", "").replace("**", "").replace("`", "").replace("::", ":")
    if "\\" in text:
        for tex, typed in _TEX:
            text = tex.sub(typed, text)
    return re.sub(r"\s+([.,])(?=\s|$)", r"\1", re.sub(r"\s+", " ", text)).strip()


def _fitted(text: str) -> str:
    """Cut at the end of a sentence, so that it is no longer than a prompt can bear."""
    if len(text) <= _LONGEST:
        return text
    cut = text.rfind(". ", 0, _LONGEST)
    return text[: cut + 1] if cut > 0 else text[: _LONGEST - 3].rsplit(" ", 1)[0] + "..."
