"""What a specification consists of: arguments, and constraints on their dtype, rank, sizes and values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class ArgType:
    Tensor: "ArgType"
    TensorList: "ArgType"
    Other: "ArgType"

    def __init__(self, name: str) -> None:
        self.name = name

    def is_tensor(self) -> bool:
        return self.name == "Tensor"

    def is_tensor_list(self) -> bool:
        return self.name == "TensorList"


ArgType.Tensor, ArgType.TensorList, ArgType.Other = map(ArgType, ("Tensor", "TensorList", "Other"))


@dataclass
class Constraint:
    attribute: str
    suffix: str
    fn: Callable[..., Any]


class Suffixes:
    def __init__(self, attribute: str) -> None:
        self.attribute = attribute

    def __getattr__(self, suffix: str) -> Callable[[Callable[..., Any]], Constraint]:
        return lambda fn: Constraint(self.attribute, suffix, fn)


class ConstraintProducer:
    Dtype, Rank, Size, Value = map(Suffixes, ("Dtype", "Rank", "Size", "Value"))


@dataclass
class Argument:
    type: ArgType
    name: str
    deps: Sequence[int] = ()
    constraints: Sequence[Constraint] = ()
    kw: bool = False

    def asked(self, attribute: str, suffix: str, *args: Any) -> list[Any]:
        """What the constraints of a kind say about this attribute."""
        said = [c.fn(*args) for c in self.constraints if (c.attribute, c.suffix) == (attribute, suffix)]
        return [each for each in said if each is not None]


@dataclass
class Spec:
    op: str
    inspec: list[Argument]
