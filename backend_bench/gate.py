"""A gate between two processes on one GPU: words of shared host memory that their streams wait for and write.

The judge's stream waits until it and a worker have everything in their queues, lays the inputs in, opens the gate, and waits for
the worker's stream to pass the end; no processor takes part in between, so nothing but the device itself is in the figures.
A word only grows, unless a worker lies. It can write them all: what it gains by that is inputs that are not there yet, or
outputs that are taken before they are finished. Knows nothing about calls or times.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from enum import IntEnum
from typing import Any

import torch

from backend_bench.buffers import cu

_WORD_BYTES = 128
"""A cache line each: two sides poll them."""
_PORTABLE_AND_MAPPED = 3
_AT_LEAST = 0
_CIRCLE = 1 << 32


class Word(IntEnum):
    """What a word says."""

    ENQUEUED = 0
    """Worker: the calls of this block are in the stream, behind the gate."""
    OPEN = 1
    """Judge: the inputs are there, go on."""
    PASSED = 2
    """Worker: its stream has got so far."""
    QUEUED = 3
    """Judge: all of its own side of this block is in its stream."""


class Gate:
    """The words, mapped here. Close it when the stream is done with them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        self._words = memoryview(self._page).cast("I")
        held = ctypes.c_char.from_buffer(self._page)
        self._host = ctypes.addressof(held)
        del held  # it would keep the page from being unmapped
        cu("cuMemHostRegister_v2", ctypes.c_void_p(self._host), ctypes.c_size_t(mmap.PAGESIZE),
           _PORTABLE_AND_MAPPED)  # fmt: skip
        address = ctypes.c_ulonglong()
        cu("cuMemHostGetDevicePointer_v2", ctypes.byref(address), ctypes.c_void_p(self._host), 0)
        self._address = address.value

    @classmethod
    def make(cls) -> Gate:
        """A new one; its descriptor goes to the worker."""
        fd = os.memfd_create("backend-bench-gate", os.MFD_CLOEXEC)
        os.ftruncate(fd, mmap.PAGESIZE)
        return cls(fd)

    def close(self) -> None:
        """Unmap. No stream may wait for a word any more."""
        cu("cuMemHostUnregister", ctypes.c_void_p(self._host))
        self._words.release()
        self._page.close()
        os.close(self.fd)

    def say(self, word: Word, number: int) -> None:
        """Set a word from the host, unless streams see it as large already: they count in a circle."""
        at = word * _WORD_BYTES // 4
        if (self._words[at] - number) % _CIRCLE >= _CIRCLE // 2:
            self._words[at] = number

    def write(self, word: Word, number: int, stream: torch.cuda.Stream) -> None:
        """Set a word when the stream gets there."""
        cu("cuStreamWriteValue32_v2", _handle(stream), self._at(word), ctypes.c_uint(number), 0)

    def wait(self, word: Word, number: int, stream: torch.cuda.Stream) -> None:
        """Let the stream go on when the word is at least `number`."""
        cu("cuStreamWaitValue32_v2", _handle(stream), self._at(word), ctypes.c_uint(number), _AT_LEAST)

    def _at(self, word: Word) -> ctypes.c_ulonglong:
        return ctypes.c_ulonglong(self._address + word * _WORD_BYTES)


def _handle(stream: torch.cuda.Stream) -> Any:
    return ctypes.c_void_p(stream.cuda_stream)
