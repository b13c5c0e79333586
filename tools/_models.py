"""Quantized ONNX models for the benchmarks, made once and kept in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _bench import OUT

from mmasched.errors import BadInput, nearest
from mmasched.network import Graph, quantize
from mmasched.network.onnx_models import float_model, single_conv
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import ARCHITECTURES

FOLDER = OUT / "bench"
# Files with a single convolution: in_channels, out_channels, image, kernel and the rest of `single_conv`.
SINGLE: dict[str, tuple[tuple[int, int, int, int], dict[str, Any]]] = {
    "conv3x3": ((64, 64, 56, 3), {"activation": "relu"}),
    "conv1x1": ((256, 64, 56, 1), {"activation": "relu"}),
    "conv_depthwise": ((96, 96, 56, 3), {"groups": 96, "activation": "relu6"}),
}


def check_names(names: list[str]) -> list[str]:
    """The names themselves. Raises BadInput for one that is neither a built-in network nor a single convolution."""
    known = [*SINGLE, *ARCHITECTURES]
    for name in names:
        if name not in known:
            raise BadInput(f"there is no network {name!r}; {nearest(name, known)}")
    if not names:
        raise BadInput(f"no network is named: give some of {', '.join(known)}")
    return names


def quantized_model(name: str, form: str, activation: str, folder: Path) -> Path:
    """The path of the model: form "QDQ" or "QOperator", activation "u8" or "s8", int8 weights per channel."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{form}.{activation}.onnx"
    if path.exists():
        return path
    plain, partial = folder / f"{name}.float.onnx", folder / f"{name}.{form}.{activation}.partial.onnx"
    if not plain.exists():
        if name in SINGLE:
            sizes, options = SINGLE[name]
            single_conv(plain, *sizes, **options)
        else:
            float_model(name, plain)
    # Renamed at the end, so that an interrupted run leaves no half a model.
    quantize(plain, partial, format=form, activation=activation).rename(path)
    return path


def feeds_for(graph: Graph, seed: int = 1) -> dict[str, np.ndarray]:
    """A random image for each input."""
    return random_feed({name: graph.tensors[name].shape for name in graph.inputs}, seed)
