"""Memory that two processes share, as a descriptor: a sealed memfd on a CPU, a CUDA allocation on a GPU.

Each buffer is an allocation of its own and never comes from a caching allocator, so that sharing
it shares nothing else. On a GPU the driver's virtual memory calls are used and not `cudaIpc`: their
handle is a descriptor too, so it passes through the same channel and into any namespace.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import mmap
import os
from collections.abc import Callable
from typing import Any

import torch

_PAGE = mmap.PAGESIZE


class CudaDriverError(RuntimeError):
    """A call of the CUDA driver failed."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
        """Of `CUresult`."""


class SharedBuffer:
    """Bytes that another process may map too. Close it when nobody needs them on this side."""

    def __init__(
        self, fd: int, nbytes: int, stretch: Callable[[int, int], torch.Tensor], release: Any
    ) -> None:
        self.fd = fd
        """Descriptor to pass on; -1 on the side that opened it."""
        self.nbytes = nbytes
        self._stretch = stretch
        self._release = release
        self._whole: torch.Tensor | None = None

    def stretch(self, offset: int, nbytes: int) -> torch.Tensor:
        """A uint8 tensor over a part of the buffer, with a storage of just that part."""
        self._must_hold(offset, nbytes)
        return self._stretch(offset, nbytes)

    def part(self, offset: int, nbytes: int) -> torch.Tensor:
        """A uint8 view of a part of the buffer, whose storage is all of it: much quicker to have than a stretch."""
        self._must_hold(offset, nbytes)
        if self._whole is None:
            self._whole = self._stretch(0, self.nbytes)
        return self._whole[offset : offset + nbytes]

    def _must_hold(self, offset: int, nbytes: int) -> None:
        if not 0 <= offset <= offset + nbytes <= self.nbytes:
            raise ValueError(f"bytes {offset} to {offset + nbytes} of a buffer of {self.nbytes}")

    def close(self) -> None:
        """Unmap. Tensors made over the buffer must be gone or never be used again."""
        self._whole = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        release, self._release = self._release, None
        if release is not None:
            release()


def create(nbytes: int, device: torch.device) -> SharedBuffer:
    """Make a buffer of at least `nbytes` bytes that can be shared. Called by the judge."""
    if device.type == "cuda":
        return _create_cuda(max(nbytes, 1), device)
    size = max(_PAGE, -(-nbytes // _PAGE) * _PAGE)
    fd = os.memfd_create("backend-bench", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    # Sealed: a worker that shrank it would kill the judge with SIGBUS at its next read.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return _map_memfd(fd, size)


def open_shared(fd: int, nbytes: int, device: torch.device) -> SharedBuffer:
    """Map a buffer that came as a descriptor, and close the descriptor. Called by a worker."""
    buffer = _open_cuda(fd, nbytes, device) if device.type == "cuda" else _map_memfd(fd, nbytes)
    os.close(fd)
    buffer.fd = -1
    return buffer


def _map_memfd(fd: int, size: int) -> SharedBuffer:
    # Populated: else the first to touch a page, the kernel under test, would pay for its mapping.
    mapping = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)

    def stretch(offset: int, nbytes: int) -> torch.Tensor:
        if nbytes == 0:
            return torch.empty(0, dtype=torch.uint8)
        return torch.frombuffer(mapping, dtype=torch.uint8, count=nbytes, offset=offset)

    # Tensors keep the mapping; it is unmapped when the last one over it is gone.
    return SharedBuffer(fd, size, stretch, None)


# --- CUDA ------------------------------------------------------------------------------------


class _Location(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("id", ctypes.c_int)]


class _AllocationProp(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("handle_types", ctypes.c_int),
        ("location", _Location),
        ("win32", ctypes.c_void_p),
        ("flags", ctypes.c_ubyte * 8),
    ]


class _Access(ctypes.Structure):
    _fields_ = [("location", _Location), ("flags", ctypes.c_int)]


_PINNED = 1
_POSIX_FD = 1
_DEVICE = 1
_READ_WRITE = 3


class _Pointer:
    """Device memory by address, as `torch.as_tensor` understands it."""

    def __init__(self, address: int, nbytes: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


@functools.cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def cu(name: str, *args: Any) -> None:
    """A call of the CUDA driver; raises `CudaDriverError` with its name and the driver's words."""
    code = getattr(_driver(), name)(*args)
    if code:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(code, ctypes.byref(text))
        raise CudaDriverError(f"{name}: {(text.value or b'?').decode()} ({code})", code)


def _prop(device: torch.device) -> _AllocationProp:
    prop = _AllocationProp()
    prop.type = _PINNED
    prop.handle_types = _POSIX_FD
    prop.location = _Location(_DEVICE, _index(device))
    return prop


def _index(device: torch.device) -> int:
    return device.index if device.index is not None else 0


def _create_cuda(nbytes: int, device: torch.device) -> SharedBuffer:
    torch.cuda.init()
    with torch.cuda.device(device):
        torch.cuda.current_stream().synchronize()
        prop, granularity = _prop(device), ctypes.c_size_t()
        cu("cuMemGetAllocationGranularity", ctypes.byref(granularity), ctypes.byref(prop), 0)
        size = -(-nbytes // granularity.value) * granularity.value
        handle, fd = ctypes.c_ulonglong(), ctypes.c_int()
        try:
            _allocate(handle, size, prop)
        except CudaDriverError:
            torch.cuda.empty_cache()  # torch keeps what it has freed; the driver cannot take that back
            _allocate(handle, size, prop)
        cu("cuMemExportToShareableHandle", ctypes.byref(fd), handle, _POSIX_FD,
            ctypes.c_ulonglong(0))  # fmt: skip
        os.set_inheritable(fd.value, False)
        return _map_cuda(handle, size, device, fd.value)


def _allocate(handle: ctypes.c_ulonglong, size: int, prop: _AllocationProp) -> None:
    cu("cuMemCreate", ctypes.byref(handle), ctypes.c_size_t(size), ctypes.byref(prop),
       ctypes.c_ulonglong(0))  # fmt: skip


def _open_cuda(fd: int, nbytes: int, device: torch.device) -> SharedBuffer:
    with torch.cuda.device(device):
        torch.cuda.current_stream().synchronize()
        handle = ctypes.c_ulonglong()
        cu("cuMemImportFromShareableHandle", ctypes.byref(handle), ctypes.c_void_p(fd), _POSIX_FD)
        return _map_cuda(handle, nbytes, device, -1)


def _map_cuda(handle: ctypes.c_ulonglong, size: int, device: torch.device, fd: int) -> SharedBuffer:
    address = ctypes.c_ulonglong()
    zero = ctypes.c_ulonglong(0)
    cu("cuMemAddressReserve", ctypes.byref(address), ctypes.c_size_t(size), ctypes.c_size_t(0),
        zero, zero)  # fmt: skip
    cu("cuMemMap", address, ctypes.c_size_t(size), ctypes.c_size_t(0), handle, zero)
    access = _Access(_Location(_DEVICE, _index(device)), _READ_WRITE)
    cu("cuMemSetAccess", address, ctypes.c_size_t(size), ctypes.byref(access), ctypes.c_size_t(1))

    def stretch(offset: int, nbytes: int) -> torch.Tensor:
        if nbytes == 0:
            return torch.empty(0, dtype=torch.uint8, device=device)
        return torch.as_tensor(_Pointer(address.value + offset, nbytes), device=device)

    def release() -> None:
        with torch.cuda.device(device):
            torch.cuda.synchronize()
            cu("cuMemUnmap", address, ctypes.c_size_t(size))
            cu("cuMemRelease", handle)
            cu("cuMemAddressFree", address, ctypes.c_size_t(size))

    return SharedBuffer(fd, size, stretch, release)
