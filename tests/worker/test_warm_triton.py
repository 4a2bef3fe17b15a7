"""What the zygote does for Triton before it forks: no thread is left, and no worker builds it again.

There is no GPU here, so the driver is an empty library with the right names; what Triton builds against it is real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="Triton's helpers need a C compiler")
pytest.importorskip("triton")

PROGRAM = """
import json, os, pathlib, sys, tempfile
from backend_bench.worker import warm_triton
from triton.runtime import build

warm_triton.prepare()
threads = len(os.listdir("/proc/self/task"))
cache = pathlib.Path(sys.argv[1])
warm_triton.furnish(cache)
os.environ["TRITON_CACHE_DIR"] = str(cache)

def refuse(*args, **kwargs):
    raise SystemExit("built again")

build._build = refuse
utils = warm_triton.driver.CudaUtils()
print(json.dumps({"threads": threads, "built": sorted(warm_triton._built), "loads": hasattr(utils, "load_binary"),
                  "cache": "TRITON_CACHE_DIR" in os.environ}))
"""


def run(tmp_path: Path, stub: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "TRITON_LIBCUDA_PATH": str(stub),
        "LD_LIBRARY_PATH": str(stub),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        env=environment,
    )


def make_driver(folder: Path) -> None:
    """A library with all names of the driver's that Triton's sources contain."""
    sources = Path(find_spec("triton").origin or "").parent / "backends" / "nvidia"  # type: ignore[union-attr]
    names = {
        name for path in sources.glob("driver.*") for name in re.findall(r"\bcu[A-Z]\w+", path.read_text())
    }
    folder.mkdir()
    source = folder / "driver.c"
    source.write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in sorted(names)))
    library = folder / "libcuda.so.1"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", str(source), "-o", str(library), "-Wl,-soname,libcuda.so.1"], check=True
    )
    (folder / "libcuda.so").symlink_to(library.name)


def test_a_worker_finds_what_the_zygote_has_built(tmp_path: Path) -> None:
    stub = tmp_path / "driver"
    make_driver(stub)
    done = run(tmp_path, stub)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["threads"] == 1
    assert told["loads"]
    assert any("cuda_utils" in name for name in told["built"])


def test_without_a_driver_it_says_so_and_goes_on(tmp_path: Path) -> None:
    empty = tmp_path / "nothing"
    empty.mkdir()
    done = run(tmp_path, empty)
    assert "Triton's helpers" in done.stderr
    assert "built again" in done.stderr  # by the program's last lines: there was nothing to find
