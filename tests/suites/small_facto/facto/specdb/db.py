"""Specifications of each kind: sound ones, and such as are wrong."""

import torch

from facto.inputgen.specs.model import ArgType, Argument, Spec
from facto.inputgen.specs.model import ConstraintProducer as Must

WHOLE = [torch.int32, torch.int64]
LIKE_FIRST = [
    Must.Rank.Eq(lambda deps: deps[0].dim()),
    Must.Size.Eq(lambda deps, rank, dim: deps[0].shape[dim]),
]
NUMBERS = [Must.Dtype.In(lambda deps: [*WHOLE, torch.float32, torch.float64, torch.bfloat16])]


def tensor(name, deps=(), constraints=(), **named):
    return Argument(ArgType.Tensor, name, deps, list(constraints), **named)


def one_of(name, options, deps=(), **named):
    return Argument(ArgType.Other, name, deps, [Must.Value.In(lambda deps: options(deps))], **named)


def dim(name="dim"):
    return one_of(name, lambda deps: list(range(-deps[0].dim(), deps[0].dim())), deps=[0])


def zero_division(deps, *_):
    return 1 // 0


SpecDB = [
    Spec(
        "add.Tensor",
        [
            tensor("self", constraints=NUMBERS),
            tensor("other", [0], [*NUMBERS, *LIKE_FIRST]),
            one_of("alpha", lambda deps: [1, 2, -3], kw=True),
        ],
    ),
    Spec(
        "arange.default",
        [one_of("end", lambda deps: [3, 8, 20]), one_of("dtype", lambda deps: [torch.int64], kw=True)],
    ),
    Spec(
        "bitwise_and.Tensor",
        [
            tensor("self", constraints=[Must.Dtype.In(lambda deps: [torch.bool, *WHOLE])]),
            tensor("other", [0], [Must.Dtype.In(lambda deps: [torch.bool, *WHOLE]), *LIKE_FIRST]),
        ],
    ),
    Spec(
        "index_select.default",
        [
            tensor("self"),
            dim(),
            tensor(
                "index",
                [0, 1],
                [
                    Must.Dtype.In(lambda deps: WHOLE),
                    Must.Rank.Eq(lambda deps: 1),
                    Must.Value.Ge(lambda deps, dtype, shape: 0),
                    Must.Value.Le(lambda deps, dtype, shape: max(deps[0].shape[deps[1]] - 1, 0)),
                ],
            ),
        ],
    ),
    Spec("max.default", [tensor("self", constraints=NUMBERS)]),
    Spec("mm.default", [tensor("self"), tensor("mat2", constraints=[Must.Rank.Eq(lambda deps: 3)])]),
    Spec("no_such_operator.default", [tensor("self")]),
    Spec("rand.default", [one_of("size", lambda deps: [[3], [8]])]),
    Spec("reciprocal.default", [tensor("self", constraints=[*NUMBERS, Must.Value.Ne(lambda *_: 0)])]),
    Spec("relu.default", [tensor("self", constraints=[Must.Size.Ge(zero_division)])]),
    Spec("special_entr.default", [tensor("self", constraints=[Must.Dtype.In(lambda deps: [torch.int8])])]),
    Spec("stack.default", [Argument(ArgType.TensorList, "tensors", (), list(NUMBERS))]),
    Spec("topk.default", [tensor("self", constraints=NUMBERS), one_of("k", lambda deps: [1, 3])]),
    Spec(
        "where.self",
        [
            tensor("condition", constraints=[Must.Dtype.In(lambda deps: [torch.bool])]),
            tensor("self", [0], [*NUMBERS, *LIKE_FIRST]),
            tensor("other", [0], [*NUMBERS, *LIKE_FIRST]),
        ],
    ),
]
SpecDictDB = {spec.op: spec for spec in SpecDB}
