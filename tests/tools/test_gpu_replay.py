"""Replaying a GPU's results: a file made by NumPy from the manual's fragment layout, right and wrong."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).parents[2] / "tools"
MMA = "mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32"
COPY = "ldmatrix.sync.aligned.m8n8.x1.shared.b16"


@pytest.fixture
def tools(monkeypatch):
    if shutil.which("g++") is None:
        pytest.skip("the emulator is compiled by g++: apt-get install g++")
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return importlib.import_module("_gpu_fragment_cases"), importlib.import_module("gpu_replay")


def multiplied(operands):
    """[blocks, 32, 4] of m16n8k32, s8 times u8, by PTX ISA 9.7.14.5.9 (fragments of .m16n8k32 for 8-bit types)."""
    blocks = len(operands)
    words = operands.reshape(blocks, 32, 10)
    a, b, c = (np.ascontiguousarray(words[..., part]) for part in (slice(0, 4), slice(4, 6), slice(6, 10)))
    lane = np.arange(32)
    group, within = lane // 4, lane % 4
    left, right = np.zeros((blocks, 16, 32), np.int64), np.zeros((blocks, 32, 8), np.int64)
    a, b = a.view(np.int8), b.view(np.uint8)
    for i in range(16):
        row = group + (0 if i < 4 or 8 <= i < 12 else 8)
        left[:, row, within * 4 + (i & 3) + (16 if i >= 8 else 0)] = a[:, :, i]
    for i in range(8):
        right[:, within * 4 + (i & 3) + (16 if i >= 4 else 0), group] = b[:, :, i]
    product = left @ right
    out = c.view(np.int32).astype(np.int64)
    for i in range(4):
        out[:, :, i] += product[:, group + (8 if i >= 2 else 0), within * 2 + (i & 1)]
    return out.astype(np.uint64).astype(np.uint32)


def loaded(operands):
    """[blocks, 32, 1]: lane l gets two 16-bit elements of row l / 4 of the matrix whose rows lanes 0 to 7 address."""
    shared = operands[:, 32:].copy().view(np.uint8)
    out = np.zeros((len(operands), 32, 1), np.uint32)
    for block, (addresses, memory) in enumerate(zip(operands[:, :32], shared, strict=True)):
        for lane in range(32):
            at = int(addresses[lane // 4]) + lane % 4 * 4
            out[block, lane, 0] = memory[at : at + 4].view(np.uint32)[0]
    return out


@pytest.fixture
def write(tools, tmp_path):
    """write(change, error) -> the path of a file of two instructions."""

    def make(change=0, error=None):
        every = {case.name: case for case in (*tools[0].mma_cases(), *tools[0].matrix_cases())}
        arrays, manifest = {}, []
        for number, (name, compute) in enumerate(((MMA, multiplied), (COPY, loaded))):
            case = every[name]
            operands = case.operands(np.random.default_rng(number), 4)
            out = compute(operands)
            out[2, 7, 0] ^= change
            arrays |= {f"in/{number}": operands, f"out/{number}": out, f"source/{number}": np.array(case.source)}
            fields = ("name", "threads", "registers", "results", "shared", "after", "tensor_map")
            manifest.append({**{field: getattr(case, field) for field in fields}, "error": error})
        about = {"schema": 1, "board": "NumPy", "capability": 80, "kind": "measured", "cases": manifest}
        path = tmp_path / "fragments.npz"
        np.savez_compressed(path, manifest=np.array(json.dumps(about)), **arrays)
        return path

    return make


def test_what_agrees_agrees(tools, write, capsys):
    assert tools[1].main([str(write())]) == 0
    out = capsys.readouterr().out
    assert "NumPy (sm_80)" in out and "2 of 2 instructions are the same" in out


def test_a_single_bit_is_noticed(tools, write, capsys):
    assert tools[1].main([str(write(change=1 << 30))]) == 1
    out = capsys.readouterr().out
    assert f"{MMA}: 1 of 512 words differ" in out and f"{COPY}: 1 of 128 words differ" in out and "0 of 2" in out


def test_what_the_host_failed_on_is_told(tools, write, capsys):
    assert tools[1].main([str(write(error="nvcc failed"))]) == 1
    assert f"{MMA}: not in the file" in capsys.readouterr().out


def test_other_files_are_refused(tools, tmp_path, capsys):
    path = tmp_path / "other.npz"
    np.savez(path, x=np.zeros(3))
    assert tools[1].main([str(path)]) == 2
    path.write_bytes(b"nothing")
    assert tools[1].main([str(path)]) == 2
    assert capsys.readouterr().err.count("is no file of tools/gpu_fragments.py") == 2
