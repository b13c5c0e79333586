"""nvcc on small kernels, where there is one, and the errors where it fails or is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mmasched.build import BuildError
from mmasched.build.cuda import compile as compiling
from mmasched.build.cuda import cuda_source, resources
from mmasched.build.cuda import toolkit as toolkits
from mmasched.build.cuda.compile import compile_cubin, first_error
from mmasched.build.cuda.sass import disassemble
from mmasched.errors import Missing


def test_a_kernel_becomes_a_cubin_with_its_report(nvcc, tiny, sm_80):
    source = cuda_source(tiny.mma_program(), sm_80)
    cubin = compile_cubin(source, sm_80)
    report = resources(cubin, source.launches)
    assert cubin.image.startswith(b"\x7fELF") and cubin.seconds > 0
    assert report["shared_bytes"] == 16 * 32 + 8 * 32
    assert report["spill_stores"] == report["spill_loads"] == report["stack_frame"] == 0
    assert 8 <= report["registers"] <= 64
    if nvcc.nvdisasm is None:
        pytest.skip("no nvdisasm for the rest: pip install 'mmasched[cuda]'")
    assert report["mma"] == {"IMMA.16832.S8.S8": 1}
    assert (report["sass"]["LDGSTS"], report["sass"]["LDSM"], report["sass"]["STG"]) == (2, 2, 4)


def test_the_loop_around_matrix_instructions_is_found(nvcc, tiny, sm_90):
    if nvcc.nvdisasm is None:
        pytest.skip("no nvdisasm: pip install 'mmasched[cuda]'")
    source = cuda_source(tiny.mma_program(repeat=5000), sm_90)
    report = resources(compile_cubin(source, sm_90), source.launches)
    # However far the compiler unrolled it, the loop has no copies from global memory and no barrier.
    assert report["hot_loop"]["IMMA"] >= 1
    assert not {"LDGSTS", "BAR", "STG"} & set(report["hot_loop"])


def test_the_short_headers_change_nothing(nvcc, tiny, sm_80, monkeypatch):
    text = cuda_source(tiny.mma_program(repeat=3), sm_80).text
    used = {
        "int": "min(max(i, 3), 7) + __popc(i) + abs(i) + __float2int_rn(f) + __shfl_xor_sync(0xffffffffu, i, 1)",
        "float": "fmaf(rintf(f), fminf(f, 2.0f), fmaxf(f, 1.0f)) + __int2float_rn(i)",
        "unsigned": "min(u, 5u) + max(u, 1u) + __byte_perm(u, 7, 0x3210) + atomicAdd((unsigned*)out, u)",
    }
    for kind, expression in used.items():
        text += f"""
extern "C" __global__ void uses_{kind}(int* out, float f, int i, unsigned u) {{
  (({kind}*)out)[threadIdx.x] = {expression};
}}"""
    short = compile_cubin(text, sm_80)
    runs = []
    run = compiling._run
    monkeypatch.setattr(compiling, "_run", lambda command, *rest: runs.append(command) or run(command[:-2], *rest))
    full = compile_cubin(text, sm_80)
    assert len(runs) == 1 and runs[0][-2] == "-I"
    report = re.compile(r"ptxas info +: Used.*")
    assert report.findall(short.log) == report.findall(full.log)
    if nvcc.nvdisasm is not None:
        assert disassemble(short.image, nvcc.nvdisasm) == disassemble(full.image, nvcc.nvdisasm)


def test_a_source_beyond_the_short_headers_is_compiled_with_the_full_ones(nvcc, sm_80):
    text = '#include <cuda.h>\nextern "C" __global__ void k(double* x) { *x = sinpi(*x) + sizeof(CUtensorMap); }'
    assert compile_cubin(text, sm_80).image


def test_what_nvcc_rejects_is_a_build_error_with_its_first_complaint(nvcc, sm_80):
    with pytest.raises(BuildError, match=r'identifier "nothing" is undefined'):
        compile_cubin('extern "C" __global__ void k(int* x) { *x = nothing; }', sm_80)


def test_what_the_chip_lacks_is_a_build_error(nvcc, tiny, sm_80, sm_90):
    source = cuda_source(tiny.mma_program(), sm_80)
    text = source.text.replace("cp.async.commit_group;", "setmaxnreg.inc.sync.aligned.u32 240;")
    with pytest.raises(BuildError, match="setmaxnreg"):
        compile_cubin(text, sm_80)


def test_nvcc_is_stopped_when_it_takes_too_long(nvcc, tiny, sm_80):
    with pytest.raises(BuildError, match="stopped after 0.001 s"):
        compile_cubin(cuda_source(tiny.mma_program(), sm_80), sm_80, timeout=0.001)


def test_without_nvcc_the_error_says_how_to_get_it(monkeypatch, tmp_path, tiny, sm_80):
    monkeypatch.setattr(toolkits, "_places", lambda: [tmp_path / "bin" / "nvcc"])
    with pytest.raises(Missing, match=r"pip install 'mmasched\[cuda\]'"):
        compile_cubin(cuda_source(tiny.mma_program(), sm_80), sm_80)


def test_an_incomplete_toolkit_is_passed_over_and_named(monkeypatch, tmp_path):
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text("")
    monkeypatch.setattr(toolkits, "_places", lambda: [nvcc])
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(Missing, match="lacks bin/ptxas"):
        toolkits.find_toolkit()


def test_a_toolkit_newer_than_the_driver_is_passed_over(monkeypatch):
    new, old = (toolkits.Toolkit(Path(f"/cuda-{major}/bin/nvcc"), (major, 2), None) for major in (13, 12))
    known = {found.nvcc: found for found in (new, old)}
    monkeypatch.setattr(toolkits, "_places", lambda: list(known))
    monkeypatch.setattr(toolkits, "_complete", known.__getitem__)
    assert toolkits.find_toolkit() == new
    assert toolkits.find_toolkit(driver=(12, 4)) == old
    with pytest.raises(Missing, match="newer than the driver, which runs CUDA 11.8"):
        toolkits.find_toolkit(driver=(11, 8))


@pytest.mark.parametrize(
    ("log", "first"),
    [
        ("kernel.cu(3): warning: x\nkernel.cu(7): error: y is undefined\nmore", "kernel.cu(7): error: y is undefined"),
        (
            "nvcc fatal   : Unsupported gpu architecture 'compute_70'",
            "nvcc fatal   : Unsupported gpu architecture 'compute_70'",
        ),
        ("", "it said nothing"),
    ],
)
def test_the_first_complaint(log, first):
    assert first_error(log) == first
