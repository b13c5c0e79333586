"""tools/gpu_peaks.py on a driver without a GPU: what it asks for, keeps and prints, never how fast anything is."""

import functools
import sys

import gpu_peaks
import pytest
from _gpu_rate_kernels import CHAINS, TURNS, per_turn, rates, shared_bytes, source

from mmasched.compare.cuda import nvcc
from mmasched.compare.cuda.driver import Device


def arguments(*words: str) -> None:
    sys.argv = ["gpu_peaks.py", *map(str, words)]


@pytest.fixture
def faked(fake_driver, monkeypatch, tmp_path):
    """Measurements end at once: the driver is fake, nothing is compiled."""
    monkeypatch.setattr(gpu_peaks, "Device", functools.partial(Device, fake_driver))
    monkeypatch.setattr(gpu_peaks, "compile_cuda", lambda *_, **__: (b"image", ""))
    monkeypatch.setattr(gpu_peaks, "machine_code", lambda *_: {"native": True})
    monkeypatch.setattr(gpu_peaks, "SUSTAINED_SECONDS", 0.005)
    monkeypatch.setattr(gpu_peaks, "COPY_BYTES", [1 << 16, 1 << 17])
    return tmp_path / "peaks.jsonl"


def test_rates_of_chips() -> None:
    ampere = {rate.name for rate in rates(80)}
    assert "mma s4.s4" in ampere and "mma e4m3" not in ampere
    assert "mma e4m3" in {rate.name for rate in rates(89)} and not any(rate.kind == "wgmma" for rate in rates(89))
    hopper = {rate.name: rate for rate in rates(90)}
    assert hopper["mma s8.s8"].operations == 2 * 16 * 8 * 32
    assert hopper["wgmma s8 n256 A from shared"].operations == 2 * 64 * 256 * 32
    assert per_turn(hopper["mma s8.s8"]) == CHAINS * TURNS
    assert shared_bytes(hopper["wgmma s8 n256 A from shared"], 256) == 1024 + 256 * 128 + 2 * 64 * 128


def test_sources_name_their_instruction_with_all_registers() -> None:
    for rate in rates(90):
        text = source(rate)
        assert rate.ptx + " {" in text
        if rate.kind == "wgmma":
            assert f"%{rate.n // 2 - 1}}}" in text and f"c[{rate.n // 2}]" in text


def test_measures_keeps_and_resumes(faked, capsys) -> None:
    arguments("--out", faked, "--only", "mma s8.s8")
    assert gpu_peaks.main() == 0
    printed = capsys.readouterr().out
    assert "| mma s8.s8" in printed and "Fake GPU, 4 multiprocessors" in printed and "native" in printed
    first = faked.read_text()
    arguments("--out", faked, "--only", "mma s8.s8")
    assert gpu_peaks.main() == 0 and faked.read_text() == first
    arguments("--out", faked, "--only", "copy")
    assert gpu_peaks.main() == 0
    printed = capsys.readouterr().out
    assert faked.read_text().startswith(first) and "| 64 KiB" in printed and "| 128 KiB" in printed


def test_a_rate_is_operations_over_seconds(faked) -> None:
    arguments("--out", faked, "--only", "wgmma s8 n256 A from shared")
    assert gpu_peaks.main() == 0
    row = next(row for row in gpu_peaks._gpu.Lines(faked).rows if row.get("what") == "rate")
    # Every launch takes 1 ms on the fake driver, and 256 turns took as much: 2,560 turns of 32 instructions.
    one = 2 * 64 * 256 * 32 * 32 * (row["threads"] // 128) * row["blocks"] * 4
    assert row["rate"] == pytest.approx(one * 2560 / 1e-3) and row["sustained"]["rate"] > 0


def test_the_time_limit_begins_nothing_new(faked, capsys) -> None:
    arguments("--out", faked, "--limit-seconds", "0")
    assert gpu_peaks.main() == 0
    assert "the time is over" in capsys.readouterr().out
    assert [row["id"] for row in gpu_peaks._gpu.Lines(faked).rows] == ["device"]


def test_one_sentence_without_a_gpu(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(gpu_peaks, "Device", functools.partial(Device, str(tmp_path / "libcuda.so.1")))
    arguments("--out", tmp_path / "peaks.jsonl")
    assert gpu_peaks.main() == 2
    assert capsys.readouterr().err.startswith("error: no NVIDIA driver is here")


def test_without_nvcc_each_instruction_says_so(fake_driver, monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(gpu_peaks, "Device", functools.partial(Device, fake_driver))
    monkeypatch.setattr(nvcc, "find_tool", lambda name: None)
    arguments("--out", tmp_path / "peaks.jsonl", "--cubins", tmp_path, "--only", "mma s8.s8")
    assert gpu_peaks.main() == 0
    assert "mma s8.s8: not measured: nvcc is missing" in capsys.readouterr().out


def test_the_loops_hold_the_instruction_alone(tmp_path, capsys) -> None:
    if nvcc.find_tool("nvcc") is None:
        pytest.skip(f"nvcc is missing: {nvcc.REMEDY}")
    if nvcc.find_tool("cuobjdump") is None:
        pytest.skip(f"cuobjdump is missing: {nvcc.REMEDY}")
    arguments("--build", "--capability", "90", "--cubins", tmp_path, "--only", "n64 A from shared", "--jobs", "1")
    assert gpu_peaks.main() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "n64" in line]
    assert len(lines) == 4 and all("native" in line for line in lines)


def test_nothing_measured_yet(tmp_path, capsys) -> None:
    arguments("--table", "--out", tmp_path / "peaks.jsonl")
    assert gpu_peaks.main() == 0 and "nothing was measured" in capsys.readouterr().out
