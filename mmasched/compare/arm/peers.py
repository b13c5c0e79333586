"""Modelled cycles of ncnn's and ONNX Runtime's convolutions, counted and priced as our candidates are."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.build.toolchain import cross_tool
from mmasched.compare.arm.root import ArmPython
from mmasched.compare.base import channel_scales
from mmasched.compare.onnxruntime_peer import build_model
from mmasched.errors import BadInput, Unsupported, nearest
from mmasched.measure.emulation import plugin, qemu
from mmasched.measure.emulation.caches import caches_of
from mmasched.measure.emulation.price import Priced, price_counts
from mmasched.measure.operands import OperandSet
from mmasched.problem import Conv2d

GUEST = Path(__file__).with_name("guest")
SECONDS = 600.0


@dataclass(frozen=True)
class ArmPeer:
    """A library's path through a convolution. includes: what its counted call does besides multiplying."""

    name: str
    module: str
    script: str
    includes: str
    winograd: bool = False

    def unsupported(self, problem: Conv2d) -> str | None:
        """None if the peer computes the problem, else what it has not."""
        plain = (problem.input_bits, problem.weight_bits, problem.output_bits) == (8, 8, 8)
        if not plain or not (problem.input_signed and problem.weight_signed and problem.output_signed):
            return "it takes int8 tensors"
        if problem.requantize is None or problem.residual or problem.batch != 1:
            return "batch 1, requantized, without a residual"
        if problem.input_zero_point or problem.weight_zero_point or problem.requantize.zero_point:
            return "zero points of 0"
        if self.winograd and (problem.kernel != (3, 3) or problem.stride != (1, 1) or problem.groups != 1):
            return "Winograd is for 3x3 kernels at stride 1"
        return None


PEERS = {
    peer.name: peer
    for peer in (
        ArmPeer("ncnn-direct", "ncnn", "ncnn_conv.py", "planar int8 in and out, packing of both, requantization"),
        ArmPeer(
            "ncnn-winograd", "ncnn", "ncnn_conv.py",
            "as ncnn-direct, F(4x4,3x3) or F(2x2,3x3) as ncnn chooses, not exact at full range", True,
        ),
        ArmPeer(
            "onnxruntime", "onnxruntime", "onnxruntime_conv.py",
            "NHWC int8 in and out, requantization, the call of a session",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class PeerResult:
    """What a peer's call costs in the model, which release it was, and how far its output is from the exact one."""

    name: str
    version: str
    priced: Priced
    differing: float
    largest: int


def arm_peers(names: str | None = None) -> list[ArmPeer]:
    """The peers of a comma-separated list, all for None. A library's name stands for all of its paths.

    Raises BadInput for an unknown name.
    """
    if names is None:
        return list(PEERS.values())
    found: dict[str, ArmPeer] = {}
    for name in (part.strip() for part in names.split(",")):
        chosen = {peer.name: peer for peer in PEERS.values() if name in (peer.name, peer.module)}
        if not chosen:
            known = dict.fromkeys(text for peer in PEERS.values() for text in (peer.module, peer.name))
            raise BadInput(f"there is no peer {name!r} for arm/* targets; {nearest(name, list(known))}")
        found |= chosen
    return list(found.values())


def run_peer(
    peer: ArmPeer, problem: Conv2d, case: OperandSet, hardware: Any, python: ArmPython, folder: Path
) -> PeerResult:
    """Count and price one call of a peer. Raises Unsupported for what it cannot compute, Missing for what is absent."""
    if reason := peer.unsupported(problem):
        raise Unsupported(f"{peer.name} does not compute this problem: {reason}")
    _write(problem, case, folder, peer)
    out = folder / "counts"
    out.unlink(missing_ok=True)
    options = plugin.options(plugin.build(folder), out, caches_of(hardware))
    python.run(qemu.core_for(hardware).name, GUEST / peer.script, [str(folder)], options, SECONDS)
    y = np.load(folder / "y.npy").astype(np.int64)
    error = np.abs(y - case.expected)
    version = json.loads((folder / "result.json").read_text())["version"]
    counts = plugin.read(out)
    return PeerResult(
        peer.name, version, price_counts(counts, hardware), float(np.mean(error > 0)), int(error.max(initial=0))
    )


def _write(problem: Conv2d, case: OperandSet, folder: Path, peer: ArmPeer) -> None:
    facts = {
        "kernel": problem.kernel,
        "stride": problem.stride,
        "padding": problem.padding,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "output_shape": problem.output_shape,
        "winograd": peer.winograd,
    }
    (folder / "job.json").write_text(json.dumps(facts))
    x, w, bias = (case.operands[name] for name in ("x", "w", "bias"))
    bias = np.zeros(problem.out_channels, np.int32) if bias is None else bias
    for name, array in {"x": x, "w": w, "bias": bias, "scale": channel_scales(problem)}.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "model.onnx").write_bytes(build_model(problem, w, 0, bias))
    markers = folder / "markers.so"
    if not markers.exists():
        compiler = cross_tool("arm", "gcc")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", GUEST / "markers.c", "-o", markers], check=True)
