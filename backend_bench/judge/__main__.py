"""Starts a judge's process on a channel to the queue: `python -m backend_bench.judge FD SHARE`.

Not for hands: the service runs it (`service/hand.py`). Torch takes a second to import, here and in the zygote: the zygote is
started first, and this process imports beside it. Questions that come meanwhile wait in the channel.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import logging
import signal
import socket
import sys
import threading

import msgspec

from backend_bench.errors import BackendBenchError
from backend_bench.judge.cores import Share
from backend_bench.judge.zygotes import Zygotes

SWITCH_S = 5e-4
"""A tenth of Python's own: after each call of the driver, the thread that has a device alone waits so long for one that computes."""


def main() -> None:
    """Serve until the queue hangs up."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    faulthandler.register(signal.SIGUSR1)  # where its threads are, into the service's log
    fd, share = sys.argv[1:]
    zygotes = Zygotes()
    threading.Thread(target=_warm, args=(zygotes,), daemon=True).start()
    from backend_bench.judge.desk import Desk  # imports torch, see above

    gc.collect()
    gc.freeze()  # what was imported stays: to look it through for garbage stops all threads for a tenth of a second
    sys.setswitchinterval(SWITCH_S)
    desk = Desk(socket.socket(fileno=int(fd)), zygotes, msgspec.json.decode(share, type=Share))
    try:
        desk.serve()
    finally:
        desk.close()


def _warm(zygotes: Zygotes) -> None:
    """Start the zygote that nearly every submission needs; its failure is told to who needs it."""
    with contextlib.suppress(BackendBenchError):
        zygotes.of("native")


if __name__ == "__main__":
    main()
