"""What is made of what CUPTI says; that it says it is seen on a GPU (tests/corpus/gpu_calls_aten_by_address and its neighbours)."""

from __future__ import annotations

import ctypes

import pytest

from backend_bench.worker import driver
from backend_bench.worker.driver import Driver
from backend_bench.worker.mapped import MappedFile

ENTER, EXIT = 0, 1
NUMBERS = {
    "cuLibraryLoadData": 1,
    "cuLibraryGetKernel": 2,
    "cuLaunchKernel": 3,
    "cuGraphLaunch": 4,
    "cuMemAlloc": 5,
    "cuLaunchKernelEx": 6,
    "cuKernelGetFunction": 7,
    "cuLibraryUnload": 8,
    "cuLaunchGridAsync": 9,
}
TANH = "_ZN2at6native29vectorized_elementwise_kernelILi4EZZZNS0_16tanh_kernel_cudaERNS_18TensorIteratorBaseEE"
FILL = "_ZN2at6native29vectorized_elementwise_kernelILi2ENS0_11FillFunctorIlEESt5arrayIPcLm1EEEEviT0_T1_"


class Spoken(Driver):
    """Hears what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self._names = {number: name for name, number in NUMBERS.items()}
        self._kept: list[object] = []

    def say(self, function: str, *params: int, site: int = ENTER, symbol: str = "", result: int = 0) -> None:
        words, came = (ctypes.c_void_p * max(1, len(params)))(*params), ctypes.c_int(result)
        heard = driver._Called(
            site,
            function.encode(),
            ctypes.cast(words, ctypes.POINTER(ctypes.c_void_p)),
            ctypes.addressof(came),
            symbol.encode(),
        )
        self._kept += [words, came]
        self._hear(None, 1, NUMBERS[function], ctypes.pointer(heard))

    def load(self, module: int, image: int, result: int = 0) -> None:
        place = ctypes.c_void_p(module)
        self._kept.append(place)
        self.say("cuLibraryLoadData", ctypes.addressof(place), image, site=EXIT, result=result)

    def fetch(self, module: int, name: str, handle: int = 0, result: int = 0) -> None:
        text, place = ctypes.create_string_buffer(name.encode()), ctypes.c_void_p(handle)
        self._kept += [text, place]
        params = ctypes.addressof(place), module, ctypes.addressof(text)
        for site in (ENTER, EXIT):
            self.say("cuLibraryGetKernel", *params, site=site, result=result)

    def unload(self, module: int, result: int = 0) -> None:
        for site in (ENTER, EXIT):
            self.say("cuLibraryUnload", module, site=site, result=result)

    def turn(self, kernel: int, function: int) -> None:
        place = ctypes.c_void_p(function)
        self._kept.append(place)
        self.say("cuKernelGetFunction", ctypes.addressof(place), kernel, site=EXIT)

    def has_strangers(self) -> bool:
        return self.take().heard.has_strangers


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> Spoken:
    """Two files are mapped, torch's and a vendor's."""
    mapped = [
        MappedFile(1000, 2000, "/lib/libtorch_cuda.so"),
        MappedFile(3000, 4000, "/lib/libcublasLt.so.13"),
    ]
    monkeypatch.setattr(driver, "mapped_files", lambda: iter(mapped))
    return Spoken()


def told(spoken: Spoken) -> dict[str, tuple[str, int]]:
    return {kernel.name: (kernel.origin, kernel.launches) for kernel in spoken.take().heard.kernels}


def test_a_kernel_is_told_with_the_file_that_it_comes_from(spoken: Spoken) -> None:
    spoken.load(7, 1500)
    spoken.load(8, 3500)
    spoken.load(9, 9999)
    for module, name in ((7, TANH), (8, "gemm"), (9, "mine")):
        spoken.fetch(module, name)
        spoken.say("cuLaunchKernel", symbol=name)
    spoken.say("cuLaunchKernel", symbol="mine")
    assert told(spoken) == {
        TANH: ("libtorch_cuda.so", 1),
        "gemm": ("libcublasLt.so.13", 1),
        "mine": ("", 2),
    }
    spoken.say("cuLaunchKernel", symbol="gemm")
    assert told(spoken) == {"gemm": ("libcublasLt.so.13", 1)}  # it is known from before
    assert told(spoken) == {}


def test_what_torch_moves_memory_with_is_nobodys_own(spoken: Spoken) -> None:
    spoken.load(7, 1500)
    spoken.fetch(7, FILL)
    spoken.say("cuLaunchKernel", symbol=FILL)
    assert not spoken.take().is_own


def test_others_kernels_are_told_before_ones_own_however_many_there_are(spoken: Spoken) -> None:
    spoken.load(7, 1500)
    spoken.load(8, 3500)
    for number in range(driver.MAX_KERNELS):
        spoken.fetch(7, f"{FILL}{number}")
        spoken.say("cuLaunchKernel", symbol=f"{FILL}{number}")
        spoken.say("cuLaunchKernel", symbol=f"decoy_{number}")
    spoken.fetch(8, "gemm")
    spoken.say("cuLaunchKernel", symbol="gemm")
    kernels = spoken.take().heard.kernels
    assert len(kernels) == driver.MAX_KERNELS
    assert kernels[0].name == "gemm"


def test_a_namesake_of_ones_own_makes_nobodys_kernel_ones_own(spoken: Spoken) -> None:
    spoken.load(8, 3500)
    spoken.load(9, 9999)
    spoken.fetch(8, "gemm")
    spoken.fetch(9, "gemm")
    spoken.say("cuLaunchKernel", symbol="gemm")
    spoken.take()
    spoken.fetch(9, "gemm")
    spoken.say("cuLaunchKernel", symbol="gemm")
    ran = spoken.take()
    assert ran.heard.kernels[0].origin == "libcublasLt.so.13"
    assert not ran.is_own


def test_what_is_fetched_and_not_launched_is_told_and_launches_nothing(spoken: Spoken) -> None:
    spoken.fetch(9, "mine")
    ran = spoken.take()
    assert [(kernel.name, kernel.launches) for kernel in ran.heard.kernels] == [("mine", 0)]
    assert not ran.is_own


def test_a_graph_replays_kernels_that_were_fetched_when_it_was_made(spoken: Spoken) -> None:
    spoken.say("cuGraphLaunch")
    assert not spoken.take().is_own  # there is nothing of its own that it could replay
    spoken.fetch(9, "mine")
    assert not spoken.take().is_own
    spoken.say("cuGraphLaunch")
    assert spoken.take().is_own
    assert not spoken.take().is_own


@pytest.fixture
def late(spoken: Spoken) -> Spoken:
    """The process has had kernels run before, one of module 5."""
    spoken.is_late = True
    spoken.load(9, 9999)
    return spoken


def test_what_was_fetched_since_is_no_stranger_by_either_handle(late: Spoken) -> None:
    late.fetch(9, "mine", handle=90)
    late.turn(90, 91)
    late.say("cuLaunchKernel", 90, symbol="mine")
    late.say("cuLaunchKernelEx", 1, 91, symbol="mine")
    ran = late.take()
    assert (ran.is_own, ran.heard.has_strangers) == (True, False)


def test_what_was_fetched_before_is_a_stranger_whatever_it_is_called(late: Spoken) -> None:
    late.fetch(9, "mine", handle=90)
    late.say("cuLaunchKernel", 50, symbol="mine")
    assert late.has_strangers()
    assert not late.has_strangers()  # that was told
    late.say("cuLaunchKernelEx", 90, 50, symbol="mine")
    assert late.has_strangers()
    late.say("cuLaunchKernel", symbol="mine")
    assert late.has_strangers()


def test_so_is_what_comes_out_of_a_module_that_was_there_before(late: Spoken) -> None:
    late.fetch(5, "mine", handle=50)
    late.turn(50, 51)
    late.say("cuLaunchKernel", 50, symbol="mine")
    assert late.has_strangers()
    late.say("cuLaunchKernel", 51, symbol="mine")
    assert late.has_strangers()


def test_so_is_a_graph_that_may_have_been_captured_before(late: Spoken) -> None:
    late.fetch(9, "mine", handle=90)
    late.say("cuLaunchKernel", 90, symbol="mine")
    assert not late.has_strangers()
    late.say("cuGraphLaunch")
    assert late.has_strangers()


def test_so_is_what_has_the_handle_of_something_that_is_gone(late: Spoken) -> None:
    late.load(8, 9998)
    late.fetch(8, "other", handle=80)
    late.fetch(9, "mine", handle=90)
    late.unload(9)
    late.say("cuLaunchKernel", 90, symbol="mine")
    assert late.has_strangers()
    late.fetch(9, "mine", handle=90)
    late.say("cuLaunchKernel", 90, symbol="mine")
    assert late.has_strangers()
    late.say("cuLaunchKernel", 80, symbol="other")
    assert not late.has_strangers()


def test_what_fails_makes_nobody_known(late: Spoken) -> None:
    late.fetch(9, "nothing", handle=50, result=500)
    late.say("cuLaunchKernel", 50, symbol="mine")
    assert late.has_strangers()
    late.load(5, 9998, result=200)
    late.fetch(5, "mine", handle=51)
    late.say("cuLaunchKernel", 51, symbol="mine")
    assert late.has_strangers()


def test_so_is_what_is_launched_as_it_was_in_former_times(late: Spoken) -> None:
    late.say("cuLaunchGridAsync", 50, symbol="mine")
    assert late.has_strangers()


def test_where_a_kernel_came_from_is_known_though_its_module_is_gone(spoken: Spoken) -> None:
    spoken.load(8, 3500)
    spoken.fetch(8, "gemm")
    spoken.say("cuLaunchKernel", symbol="gemm")
    spoken.unload(8)
    assert told(spoken) == {"gemm": ("libcublasLt.so.13", 1)}
    spoken.load(8, 3500)
    spoken.unload(8, result=400)  # it is in use
    spoken.fetch(8, "other")
    spoken.say("cuLaunchKernel", symbol="other")
    assert told(spoken) == {"other": ("libcublasLt.so.13", 1)}


def test_what_torch_moves_memory_with_is_known_by_its_name(late: Spoken) -> None:
    late.say("cuLaunchKernel", 50, symbol=FILL)
    assert not late.has_strangers()
    late.say("cuLaunchKernel", 50, symbol=TANH)
    assert late.has_strangers()


def test_who_listens_from_the_beginning_knows_all(spoken: Spoken) -> None:
    spoken.say("cuLaunchKernel", 50, symbol="mine")
    spoken.say("cuGraphLaunch")
    assert not spoken.has_strangers()


def test_other_functions_and_odd_names_do_no_harm(spoken: Spoken) -> None:
    spoken.say("cuMemAlloc")
    spoken.say("cuLibraryGetKernel", 0, 5, 0)
    spoken.say("cuLaunchKernel", symbol="x" * 5000)
    assert max(len(kernel.name) for kernel in spoken.take().heard.kernels) <= driver.MAX_KERNEL


def test_without_cupti_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "mapped_files", lambda: iter(()))
    fresh = Driver()
    fresh.find()
    fresh.listen()
    assert "CUPTI" in fresh.lack
    assert not fresh.take().heard.is_deaf
