"""A network that calls every operator of suite smoke, for `check-model`: `ten_operators:build`."""

from __future__ import annotations

import torch
from torch import Tensor


class TenOperators(torch.nn.Module):
    """Attention over the rows, a hidden layer, and the largest values of what comes out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        sizes = {"query": width, "key": width, "value": width, "up": 2 * width}
        for name, size in sizes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.randn(width, size) / width**0.5))

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        rows = self.norm(x)
        weights = torch.softmax(rows @ self.query @ (rows @ self.key).t(), dim=-1)
        x = x + weights @ (rows @ self.value)
        both = torch.cat([x, torch.relu(x @ self.up)], dim=1).index_select(0, order)
        largest = torch.topk(both, 8, dim=1).values
        largest += both.sum(1, keepdim=True)
        return largest


def build(width: int = 64, rows: int = 96) -> tuple[TenOperators, tuple[Tensor, Tensor]]:
    return TenOperators(width), (torch.randn(rows, width), torch.arange(rows - 1, -1, -1))
