"""More ways to run an ONNX network whole: ONNX Runtime with bound memory or other options, and OpenVINO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmasched.compare.base import Operands, Prepared
from mmasched.compare.whole_network import NetworkPeer


@dataclass(frozen=True)
class OnnxRuntimeDefault(NetworkPeer):
    """The model in ONNX Runtime with its default options, all optimizations included, called by session.run.

    bound: input and output memory is bound beforehand, which spares each call its conversions. signed_integers: QDQ
    models with signed activations run in integers, which on x86 they do in part only unless told so.
    """

    name: ClassVar[str] = "onnxruntime"
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    install: ClassVar[str] = "onnxruntime"
    bound: ClassVar[bool] = False
    signed_integers: ClassVar[bool] = False

    def load(self, problem: Any, operands: Operands, threads: int) -> Prepared:
        """One session; `operands` are the feeds."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if self.signed_integers:
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        if not self.bound:
            last: list[Any] = [None]

            def run() -> None:
                last[0] = session.run(names, operands)

            return Prepared(run, lambda: _flat(last[0]))
        binding = session.io_binding()
        inputs = {name: np.ascontiguousarray(value) for name, value in operands.items()}
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        outputs = [np.empty(value.shape, value.dtype) for value in session.run(names, operands)]
        for name, value in zip(names, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, value.dtype, value.shape, value.ctypes.data)
        return Prepared(lambda: session.run_with_iobinding(binding), lambda: _flat(outputs), holds=(inputs, outputs))


@dataclass(frozen=True)
class OnnxRuntimeBound(OnnxRuntimeDefault):
    """With bound memory."""

    name: ClassVar[str] = "onnxruntime-bound"
    bound: ClassVar[bool] = True


@dataclass(frozen=True)
class OnnxRuntimeIntegers(OnnxRuntimeBound):
    """With bound memory, signed activations in integers."""

    name: ClassVar[str] = "onnxruntime-int8"
    signed_integers: ClassVar[bool] = True


@dataclass(frozen=True)
class OpenVinoNetworkPeer(NetworkPeer):
    """The model in OpenVINO's CPU plugin, one stream, tuned for latency, with shared input memory."""

    name: ClassVar[str] = "openvino"
    modules: ClassVar[tuple[str, ...]] = ("openvino",)
    install: ClassVar[str] = "openvino"

    def load(self, problem: Any, operands: Operands, threads: int) -> Prepared:
        """One request; `operands` are the feeds."""
        import openvino

        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(self.path, "CPU", {**options, "ENABLE_CPU_PINNING": False})
        request = compiled.create_infer_request()
        held = [np.ascontiguousarray(value) for value in operands.values()]
        for name, array in zip(operands, held, strict=True):
            request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

        def call() -> None:
            # Half the overhead of request.infer(), which collects the results into a dictionary.
            request.start_async()
            request.wait()

        return Prepared(call, lambda: _flat(request.get_tensor(port).data for port in compiled.outputs), holds=held)


def _flat(arrays: Any) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in arrays])
