"""Post-training quantization of float ONNX models, by ONNX Runtime's own static quantizer on seeded random images."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from mmasched.errors import BadInput, Missing, nearest

FORMATS = ("QDQ", "QOperator")
ACTIVATIONS = ("u8", "s8")


class RandomImages:
    """A calibration reader: `samples` batches of normally distributed float32 inputs with large patches."""

    def __init__(self, model_path: str | Path, seed: int = 0, samples: int = 2):
        import onnx

        graph = onnx.load_model(model_path, load_external_data=False).graph
        weights = {tensor.name for tensor in graph.initializer}
        shapes = {
            value.name: tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
            for value in graph.input
            if value.name not in weights
        }
        self._feeds = iter([random_feed(shapes, seed + index) for index in range(samples)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, None after the last: the contract of onnxruntime.quantization.CalibrationDataReader."""
        return next(self._feeds, None)


def random_feed(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """{name: float32 array} of about zero mean and unit deviation; images get both pixel noise and large patches."""
    random = np.random.default_rng(seed)
    feed = {}
    for name, shape in shapes.items():
        x = random.standard_normal(shape, np.float32)
        if len(shape) == 4:
            coarse = random.standard_normal((*shape[:2], -(-shape[2] // 8), -(-shape[3] // 8)), np.float32)
            patches = coarse.repeat(8, axis=2).repeat(8, axis=3)[:, :, : shape[2], : shape[3]]
            x = np.float32(0.5) * x + np.float32(0.85) * patches
        feed[name] = x
    return feed


def quantize(
    float_model_path: str | Path,
    out_path: str | Path,
    *,
    format: str = "QDQ",
    activation: str = "u8",
    per_channel: bool = True,
    seed: int = 0,
    samples: int = 2,
) -> Path:
    """Quantizes a float model to 8 bits (weights signed and symmetric) and returns `out_path`.

    format: "QDQ" or "QOperator"; activation: "u8" or "s8". Activation ranges are the minima and maxima over `samples`
    seeded random inputs: right for speed and exactness, not for accuracy on real data.
    Raises BadInput for another format or activation, Missing if the file or ONNX Runtime is absent.
    """
    for field, value, known in (("format", format, FORMATS), ("activation", activation, ACTIVATIONS)):
        if value not in known:
            raise BadInput(f"{field} is {value!r}: {nearest(str(value), known)}")
    if not Path(float_model_path).is_file():
        raise Missing(f"{float_model_path} does not exist: give the path of a float ONNX model")
    try:
        from onnxruntime import quantization
    except ImportError:
        raise Missing("quantizing needs onnxruntime: pip install onnxruntime") from None

    class Reader(RandomImages, quantization.CalibrationDataReader):
        pass

    kinds = {"u8": quantization.QuantType.QUInt8, "s8": quantization.QuantType.QInt8}
    root = logging.getLogger()
    level = root.level
    # The quantizer warns through the root logger that the model was not pre-processed, which these need not be.
    root.setLevel(logging.ERROR)
    try:
        quantization.quantize_static(
            str(float_model_path),
            str(out_path),
            Reader(float_model_path, seed, samples),
            quant_format=quantization.QuantFormat[format],
            activation_type=kinds[activation],
            weight_type=quantization.QuantType.QInt8,
            per_channel=per_channel,
        )
    finally:
        root.setLevel(level)
    return Path(out_path)
