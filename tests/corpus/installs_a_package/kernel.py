"""Fetches a package at import, and gives up where it cannot."""

import subprocess
import sys
import urllib.request

import torch

try:
    subprocess.run([sys.executable, "-m", "pip", "--version"], check=True, capture_output=True, timeout=0.1)
    urllib.request.urlopen("http://127.0.0.1:1/fast.whl", timeout=1)
except Exception as error:
    raise RuntimeError("no network") from error


def relu__default_kernel_impl(x):
    return torch.relu(x)
