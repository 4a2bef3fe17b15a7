"""An honest kernel: notes its calls in a temporary file and a file in /tmp."""

import json
import tempfile
from pathlib import Path

import torch

NOTES = Path(tempfile.mkdtemp()) / "calls.json"


def relu__default_kernel_impl(x):
    calls = json.loads(NOTES.read_text()) if NOTES.exists() else []
    NOTES.write_text(json.dumps([*calls[-5:], list(x.shape)]))
    Path("/tmp/last_shape").write_text(str(x.shape))
    return torch.clamp_min(x, 0)
