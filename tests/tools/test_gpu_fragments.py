"""tools/gpu_fragments.py: its cases compile, what it saves can be replayed; the driver is one without a GPU."""

import functools
import json
import sys

import gpu_fragments
import numpy as np
import pytest
from _gpu_fragment_cases import small_integer_codes

from mmasched.compare.cuda import nvcc
from mmasched.compare.cuda.driver import Device
from mmasched.problem import fp8


def arguments(*words) -> None:
    sys.argv = ["gpu_fragments.py", *map(str, words)]


def test_cases_have_names_of_their_own_and_operands_of_their_size() -> None:
    every = gpu_fragments.cases(90)
    assert len({case.name for case in every}) == len(every)
    for case in every:
        operands = case.operands(np.random.default_rng(0), 3)
        assert operands.shape == (3, case.words) and operands.dtype == np.uint32, case.name
        assert case.out_words > 0 and case.shared % 4 == 0
        again = case.operands(np.random.default_rng(0), 3)
        np.testing.assert_array_equal(operands, again)


def test_forms_of_chips() -> None:
    names = {chip: " ".join(case.name for case in gpu_fragments.cases(chip)) for chip in (75, 80, 89, 90)}
    assert "m8n8k16" in names[75] and "m16n8k32" not in names[75] and "cp.async" not in names[75]
    assert "m16n8k64.row.col.s32.s4.u4" in names[80] and "and.popc" in names[80] and "e4m3" not in names[80]
    assert "e4m3" in names[89] and "wgmma" not in names[89]
    for form in ("wgmma", "stmatrix", "im2col", "ldmatrix.sync.aligned.m8n8.x4.trans"):
        assert form in names[90]


@pytest.mark.parametrize("kind", ["e4m3", "e5m2"])
def test_fp8_operands_are_small_whole_numbers(kind) -> None:
    values = fp8.decode(small_integer_codes(kind), f"fp8_{kind}")
    assert sorted(values) == [-4, -3, -2, -1, 0, 1, 2, 3, 4]


def test_rows_of_matrices_are_apart_and_aligned() -> None:
    (case,) = (case for case in gpu_fragments.cases(80) if case.name.endswith("x4.trans.shared.b16"))
    rows = case.operands(np.random.default_rng(0), 2)[:, :32]
    assert (rows % 16 == 0).all() and rows.max() <= case.shared - 16 and len(set(rows[0])) == 32


def test_saves_what_can_be_replayed(fake_driver, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(gpu_fragments, "Device", functools.partial(Device, fake_driver))
    monkeypatch.setattr(gpu_fragments, "compile_cuda", lambda *_, **__: (b"image", ""))
    path = tmp_path / "made" / "fragments.npz"
    arguments("--out", path, "--only", "s8")
    assert gpu_fragments.main() == 0 and "measured on Fake GPU" in capsys.readouterr().out
    with np.load(path, allow_pickle=False) as saved:
        manifest = json.loads(str(saved["manifest"]))
        assert (manifest["capability"], manifest["kind"], manifest["board"]) == (90, "measured", "Fake GPU")
        for number, case in enumerate(manifest["cases"]):
            threads, registers = case["threads"], case["registers"]
            assert saved[f"in/{number}"].shape == (gpu_fragments.BLOCKS, threads * registers + case["shared"] // 4)
            assert saved[f"out/{number}"].shape == (gpu_fragments.BLOCKS, threads, case["results"])
            assert (saved[f"out/{number}"] == 0xA5A5A5A5).all()  # The fake driver's kernels write nothing.
            assert 'extern "C" __global__ void one(' in str(saved[f"source/{number}"])
        assert saved["tensor"].shape == (3, 10, 12, 128) and saved["tensor"].min() > 0


def test_a_case_that_does_not_compile_is_said_and_kept(fake_driver, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(gpu_fragments, "Device", functools.partial(Device, fake_driver))
    monkeypatch.setattr(nvcc, "find_tool", lambda name: None)
    arguments("--out", tmp_path / "f.npz", "--cubins", tmp_path, "--only", "tile 64x6x4 swizzle 64")
    assert gpu_fragments.main() == 1 and "nvcc is missing" in capsys.readouterr().out
    with np.load(tmp_path / "f.npz", allow_pickle=False) as saved:
        (case,) = json.loads(str(saved["manifest"]))["cases"]
        assert "nvcc is missing" in case["error"] and case["tensor_map"]["swizzle"] == "64" and "out/0" not in saved


def test_tensor_maps_are_aligned_and_encoded(fake_driver) -> None:
    with Device(fake_driver) as device:
        tensor = device.put(gpu_fragments.tensor_bytes())
        (case,) = (case for case in gpu_fragments.cases(90) if "tile 64x6x4 swizzle 64" in case.name)
        assert bytes(gpu_fragments.encoded(device, case.tensor_map, tensor)) == bytes([7] * 128)


def test_one_sentence_without_a_gpu(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(gpu_fragments, "Device", functools.partial(Device, str(tmp_path / "libcuda.so.1")))
    arguments("--out", tmp_path / "f.npz")
    assert gpu_fragments.main() == 2 and "no NVIDIA driver is here" in capsys.readouterr().err


def test_some_of_each_kind_compile(tmp_path, capsys) -> None:
    if nvcc.find_tool("nvcc") is None:
        pytest.skip(f"nvcc is missing: {nvcc.REMEDY}")
    for text in ("m16n8k32.row.col.f32.e5m2.e4m3", "stmatrix.sync.aligned.m8n8.x2.trans", "cp.async.cg",
                 "m64n16k32.s32.s8.s8 layout 64 step 1", "im2col 64x16 stride 2"):  # fmt: skip
        arguments("--build", "--capability", "90", "--cubins", tmp_path, "--only", text)
        assert gpu_fragments.main() == 0 and "1 of 1 cases compile" in capsys.readouterr().out, text
