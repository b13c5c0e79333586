"""A whole network for a GPU, emulated on the CPU and compared element by element: emulated, never measured.

    python tools/emulate_network.py resnet18 --image 64 --target cuda/sm_80

Makes the quantized network (ONNX Runtime quantizes it), compiles it, runs every kernel warp by warp, and compares with
ONNX Runtime and with the NumPy executor. Exit status 1 where an element differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from mmasched.deploy import compile
from mmasched.network import load_graph, quantize
from mmasched.network.evaluate import evaluate
from mmasched.network.onnx_models import build_model
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", help="a built-in name")
    parser.add_argument("--target", default="cuda/sm_80")
    parser.add_argument("--image", type=int, default=64, help="height and width")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--activation", default="u8", choices=("u8", "s8"))
    parser.add_argument("--log", default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        describe = partial(architecture(arguments.network), image=arguments.image)
        plain, path = Path(folder) / "float.onnx", Path(folder) / f"{arguments.network}.onnx"
        onnx.save_model(build_model(describe, "float", arguments.batch), plain)
        quantize(plain, path, format="QDQ", activation=arguments.activation)
        return compared(path, arguments.target, arguments.log)


def compared(path: Path, target: str, log: str | None) -> int:
    """Compile, emulate, compare, print."""
    start = time.perf_counter()
    network = compile(path, target, log)
    code = "machine code" if network.compiled else "CUDA C"
    print(f"{path.stem} for {target}: {len(network.layout.calls)} calls of {len(network.kernels)} programs, {code}, "
          f"{time.perf_counter() - start:.0f} s")  # fmt: skip
    if network.compiled:
        reports = [one.resources for one in network.kernels]
        print(f"spills: {sum(report['spill_stores'] + report['spill_loads'] for report in reports)} bytes")
    feeds = random_feed({port.name: port.shape for port in network.inputs}, 3)
    start = time.perf_counter()
    got = network.emulate(feeds)
    print(f"emulated in {time.perf_counter() - start:.0f} s")
    wrong = 0
    for name, theirs in (("NumPy", evaluate(load_graph(path), feeds)), ("ONNX Runtime", onnx_runtime(path, feeds))):
        for output, array in theirs.items():
            differ = int(np.count_nonzero(got[output] != array))
            wrong += differ
            values = np.unique(array).size
            print(f"{output} against {name}: {differ} of {array.size} elements differ ({values} different values)")
    return 1 if wrong else 0


def onnx_runtime(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ONNX Runtime's outputs, signed 8-bit kept signed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


if __name__ == "__main__":
    sys.exit(main())
