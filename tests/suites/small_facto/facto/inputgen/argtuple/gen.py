"""From the kinds of arguments to arguments."""

from typing import Any

import torch

from facto.inputgen.argtuple.engine import MetaArg
from facto.inputgen.specs.model import Spec
from facto.inputgen.utils.config import TensorConfig
from facto.inputgen.utils.random_manager import seeded_random_manager


class ArgumentTupleGenerator:
    def __init__(self, spec: Spec, config: TensorConfig) -> None:
        self.spec, self.config = spec, config

    def gen_tuple(self, metas: tuple[MetaArg, ...]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        values = [self.value(meta) for meta in metas]
        pairs = list(zip(self.spec.inspec, values, strict=True))
        return [v for a, v in pairs if not a.kw], {a.name: v for a, v in pairs if a.kw}, {}

    def value(self, meta: MetaArg) -> Any:
        if meta.argtype.is_tensor_list():
            return [self.tensor(*each) for each in zip(meta.structure, meta.dtype, strict=True)]
        return self.tensor(meta.structure, meta.dtype) if meta.argtype.is_tensor() else meta.value

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if seeded_random_manager.get_random().random() < self.config.probability:
            return torch.zeros([2 * size for size in shape], dtype=dtype)[
                tuple(slice(0, None, 2) for _ in shape)
            ]
        return torch.zeros(shape, dtype=dtype)
