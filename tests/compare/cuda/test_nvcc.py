import pytest

from mmasched.compare.cuda import nvcc, sass
from mmasched.errors import Missing, MmaschedError

SOURCE = 'extern "C" __global__ void twice(int* x) { x[threadIdx.x] *= 2; }'


@pytest.fixture
def compiler() -> str:
    found = nvcc.find_tool("nvcc")
    if found is None:
        pytest.skip(f"nvcc is missing: {nvcc.REMEDY}")
    return found


def test_without_a_compiler(monkeypatch) -> None:
    monkeypatch.setattr(nvcc, "find_tool", lambda name: None)
    with pytest.raises(Missing, match=r"nvcc is missing: pip install mmasched\[cuda\]"):
        nvcc.compile_cuda(SOURCE, 80)
    monkeypatch.setattr(sass, "find_tool", lambda name: None)
    with pytest.raises(Missing, match="cuobjdump is missing"):
        sass.disassemble(b"")


def test_architectures() -> None:
    assert nvcc.architecture(80) == ["-gencode=arch=compute_80,code=sm_80"]
    assert nvcc.architecture(90) == ["-gencode=arch=compute_90a,code=sm_90a"]


def test_compiles_once(compiler, tmp_path, monkeypatch) -> None:
    data, report = nvcc.compile_cuda(SOURCE, 80, cache=tmp_path)
    assert data[:4] == b"\x7fELF" and "registers" in report
    monkeypatch.setattr(nvcc, "find_tool", lambda name: None)  # What was compiled needs no nvcc any more.
    assert nvcc.compile_cuda(SOURCE, 80, cache=tmp_path) == (data, report)
    with pytest.raises(Missing, match="nvcc is missing"):
        nvcc.compile_cuda(SOURCE + "\n", 80, cache=tmp_path)


def test_errors_are_the_compilers_first(compiler) -> None:
    with pytest.raises(MmaschedError, match=r"nvcc failed: .*undeclared_name"):
        nvcc.compile_cuda("__global__ void f() { undeclared_name(); }", 80)


LISTING = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0020*/              @!P0 BRA 0x10 ;
        /*0030*/                   IMMA.16832.S8.S8 R4, R8.ROW, R10.COL, R4 ;
        /*0040*/                   IMMA.16832.S8.S8 R12, R8.ROW, R10.COL, R12 ;
        /*0050*/                   UIADD3 UR4, UR4, 0x1, URZ ;
        /*0060*/               @P1 BRA `(.L_x_0) ;
        /*0070*/               @P1 BRA 0x30 ;
        /*0080*/                   EXIT ;
        /*0090*/                   BRA 0x90 ;
"""


def test_hot_loop() -> None:
    loop = sass.hot_loop(LISTING)
    assert (loop.matrix, loop.count("IMMA"), loop.count("HMMA")) == (2, 2, 0)
    assert loop.other == {"UIADD3": 1, "BRA": 2}
    assert sass.hot_loop("/*0000*/ EXIT ;") is None
