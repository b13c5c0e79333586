"""The arrays that a caller passes to a network, checked against its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from mmasched.errors import BadInput, nearest

if TYPE_CHECKING:
    from mmasched.deploy.compiled import Port


def checked_feeds(feeds: Any, inputs: Sequence[Port]) -> dict[str, np.ndarray]:
    """The arrays by input name. Raises BadInput for a missing, unknown or ill-shaped one."""
    if not isinstance(feeds, Mapping):
        raise BadInput(f"the inputs are {type(feeds).__name__}: pass a dict of input names and arrays")
    if len(feeds) != len(inputs):
        _complain(feeds, inputs)
    return {port.name: _checked(feeds, port, inputs) for port in inputs}


def _checked(feeds: Mapping[str, np.ndarray], port: Port, inputs: Sequence[Port]) -> np.ndarray:
    if port.name not in feeds:
        _complain(feeds, inputs)
    array = np.asarray(feeds[port.name])
    if array.shape != port.shape or array.dtype != port.dtype:
        wanted = f"{port.dtype} of shape {port.shape}"
        raise BadInput(f"the input {port.name!r} is {array.dtype} of shape {array.shape}: pass {wanted}")
    return array


def _complain(feeds: Mapping[str, np.ndarray], inputs: Sequence[Port]) -> NoReturn:
    known = [port.name for port in inputs]
    for name in feeds:
        if name not in known:
            raise BadInput(f"the network has no input {name!r}; {nearest(name, known)}")
    missing = next(port for port in inputs if port.name not in feeds)
    raise BadInput(f"the input {missing.name!r} is missing: pass {missing.dtype} of shape {missing.shape}")
