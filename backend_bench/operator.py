"""The name of one ATen operator, and the names that are derived from it.

Knows nothing about torch: whether the operator exists is for a suite to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from backend_bench.errors import UsageError

_NAME = re.compile(r"^(?:aten(?:\.|::))?(?P<base>[A-Za-z_]\w*)(?:\.(?P<overload>\w+))?$")


@dataclass(frozen=True, slots=True, order=True)
class Operator:
    """One overload of one ATen operator, such as `add.Tensor`."""

    base: str
    """Name of the overload packet: `add`."""
    overload: str = "default"
    """Name of the overload: `Tensor`, or `default` where the schema names none."""

    @classmethod
    def parse(cls, text: str) -> Operator:
        """Read `add.Tensor`, `aten.add.Tensor`, `aten::add.Tensor` or `relu` (for `relu.default`)."""
        match = _NAME.match(text.strip())
        if match is None:
            raise UsageError(f"{text!r} is not an operator name; write it like add.Tensor or relu")
        return cls(match["base"], match["overload"] or "default")

    @classmethod
    def from_folder(cls, folder: str) -> Operator:
        """Read BackendBench's folder name: `add__Tensor`, `add___Tensor` (for `add_.Tensor`)."""
        base, separator, overload = folder.rpartition("__")
        if not separator or not base or not overload:
            raise UsageError(f"{folder!r} is not an operator folder; expected a name like add__Tensor")
        return cls(base, overload)

    @property
    def folder(self) -> str:
        """BackendBench's folder name, `add__Tensor`."""
        return f"{self.base}__{self.overload}"

    @property
    def function(self) -> str:
        """The function that a kernel file must define, `add__Tensor_kernel_impl`."""
        return f"{self.folder}_kernel_impl"

    def __str__(self) -> str:
        return f"{self.base}.{self.overload}"
