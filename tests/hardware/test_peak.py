import pytest

from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import Target, runs_here, targets
from mmasched.hardware.peak import build_loop, measured_peak

pytest.importorskip("tvm", reason="the loop is compiled by TVM: pip install mmasched")
X86 = targets("x86")


@pytest.mark.parametrize("target", X86, ids=str)
def test_peak_is_a_rate(target: Target) -> None:
    """A number of the right order: no CPU core does less than 1 or more than 100000 int8 GOPS."""
    if not runs_here(target):
        pytest.skip(f"this CPU does not run {target}")
    assert 1e9 < measured_peak(target, cores=1) < 1e14


@pytest.mark.parametrize("target", X86, ids=str)
def test_loop_touches_registers_only(target: Target) -> None:
    """The hot loop has the tier's instruction as often as there are accumulators, and no memory operand."""
    import tvm

    from mmasched.hardware import from_catalog

    function, _ = build_loop(target, 1)
    module = tvm.compile(tvm.IRModule({"main": function}), target=tvm.target.Target(from_catalog(target).llvm_target))
    mnemonic, count = {"amx": ("tdpbusd", 4), "avx512-vnni": ("vpdpbusd", 24), "avx-vnni": ("vpdpbusd", 12),
                       "avx2": ("vpmaddubsw", 12)}[target.chip]  # fmt: skip
    lines = [line.strip() for line in module.mod.inspect_source("s").splitlines()]
    uses = [number for number, line in enumerate(lines) if mnemonic in line.split()]
    assert len(uses) % count == 0 and uses  # LLVM may unroll
    assert not [line for line in lines[uses[0] : uses[-1] + 1] if "(%" in line]


def test_more_cores_than_there_are_is_bad_input() -> None:
    with pytest.raises(BadInput):
        measured_peak("x86/avx2", cores=4096)


def test_a_chip_that_is_not_here_is_unsupported() -> None:
    with pytest.raises(Unsupported):
        measured_peak("arm/cortex-a53")
