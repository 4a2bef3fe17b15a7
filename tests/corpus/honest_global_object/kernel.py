"""An honest kernel: a class with __call__, __slots__, properties and a metaclass registry."""

import torch

REGISTRY = {}


class Registered(type):
    def __new__(meta, name, bases, members):
        REGISTRY[name] = cls = super().__new__(meta, name, bases, members)
        return cls


class Clamp(metaclass=Registered):
    __slots__ = ("_least",)

    def __init__(self, least):
        self._least = least

    @property
    def least(self):
        return self._least

    def __call__(self, x):
        return torch.clamp_min(x, self.least)


relu__default_kernel_impl = REGISTRY["Clamp"](0)
