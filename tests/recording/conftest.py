"""Models of a few layers, recorded as the command records them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend_bench.recording import manifest
from backend_bench.recording.table import Row
from backend_bench.recording.trace import recorded

Record = Callable[..., list[Row]]

NETWORKS = """
import torch

def linear(width=6):
    torch.manual_seed(0)
    return torch.nn.Linear(width, 3), torch.randn(4, width)

def named():
    return torch.nn.Linear(6, 3), {"input": torch.ones(4, 6)}

def activated():
    return torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU()), torch.ones(4, 6)

def plain():
    return (lambda x: x.relu()), [torch.ones(4, 6)]

def dropped():
    return torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.Dropout(0.5)), torch.ones(4, 6)

class Attention(torch.nn.Module):
    def __init__(self, masked, width):
        super().__init__()
        self.project, self.masked = torch.nn.Linear(width, width), masked

    def forward(self, x):
        mask = torch.ones(8, 8, dtype=torch.bool) if self.masked else None
        x = self.project(x)
        return torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)

def attentive(masked=False, width=16):
    return Attention(masked, width), torch.ones(2, 4, 8, width)

def huge():
    return torch.nn.Linear(1 << 20, 1 << 20), torch.empty(1, 1 << 20)

def asks():
    return (lambda x: x.relu() if x.sum().item() > 0 else x), torch.ones(3)

def fails():
    return (lambda x: x.view(7)), torch.ones(3)

def nothing():
    return torch.nn.Linear(2, 2)
"""


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of the user's own; the test runs in it."""
    (tmp_path / "networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("networks", None)


@pytest.fixture
def record() -> Record:
    """The rows of one step of a model."""

    def record(source: str, config: dict[str, object] | None = None, **step: object) -> list[Row]:
        model = manifest.model(name="", source=source, config=config, steps=[manifest.step(step)])
        return list(recorded(model, model.steps[0], lambda line: None))

    return record
