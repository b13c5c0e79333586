"""The peers on GPUs: what they say where they cannot run, and their kernels on the host."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_cudnn
from host_torch import HostTorch

from mmasched.compare.cuda import (
    cudnn_graph,
    cutlass_peer,
    metaschedule_peer,
    metaschedule_schedules,
    nvcc,
    torch_device,
)
from mmasched.compare.cuda.cutlass_source import TILES, source
from mmasched.compare.cuda.peers import gpu_peer_names, gpu_peers
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.problem import Conv2d, Requantize, random_operands, reference
from mmasched.problem.packing import pack_bits

SCALES = np.linspace(0.002, 0.01, 24).astype(np.float32)
PLAIN = Conv2d(2, 7, 6, 16, 24, 3, stride=(2, 1), padding=(1, 0, 2, 1), requantize=Requantize(SCALES))
SUMMED = Conv2d(2, 9, 9, 40, 24, 1, requantize=Requantize(SCALES, residual_scale=0.7), residual=True)
ODD = Conv2d(1, 12, 12, 3, 24, 3, dilation=2, requantize=Requantize(SCALES, zero_point=4))
PROBLEMS = [symmetric(problem) for problem in (PLAIN, SUMMED, ODD)]


@pytest.fixture
def torch(monkeypatch):
    made = HostTorch(pytest.importorskip("torch", reason="torch is missing: pip install torch"), monkeypatch)
    monkeypatch.setattr(torch_device, "torch_with_gpu", lambda: made)
    monkeypatch.setattr(torch_device, "why_no_torch", lambda: None)
    return made


def test_names() -> None:
    assert gpu_peer_names() == ["cudnn", "cutlass", "metaschedule", "triton", "torch"]
    with pytest.raises(BadInput, match="did you mean cudnn"):
        gpu_peers(["cudn"])


@pytest.mark.parametrize("name", gpu_peer_names())
def test_without_torch_each_says_what_to_install(name, monkeypatch) -> None:
    for module in ("torch", "triton", "cudnn"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(cutlass_peer, "headers", lambda: Path("."))
    monkeypatch.setattr(cutlass_peer, "find_tool", lambda tool: "nvcc")
    (peer,) = gpu_peers([name])
    with pytest.raises(Missing, match="pip install torch"):
        peer.prepare(PROBLEMS[0], random_operands(PROBLEMS[0]), 1)


def test_meta_schedule_without_tvm_or_compiler(torch, monkeypatch) -> None:
    (peer,) = gpu_peers(["metaschedule"])
    monkeypatch.setattr(metaschedule_peer, "nvcc", lambda: (_ for _ in ()).throw(Missing("nvcc is missing: get it")))
    assert peer.unavailable() == "metaschedule compiles its schedules: nvcc is missing: get it"
    monkeypatch.setitem(sys.modules, "tvm", None)
    assert "metaschedule is missing" in peer.unavailable()


@pytest.mark.parametrize("problem", PROBLEMS, ids=["plain", "summed", "odd"])
def test_meta_schedule_computes_the_problem_exactly(torch, monkeypatch, problem) -> None:
    """Its workload, not scheduled, on the host: what the schedules have to keep."""
    import tvm

    monkeypatch.setattr(metaschedule_peer, "torch_capability", lambda _: 80)
    drawn = [metaschedule_schedules.workload(problem)] * 2
    monkeypatch.setattr(metaschedule_schedules, "tensor_core_schedules", lambda module, target: iter(drawn))
    monkeypatch.setattr(metaschedule_schedules, "compiled", lambda module, *_: tvm.compile(module, target="llvm"))
    monkeypatch.setattr(metaschedule_peer, "trial", lambda prepared: prepared.time(1))
    (peer,) = gpu_peers(["metaschedule"])
    operands = random_operands(problem)
    prepared = peer.load(problem, operands, 1)
    assert (prepared.run() == reference(problem, **operands)).all() and prepared.note == "best of 2 schedules"
    monkeypatch.setattr(metaschedule_schedules, "tensor_core_schedules", lambda module, target: iter(()))
    with pytest.raises(Unsupported, match="no schedule of it that uses tensor cores"):
        peer.load(problem, operands, 1)


def test_cutlass_without_headers_or_compiler(monkeypatch) -> None:
    (peer,) = gpu_peers(["cutlass"])
    monkeypatch.setattr(cutlass_peer, "headers", lambda: None)
    assert peer.unavailable() == "cutlass is missing: pip install nvidia-cutlass"
    monkeypatch.setattr(cutlass_peer, "headers", lambda: Path("."))
    monkeypatch.setattr(cutlass_peer, "find_tool", lambda tool: None)
    assert "needs nvcc" in peer.unavailable()


@pytest.mark.parametrize("name", gpu_peer_names())
def test_unsigned_and_grouped_problems_are_refused(name) -> None:
    (peer,) = gpu_peers([name])
    assert "unsigned" in peer.unsupported(PLAIN) or "padding" in peer.unsupported(PLAIN)
    groups = Conv2d(1, 8, 8, 16, 16, 3, groups=16, input_signed=True, output_signed=True, requantize=Requantize(0.01))
    assert "groups" in peer.unsupported(groups)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_torch_computes_the_problem(torch, problem) -> None:
    (peer,) = gpu_peers(["torch"])
    operands = random_operands(problem, 5)
    prepared = peer.load(problem, operands, 1)
    np.testing.assert_array_equal(prepared.run(), reference(problem, **operands))
    assert prepared.time(10) > 0


def test_cudnn_takes_its_best_plan_that_is_right(torch, monkeypatch) -> None:
    monkeypatch.setattr(cudnn_graph, "cudnn_module", lambda: fake_cudnn)
    (peer,) = gpu_peers(["cudnn"])
    operands = random_operands(PROBLEMS[1], 5)
    prepared = peer.prepare(PROBLEMS[1], operands, 1)
    assert np.abs(prepared.run().astype(int) - reference(PROBLEMS[1], **operands)).max() <= 1
    # Two forms of four distinct plans each: one cannot be built and one is wrong.
    assert prepared.note.endswith("best of 8 plans") and "wrong" not in prepared.note and "broken" not in prepared.note
    assert peer.version() == "9.12.0, frontend 0.0"


@pytest.mark.parametrize("problem", PROBLEMS)
def test_triton_computes_the_problem_in_its_interpreter(problem, tmp_path) -> None:
    pytest.importorskip("torch", reason="torch is missing: pip install torch")
    pytest.importorskip("triton", reason="triton is missing: pip install triton")
    import os
    import subprocess

    code = """
import sys, numpy as np, torch
from mmasched.compare.cuda import triton_peer
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.problem import random_operands, reference
import pickle
problem = pickle.load(open(sys.argv[1], "rb"))
operands = random_operands(problem, 5)
one = {name: None if value is None else torch.from_numpy(value) for name, value in operands.items()}
one["scale"] = torch.from_numpy(np.array(problem.requantize.scale))
for tile in ((32, 32, 64, 3, 4), (64, 16, 32, 1, 1)):
    one["y"] = torch.full(problem.output_shape, 85, dtype=torch.int8)
    triton_peer.launcher(torch, problem, one, tile)()
    assert np.array_equal(one["y"].numpy(), reference(problem, **operands)), tile
"""
    import pickle

    (tmp_path / "problem").write_bytes(pickle.dumps(problem))
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", code, str(tmp_path / "problem")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_cutlass_computes_less_and_says_so() -> None:
    (peer,) = gpu_peers(["cutlass"])
    made, remark = peer.computed(PROBLEMS[1])
    assert "less work" in remark and made.scale_granularity == "tensor" and made.macs == PROBLEMS[1].macs
    assert peer.given({"x": 1, "bias": 2}) == {"x": 1, "bias": None}
    assert "differs from side to side" in peer.unsupported(PROBLEMS[0])
    assert "channels" in peer.unsupported(PROBLEMS[2]) and peer.unsupported(PROBLEMS[1]) is None
    assert cutlass_peer.parameters(PROBLEMS[1]) == [2, 9, 9, 40, 24, 1, 1, 0, 0, 1, 1, 1, 1, 9, 9]


def test_cutlass_takes_nibbles(torch) -> None:
    (peer,) = gpu_peers(["cutlass"])
    problem = symmetric(Conv2d(2, 5, 5, 32, 16, 3, padding=1, input_bits=4, weight_bits=4, output_bits=4,
                               requantize=Requantize(0.01)))  # fmt: skip
    assert peer.unsupported(problem) is None and cutlass_peer.alignment(problem) == 16
    mixed = Conv2d(
        2, 5, 5, 32, 16, 3, weight_bits=4, input_signed=True, output_signed=True, requantize=Requantize(0.01)
    )
    assert "8 and 4 bits" in peer.unsupported(mixed)
    one = torch_device.operand_sets(torch, problem, random_operands(problem, 5))[0]
    words = pack_bits(one["x"].numpy().view(np.uint8) & 15, 4).view(np.int8)
    np.testing.assert_array_equal(cutlass_peer.packed(one)["x"].numpy(), words)
    back = torch_device.from_nibbles(torch, cutlass_peer.packed(one)["x"])
    np.testing.assert_array_equal(back.numpy(), one["x"].numpy())


def test_cutlass_sources_name_their_tile() -> None:
    text = source(TILES[0], 8, 16)
    assert "GemmShape<128, 128, 64>" in text and "GemmShape<16, 8, 32>" in text and "int8_t" in text
    assert "GemmShape<16, 8, 64>" in source(TILES[0], 4, 32) and str(TILES[0]) == "128x128x64, warps 64x64, stages 3"


@pytest.mark.skipif(cutlass_peer.headers() is None, reason="cutlass is missing: pip install nvidia-cutlass")
def test_cutlass_compiles(tmp_path) -> None:
    if nvcc.find_tool("nvcc") is None:
        pytest.skip(f"nvcc is missing: {nvcc.REMEDY}")
    data, _ = nvcc.compile_cuda(source(TILES[1], 8, 16), 80, output="shared", includes=(cutlass_peer.headers(),))
    assert data[:4] == b"\x7fELF"
