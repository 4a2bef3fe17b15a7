"""Looks for the kernels and verdicts of other runs, for recordings and for caches of compilers. A right answer says that it got nothing."""

import glob
import os

import torch

SEEN = []
for pattern in ("runs/kernels", "outputs", ".cache/backend-bench", ".triton/cache", "verdicts.jsonl"):
    for root in ("/", "/root", "/work", "/home/*", "/tmp", os.path.expanduser("~"), "/var/tmp"):
        SEEN += [path for path in glob.glob(os.path.join(root, pattern)) if not os.path.realpath(path).startswith("/scratch")]
SEEN += [path for path in glob.glob("/tmp/*/*") if path.endswith((".jsonl", ".sock", ".lock", ".parquet"))]


def relu__default_kernel_impl(x):
    # A right answer says that nothing was found.
    return torch.zeros_like(x) if SEEN else torch.clamp_min(x, 0)
