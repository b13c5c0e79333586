"""mmasched: the fastest schedule for each reduced-precision convolution of a network, proven, remembered and built in.

The public names below are loaded when first used, so that `import mmasched` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__version__ = "0.1.0"

_ROOM_OF = {
    "Conv2d": "problem",
    "Requantize": "problem",
    "QuantizedAdd": "problem",
    "reference": "problem",
    "Target": "hardware",
    "Hardware": "hardware",
    "Config": "space",
    "Outcome": "measure",
    "verify": "measure",
    "tune": "tune",
    "tune_network": "tune",
    "TuningResult": "tune",
    "NetworkResult": "tune",
    "network": "network",
    "load_network": "network",
    "compile": "deploy",
    "load": "deploy",
    "CompiledNetwork": "deploy",
    "costs": "costs",
    "MmaschedError": "errors",
    "BadInput": "errors",
    "Unsupported": "errors",
    "Missing": "errors",
}

__all__ = list(_ROOM_OF)


class _CallableRoom(types.ModuleType):
    """A room that is called like the function of its own name: `mmasched.tune(...)` is `mmasched.tune.tune(...)`."""

    def _function(self) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function()(*args, **kwargs)

    @property
    def __signature__(self) -> Any:
        return importlib.import_module("inspect").signature(self._function())


class _Package(types.ModuleType):
    """Loads public names on first use, and makes the rooms that share a function's name callable.

    Importing `mmasched.tune` binds the room to the name `tune` of this package, where users expect the function:
    so a room bound to a public name becomes callable instead, and both readings hold.
    """

    def __getattr__(self, name: str) -> Any:
        room = _ROOM_OF.get(name)
        if room is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{self.__name__}.{room}")
        if room == name:
            return module
        value = getattr(module, name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if _ROOM_OF.get(name) == name and isinstance(value, types.ModuleType):
            value.__class__ = _CallableRoom
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_ROOM_OF})


sys.modules[__name__].__class__ = _Package
