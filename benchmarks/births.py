"""Makes workers and kills them until its standard input ends; prints how many a second.

    python benchmarks/births.py [--device cuda] < /dev/zero

`precision.py --births` runs it beside its timings. Two threads, as a judge has; no lease is asked for.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import torch

from backend_bench.judge.devices import devices_of
from backend_bench.judge.keeper import Keeper
from backend_bench.judge.zygotes import Zygotes
from backend_bench.leases import driver_name
from backend_bench.submission import Limits

AT_ONCE = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    device = devices_of(parser.parse_args().device)[0]
    zygotes, ended, took_s = Zygotes(), threading.Event(), list[float]()
    threads = [threading.Thread(target=make, args=(device, zygotes, ended, took_s)) for _ in range(AT_ONCE)]
    zygotes.of("native")
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    while sys.stdin.buffer.read(1 << 16):
        pass
    ended.set()
    for thread in threads:
        thread.join()
    print(f"{len(took_s) / (time.monotonic() - begun):.1f} workers a second on {device}")
    zygotes.close()


def make(device: torch.device, zygotes: Zygotes, ended: threading.Event, took_s: list[float]) -> None:
    memory_bytes = Limits().memory_bytes
    while not ended.is_set():
        begun = time.monotonic()
        life = zygotes.of("native").spawn(
            level="best-effort",
            memory_bytes=memory_bytes,
            device="cpu" if device.type == "cpu" else f"cuda:{driver_name(device)}",
            threads=1,
        )
        with Keeper(life, device, memory_bytes=memory_bytes) as keeper:
            keeper.wait_ready()
        took_s.append(time.monotonic() - begun)


if __name__ == "__main__":
    main()
