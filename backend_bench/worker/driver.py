"""Which kernels this process has the CUDA driver run, as CUPTI hears it.

Whoever wants a kernel run asks the driver for it by name, out of an image that was loaded before, and then launches it: torch, a vendor's
library, Triton, code of the candidate's own, a graph. So ATen's functions that are called by their addresses are heard as well as those that the
dispatcher leads to. Listening does not end, and a process with CUPTI in it cannot be kept from the GPU for a while (docs/design/gpu-kernels.md). So
it begins before the process has a context, or late, after all that had to be timed without it: then what was fetched and what was captured
before are strangers, of which nobody knows where they come from.

A claim all the same: who gets at CUPTI in this process can make it deaf, and who finds it there can behave. Not covered: what a kernel does
with its arguments.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backend_bench import own_kernels
from backend_bench.wire import MAX_KERNEL, MAX_KERNELS, MAX_NAME, UNHEARD, Heard, Kernel
from backend_bench.worker.mapped import MappedFile, mapped_files

_DRIVER_CALLS: Final = 1
"""CUPTI's number for the callbacks of the driver's functions."""
_ENTER, _EXIT = 0, 1
_FUNCTIONS: Final = 2000
"""More than the driver has."""

_LAUNCHES: Final = frozenset(
    f"cuLaunch{name}{ending}"
    for name in ("Kernel", "KernelEx", "CooperativeKernel", "CooperativeKernelMultiDevice")
    for ending in ("", "_ptsz")
) | {"cuLaunch", "cuLaunchGrid", "cuLaunchGridAsync"}
_GRAPHS: Final = frozenset({"cuGraphLaunch", "cuGraphLaunch_ptsz"})
_AT_SECOND: Final = frozenset({"cuLaunchKernelEx", "cuLaunchKernelEx_ptsz"})
"""These name their kernel there; the others do so first."""
_FETCHES: Final = frozenset({"cuModuleGetFunction", "cuLibraryGetKernel"})
"""Of `(result, module, name)`."""
_UNLOADS: Final = frozenset({"cuModuleUnload", "cuLibraryUnload"})
"""Of `(module)`; what is loaded and fetched later may have the same handles."""
_TURNS: Final = frozenset({"cuKernelGetFunction"})
"""Of `(result, kernel)`: the same one by another handle."""
_GIVES_HANDLES: Final = _FETCHES | _TURNS
_NOWHERE: Final = -1
"""No handle of a module."""
_LOADS: Final = frozenset(
    {"cuModuleLoadData", "cuModuleLoadDataEx", "cuModuleLoadFatBinary", "cuLibraryLoadData"}
)
"""Of `(module, image, …)`."""


class _Called(ctypes.Structure):
    """The head of `CUpti_CallbackData`."""

    _fields_ = (
        ("site", ctypes.c_int),
        ("function", ctypes.c_char_p),
        ("params", ctypes.POINTER(ctypes.c_void_p)),
        ("result", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
    )


_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.POINTER(_Called))


@dataclass(frozen=True, slots=True)
class Ran:
    """What was heard since the last time of asking."""

    heard: Heard = UNHEARD
    is_own: bool = False
    """A kernel that is neither torch's nor a vendor's was launched, alone or in a graph."""


class Driver:
    """Hears this process's driver, once `listen` was called."""

    def __init__(self) -> None:
        self.lack = "nobody listens"
        """Why nothing is heard; empty where it is."""
        self._cupti: ctypes.CDLL | None = None
        self._subscriber = ctypes.c_void_p()
        self._hear = _Callback(self._called)
        self._names: dict[int, str] = {}
        """Of the functions that are heard, by CUPTI's numbers."""
        self._images: dict[int, int] = {}
        """Where the image of a module lies."""
        self._origins: dict[str, str] = {}
        """Files that kernels come from; empty for memory."""
        self._fetched: list[tuple[str, int | None]] = []
        """Kernels that were fetched since the last time of asking, and where the image of their module lies."""
        self._launched: Counter[str] = Counter()
        self._graphs = 0
        self._has_own = False
        """A kernel of its own was fetched or launched, at any time: a graph may replay it."""
        self.is_late = False
        """The process had kernels run before it began to listen."""
        self._known: dict[int, int] = {}
        """Then: handles of kernels that were fetched since, and the modules they are of, which were loaded since."""
        self._strangers: set[str] = set()
        """Names of kernels that were launched since the last time of asking, and of which nobody knows where they come from."""

    def find(self) -> None:
        """Look up CUPTI, while nobody else has loaded a library of that name."""
        path = next((each.path for each in mapped_files() if "/libcupti.so" in each.path), "")
        self._cupti = ctypes.CDLL(path) if path else None

    def listen(self, *, late: bool = False) -> None:
        """Begin, if CUPTI was found; `late`: the process has had kernels run before."""
        self.is_late = late
        if self._cupti is None:
            self.lack = "PyTorch has brought no CUPTI"
            return
        if code := self._cupti.cuptiSubscribe(ctypes.byref(self._subscriber), self._hear, None):
            self.lack = f"CUPTI refuses with error {code}"
            return
        wanted = _LAUNCHES | _GRAPHS | _FETCHES | _LOADS | _UNLOADS | _TURNS
        name = ctypes.c_char_p()
        for number in range(1, _FUNCTIONS):
            if self._cupti.cuptiGetCallbackName(_DRIVER_CALLS, number, ctypes.byref(name)) or not name.value:
                continue
            if (function := name.value.decode()) in wanted:
                self._names[number] = function
                self._cupti.cuptiEnableCallback(1, self._subscriber, _DRIVER_CALLS, number)
        self.lack = "" if self._names else "CUPTI knows none of the driver's functions"

    def _is_deaf(self) -> bool:
        if self.lack or self._cupti is None:
            return False
        state = ctypes.c_uint32()
        return any(
            self._cupti.cuptiGetCallbackState(
                ctypes.byref(state), self._subscriber, _DRIVER_CALLS, ctypes.c_uint32(number)
            )
            or not state.value
            for number in self._names
        )

    def take(self) -> Ran:
        """What is new; also what other threads had run."""
        launched, self._launched = self._launched, Counter()
        fetched, self._fetched = self._fetched, []
        graphs, self._graphs = self._graphs, 0
        strangers, self._strangers = self._strangers, set()
        has_strangers = any(not own_kernels.is_moving_kernel(name, "") for name in tuple(strangers))
        if fetched:
            files = list(mapped_files())
            for name, image in fetched:
                known, origin = self._origins.get(name), _file_at(image, files)
                # Who gives a kernel of his own the name of another's does not make that one his.
                if known is None or own_kernels.is_own_kernel(name, known):
                    self._origins[name] = origin
        kernels = [
            Kernel(
                name=name[:MAX_KERNEL], origin=self._origins.get(name, "")[:MAX_NAME], launches=launched[name]
            )
            for name in dict.fromkeys((*launched, *(name for name, _ in fetched)))
        ]
        own = [each for each in kernels if own_kernels.is_own_kernel(each.name, each.origin)]
        self._has_own |= bool(own)
        is_own = any(each.launches for each in own) or (graphs > 0 and self._has_own)
        kernels.sort(key=_rank)
        has_strangers |= self.is_late and graphs > 0
        return Ran(Heard(tuple(kernels[:MAX_KERNELS]), self._is_deaf(), has_strangers), is_own)

    def _called(self, _: int | None, domain: int, number: int, called: ctypes._Pointer[_Called]) -> None:
        """On the thread that called the driver, before and after it has done what it was asked for."""
        call = called.contents
        function = self._names.get(number, "")
        if call.site == _ENTER:
            self._asked(function, call)
        elif call.result and ctypes.c_int.from_address(call.result).value == 0:
            self._given(function, call)

    def _asked(self, function: str, call: _Called) -> None:
        if function in _LAUNCHES:
            name = (call.symbol or b"").decode(errors="replace")
            self._launched[name] += 1
            if self.is_late and call.params[function in _AT_SECOND] not in self._known:
                self._strangers.add(name)
        elif function in _GRAPHS:
            self._graphs += 1
        elif function in _FETCHES:
            place, module = call.params[2], call.params[1] or 0
            name = (ctypes.string_at(place) if place else b"").decode(errors="replace")
            self._fetched.append((name, self._images.get(module)))

    def _given(self, function: str, call: _Called) -> None:
        if function in _LOADS and call.params[0]:
            self._images[_word_at(call.params[0])] = call.params[1] or 0
        elif function in _UNLOADS:
            module = call.params[0] or 0
            self._images.pop(module, None)
            self._known = {handle: of for handle, of in self._known.items() if of != module}
        elif self.is_late and function in _GIVES_HANDLES and call.params[0]:
            asked = call.params[1] or 0
            module = self._known.get(asked, _NOWHERE) if function in _TURNS else asked
            if module in self._images:
                self._known[_word_at(call.params[0])] = module


DRIVER = Driver()


def _rank(kernel: Kernel) -> int:
    """Others' kernels that compute are told first, and what moves memory last."""
    if own_kernels.is_moving_kernel(kernel.name, kernel.origin):
        return 2
    return int(own_kernels.is_own_kernel(kernel.name, kernel.origin))


def _word_at(address: int) -> int:
    return ctypes.c_void_p.from_address(address).value or 0


def _file_at(address: int | None, files: Sequence[MappedFile]) -> str:
    """The name of the file that an image lies in."""
    if address is None:
        return ""
    return next((os.path.basename(each.path) for each in files if each.first <= address < each.end), "")
