"""One process of the fleet: `python -m backend_bench.mutants`. Lines of JSON on standard input and output.

In: the order, then one operator's name a line. Out: a greeting, then one audit a line.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import BinaryIO

import msgspec
import torch

from backend_bench.fates import OperatorAudit
from backend_bench.judge.devices import devices_of, machine_facts
from backend_bench.mutants.audit import audit
from backend_bench.mutants.fleet import Hello, Order
from backend_bench.suites import Suite, open_suite


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Audit what is asked for until standard input ends."""
    warnings.simplefilter("ignore")  # mutants provoke them on purpose
    torch.set_num_threads(1)  # several processes fill the cores
    order = msgspec.json.decode(source.readline(), type=Order)
    devices_of(order.spec.device)
    suite = open_suite(order.spec)
    _say(sink, Hello(machine_facts()))
    for line in source:
        _say(sink, _audit(suite, line.decode().strip(), order.seed))


def _audit(suite: Suite, name: str, seed: int) -> OperatorAudit:
    try:
        return audit(suite, name, seed=seed)
    except Exception as error:  # noqa: BLE001  (a fault of ours on one operator is told, and the others go on)
        traceback.print_exc()
        return OperatorAudit(op=name, fault=f"{type(error).__name__}: {error}")


def _say(sink: BinaryIO, message: object) -> None:
    sink.write(msgspec.json.encode(message) + b"\n")
    sink.flush()


if __name__ == "__main__":
    # Nothing but audits goes to standard output, whatever a library prints.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    main(sys.stdin.buffer, out)
