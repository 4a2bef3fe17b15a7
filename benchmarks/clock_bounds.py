"""What the judge's own clock can tell about one call in another process on the same GPU.

    python benchmarks/clock_bounds.py [--json FILE]

The judge (this process) and two workers run ATen's relu on several sizes. A worker enqueues its call
behind a gate, a word of shared host memory that its stream waits for; the judge then copies the inputs
in, flushes the L2 cache, opens the gate and watches a second word, which the worker's stream writes after the call.
Reported for each size, in microseconds: what the judge's figures exceed the worker's events by (median, and how far
the middle 90 % spread), how far the medians of the two workers differ, and the ratio of the two. Also how
long work of the judge takes while a worker keeps the device busy: whether contexts share it or take turns.
Not a judge: nothing is checked, no sandbox stands.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import statistics
import time
from typing import Any

import torch

from backend_bench.buffers import create, open_shared

SIZES = (1 << 10, 1 << 16, 1 << 20, 1 << 22, 1 << 24, 1 << 26)
PAIRS = 40
FLUSH_BYTES = 128 << 20
REQUEST, ENQUEUED, GATE, PROGRESS, CLAIM, READY, SIZE, MODE = (i * 32 for i in range(8))
"""Words of the shared page, a cache line pair apart."""
PAGE = 1 << 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    options = parser.parse_args()
    inputs_bytes = max(SIZES) * 4
    workers = [start(inputs_bytes) for _ in range(2)]
    device = torch.device("cuda", 0)
    torch.zeros(1, device=device)
    for worker in workers:
        worker["in"] = adopt(worker, inputs_bytes, device)
        worker["out"] = adopt(worker, inputs_bytes, device)
        wait(worker["words"], READY, 1)
    report: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    report["turns"] = turns(workers[0], device)
    report["sizes"] = [measure(workers, size, device) for size in SIZES]
    for worker in workers:
        worker["words"][REQUEST] = 0xFFFFFFFF
        os.waitpid(worker["pid"], 0)
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text)


def start(nbytes: int) -> dict[str, Any]:
    """Fork a worker before CUDA is touched here; descriptors go through a socket pair."""
    import socket

    ours, theirs = socket.socketpair()
    page = mmap.mmap(-1, PAGE)
    pid = os.fork()
    if pid == 0:
        work(page, theirs, nbytes)
        os._exit(0)
    return {"pid": pid, "words": memoryview(page).cast("I"), "socket": ours}


def adopt(worker: dict[str, Any], nbytes: int, device: torch.device) -> torch.Tensor:
    import socket

    buffer = create(nbytes, device)
    socket.send_fds(worker["socket"], [buffer.nbytes.to_bytes(8, "little")], [buffer.fd])
    worker.setdefault("keep", []).append(buffer)
    return buffer.stretch(0, nbytes).view(torch.float32)


def wait(words: Any, index: int, value: int, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while words[index] != value:
        if time.monotonic() > deadline:
            raise SystemExit(f"word {index} is {words[index]}, not {value}, after {limit_s} s")


def work(page: mmap.mmap, channel: Any, nbytes: int) -> None:
    import socket

    device = torch.device("cuda", 0)
    torch.zeros(1, device=device)
    driver = ctypes.CDLL("libcuda.so.1")

    def cu(name: str, *args: Any) -> None:
        code = getattr(driver, name)(*args)
        if code:
            raise SystemExit(f"{name}: {code}")

    words = memoryview(page).cast("I")
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    cu("cuMemHostRegister_v2", ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 2)
    pointer = ctypes.c_ulonglong()
    cu("cuMemHostGetDevicePointer_v2", ctypes.byref(pointer), ctypes.c_void_p(address), 0)
    tensors, keep = [], []
    for _ in range(2):
        size, fds, _, _ = socket.recv_fds(channel, 8, 1)
        keep.append(open_shared(fds[0], int.from_bytes(size, "little"), device))
        tensors.append(keep[-1].stretch(0, nbytes).view(torch.float32))
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=device)
    at = lambda word: ctypes.c_ulonglong(pointer.value + 4 * word)  # noqa: E731
    torch.cuda.synchronize()
    cu("cuStreamWriteValue32_v2", stream, at(PROGRESS), ctypes.c_uint(0), 0)
    cu("cuStreamWaitValue32_v2", stream, at(GATE), ctypes.c_uint(0), 0)
    torch.cuda.synchronize()
    words[READY] = 1
    done = 0
    while True:
        number = words[REQUEST]
        if number == done:
            continue
        if number == 0xFFFFFFFF:
            return
        given = tensors[0][: words[SIZE]]
        if words[MODE] == 1:  # keeps the device busy, for `turns`
            torch.cuda._sleep(100_000_000)
            words[ENQUEUED] = number
            torch.cuda.synchronize()
            words[CLAIM] = number
            done = number
            continue
        if words[MODE] == 2:  # as before: the worker's own runway and flush
            torch.cuda._sleep(800_000)
            flush.zero_()
        else:
            cu("cuStreamWaitValue32_v2", stream, at(GATE), ctypes.c_uint(number), 0)
        start.record()
        result = torch.ops.aten.relu.default(given)
        stop.record()
        tensors[1][: words[SIZE]].copy_(result)
        cu("cuStreamWriteValue32_v2", stream, at(PROGRESS), ctypes.c_uint(number), 0)
        words[ENQUEUED] = number
        torch.cuda.synchronize()
        words[CLAIM + 1] = int(start.elapsed_time(stop) * 1e6)
        words[CLAIM] = number
        done = number


_numbers = iter(range(1, 1 << 30))


def turns(worker: dict[str, Any], device: torch.device) -> dict[str, float]:
    """How long the judge's own small work takes while the worker's kernel runs for some 50 ms."""
    words, private = worker["words"], torch.zeros(1 << 20, device=device)
    host = torch.zeros(1 << 10).pin_memory()
    other, small = torch.zeros_like(private), torch.zeros(1 << 10, device=device)
    found = {}
    for name, act in {
        "nothing runs: kernel": lambda: private.add_(1),
        "kernel": lambda: private.add_(1),
        "device to device copy": lambda: other.copy_(private),
        "host to device copy": lambda: small.copy_(host, non_blocking=True),
    }.items():
        took = []
        for _ in range(3):
            if not name.startswith("nothing"):
                number = next(_numbers)
                words[MODE], words[REQUEST] = 1, number
                wait(words, ENQUEUED, number)
                time.sleep(0.005)
            act(), torch.cuda.synchronize()
            begun = time.perf_counter_ns()
            for _ in range(5):
                act()
                torch.cuda.synchronize()
            took.append((time.perf_counter_ns() - begun) / 5e3)
            if not name.startswith("nothing"):
                wait(words, CLAIM, number)
        found[name] = round(statistics.median(took), 1)
    return found


def measure(workers: list[dict[str, Any]], size: int, device: torch.device) -> dict[str, Any]:
    private = torch.randn(size, device=device)
    results = torch.empty(size, device=device)
    flush = torch.empty(FLUSH_BYTES // 4, dtype=torch.int32, device=device)

    def gated(worker: dict[str, Any], flushed: bool, mode: int = 0) -> dict[str, float]:
        words, number = worker["words"], next(_numbers)
        words[MODE], words[SIZE] = mode, size
        asked = time.perf_counter_ns()
        words[REQUEST] = number
        if mode == 0:
            wait(words, ENQUEUED, number)
        begun = time.perf_counter_ns()
        if mode == 0:
            worker["in"][:size].copy_(private)
            if flushed:
                flush.zero_()
            torch.cuda.synchronize()
        opened = time.perf_counter_ns()
        words[GATE] = number
        wait(words, PROGRESS, number)
        seen = time.perf_counter_ns()
        results.copy_(worker["out"][:size])
        torch.cuda.synchronize()
        copied = time.perf_counter_ns()
        wait(words, CLAIM, number)
        ended = time.perf_counter_ns()
        claim = words[CLAIM + 1] / 1e3
        return {
            "claim": claim,
            "gate to progress": (seen - opened) / 1e3 - claim,
            "inputs to progress": (seen - begun) / 1e3 - claim,
            "inputs to outputs": (copied - begun) / 1e3 - claim,
            "all": (ended - asked) / 1e3,
        }

    found: dict[str, Any] = {"elements": size}
    for name, flushed, mode in (
        ("gated, flushed by the judge", True, 0),
        ("gated", False, 0),
        ("runway", True, 2),
    ):
        for worker in workers:
            for warm in range(8):
                # What a first call loads or allocates waits for the device, which waits for the gate.
                gated(worker, flushed, 2 if warm < 3 else mode)
        samples: list[list[dict[str, float]]] = [[], []]
        for pair in range(PAIRS):
            for which in (0, 1) if pair % 2 else (1, 0):
                samples[which].append(gated(workers[which], flushed, mode))
        found[name] = summary(samples)
    return found


def summary(samples: list[list[dict[str, float]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in samples[0][0]:
        if key == "all":
            found["pair"] = round(2 * statistics.median(s[key] for side in samples for s in side), 1)
            continue
        both = [sorted(s[key] for s in side) for side in samples]
        found[key] = {
            "median": round(statistics.median(both[0]), 2),
            "spread": round(both[0][int(0.95 * len(both[0]))] - both[0][int(0.05 * len(both[0]))], 2),
            "workers differ": round(statistics.median(both[1]) - statistics.median(both[0]), 2),
        }
    ratios = [a["claim"] / b["claim"] for a, b in zip(*samples, strict=True)]
    found["ratio"] = {n: round(statistics.median(ratios[:n]), 4) for n in (10, 20, 40)}
    walls = [statistics.median(s["gate to progress"] + s["claim"] for s in side) for side in samples]
    found["ratio of the judge's figures"] = round(walls[0] / walls[1], 4)
    return found


if __name__ == "__main__":
    main()
