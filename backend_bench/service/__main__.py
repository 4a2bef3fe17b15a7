"""Starts the judge service on a socket that its starter has bound: `python -m backend_bench.service …`.

Not for hands: `executors/launch.py` and `backend-bench serve` run it. With `--detach` it forks, and the
first process ends at once, so that the service is nobody's child. It queues and answers, and imports no
torch; judges are processes of their own. Clients that connect meanwhile wait in the socket's backlog.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backend_bench.runtime import Address
from backend_bench.submission import Sandbox

if TYPE_CHECKING:
    from backend_bench.service.life import Public


def main() -> None:
    """Fork before anything is imported that a fork would have to carry."""
    options = _parse(sys.argv[1:])
    pid = os.fork() if options.detach else 0
    Address.note(options.lock, pid or os.getpid())
    if pid:
        os._exit(0)
    for fd in filter(None, (options.listener, options.lock, options.public)):
        os.set_inheritable(fd, False)  # no child may keep the address taken
    _serve(options)


@dataclass(frozen=True, slots=True)
class Options:
    """What the starter says; checked there."""

    listener: int
    """Descriptor of the bound and listening socket."""
    lock: int
    """Descriptor that holds the address's lock."""
    sandbox: Sandbox
    """The only level at which this service judges."""
    idle_s: float
    """Idle seconds after which it ends; infinity for never."""
    public: int | None
    """Descriptor of a bound and listening TCP socket, for clients of other hosts."""
    token_file: Path | None
    """What their token is, with `public`."""
    detach: bool
    """Whether to leave the starter; else the service ends when its standard input does."""


def _parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="backend_bench.service")
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--lock", type=int, required=True)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--idle", type=float, default=float("inf"), dest="idle_s")
    parser.add_argument("--public", type=int)
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--detach", action="store_true")
    return Options(**vars(parser.parse_args(arguments)))


def _serve(options: Options) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    # These import the web server; not before the fork.
    from backend_bench.judge import cores
    from backend_bench.service.judges import Judges
    from backend_bench.service.life import Life

    listener = socket.socket(fileno=options.listener)
    judges = Judges(cores.settle(), sandbox=options.sandbox)
    life = Life(judges, listener, idle_s=options.idle_s, public=_public(options))
    if not options.detach:
        threading.Thread(target=_end_with_starter, daemon=True).start()
    asyncio.run(life.live())
    os._exit(0)  # threads may still be at work for nobody


def _public(options: Options) -> Public | None:
    from backend_bench.executors import tokens
    from backend_bench.service.life import Public

    if options.public is None or options.token_file is None:
        return None
    return Public(socket.socket(fileno=options.public), tokens.read(options.token_file))


def _end_with_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
