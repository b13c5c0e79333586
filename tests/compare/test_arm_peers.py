"""Other libraries' Arm builds under emulation: what is refused, and their results where they are installed."""

from pathlib import Path

import numpy as np
import pytest

from mmasched.build import toolchain
from mmasched.compare.arm.peers import PEERS, arm_peers, run_peer
from mmasched.compare.arm.root import ArmPython
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import from_catalog
from mmasched.measure.emulation import qemu
from mmasched.measure.operands import operand_sets
from mmasched.problem import Conv2d, Requantize

ROOT = Path(__file__).resolve().parents[2] / "out" / "arm64"
A53 = from_catalog("arm/cortex-a53")
SCALE = Requantize(np.linspace(0.002, 0.004, 16, dtype=np.float32))
PROBLEM = Conv2d(1, 12, 12, 16, 16, 3, padding=1, input_signed=True, output_signed=True, requantize=SCALE)


@pytest.fixture(scope="module")
def python():
    try:
        toolchain.host_compiler(), toolchain.llvm_tools(), toolchain.cross_tool("arm", "gcc"), qemu.core_for(A53)
        return ArmPython(ROOT)
    except Missing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", PEERS)
def test_peers_compute_the_convolution(python, tmp_path, name):
    if not python.has(PEERS[name].module):
        pytest.skip(f"bash tools/arm64_root.sh {ROOT}")
    case = operand_sets(PROBLEM)[-1]
    result = run_peer(PEERS[name], PROBLEM, case, A53, python, tmp_path)
    # ONNX Runtime is exact; ncnn rounds halves away from zero and adds the bias as a float.
    assert result.largest <= (0 if name == "onnxruntime" else 1) and result.version
    # A multiplication of int8 costs a sixteenth of a cycle at best, and these libraries waste no more than a few.
    assert PROBLEM.macs / 16 < result.priced.cycles < 10 * PROBLEM.macs
    assert result.priced.share > 0.9


def test_what_a_peer_cannot_do():
    winograd, direct = PEERS["ncnn-winograd"], PEERS["ncnn-direct"]
    assert direct.unsupported(PROBLEM) is None and winograd.unsupported(PROBLEM) is None
    pointwise = Conv2d(1, 4, 4, 16, 16, 1, input_signed=True, output_signed=True, requantize=SCALE)
    assert "3x3" in winograd.unsupported(pointwise) and direct.unsupported(pointwise) is None
    unsigned = Conv2d(1, 4, 4, 16, 16, 1, requantize=SCALE)
    narrow = Conv2d(1, 4, 4, 16, 16, 1, input_bits=4, input_signed=True, output_signed=True, requantize=SCALE)
    raw = Conv2d(1, 4, 4, 16, 16, 1, input_signed=True, output_bits=32, output_signed=True)
    for problem in (unsigned, narrow, raw):
        assert direct.unsupported(problem)
    with pytest.raises(Unsupported, match="ncnn-winograd does not compute this problem"):
        run_peer(winograd, pointwise, None, A53, None, Path())


def test_names_and_a_missing_python(tmp_path):
    assert [peer.name for peer in arm_peers()] == list(PEERS)
    assert [peer.name for peer in arm_peers("onnxruntime, ncnn")] == ["onnxruntime", "ncnn-direct", "ncnn-winograd"]
    assert [peer.name for peer in arm_peers("ncnn-winograd")] == ["ncnn-winograd"]
    with pytest.raises(BadInput, match="did you mean ncnn"):
        arm_peers("ncn")
    with pytest.raises(Missing, match="arm64_root.sh"):
        ArmPython(tmp_path)
