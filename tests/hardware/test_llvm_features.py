"""What the code generator may use is exactly the tier's, whatever CPU compiles: LLVM itself is asked."""

import re

import pytest

from mmasched.hardware import Hardware, Target, from_catalog, runs_here, targets
from mmasched.hardware.detect import detect

tvm = pytest.importorskip("tvm", reason="the code generator is TVM's: pip install mmasched")

VECTOR = re.compile(r"avx.*|amx.*|gfni|vaes|vpclmulqdq|evex512")
NEEDED = {  # tier -> the vector extensions of its baseline (Intel SDM), beyond which nothing may be used
    "avx2": {"avx", "avx2"},
    "avx-vnni": {"avx", "avx2", "avxvnni"},
    "avx512-vnni": {"avx", "avx2", *(f"avx512{part}" for part in ("f", "bw", "cd", "dq", "vl", "vnni"))},
}


def generated(hardware: Hardware) -> set[str]:
    """The features that LLVM's x86 code generator uses for this hardware."""
    from tvm.target import codegen

    return set(codegen.llvm_get_cpu_features(tvm.target.Target(hardware.llvm_target)))


@pytest.mark.parametrize("tier", NEEDED)
@pytest.mark.parametrize("source", [from_catalog, detect])
def test_no_instruction_beyond_the_tier(tier: str, source) -> None:
    if source is detect and not runs_here(f"x86/{tier}"):
        pytest.skip(f"this CPU does not run x86/{tier}")
    used = generated(source(f"x86/{tier}"))
    assert {name for name in used if VECTOR.fullmatch(name)} == NEEDED[tier]
    assert {"fma", "bmi2"} <= used


@pytest.mark.parametrize("target", targets("x86"), ids=str)
def test_every_promised_feature_is_on(target: Target) -> None:
    hardware = from_catalog(target)
    assert hardware.features <= generated(hardware)


@pytest.mark.parametrize("mcpu", ["graniterapids", "icelake-server", "znver2", "znver3", "znver4", "znver5"])
def test_scheduling_models_are_known_to_llvm(mcpu: str) -> None:
    target = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": mcpu}
    from tvm.target import codegen

    assert "avx2" in codegen.llvm_get_cpu_features(tvm.target.Target(target))


@pytest.mark.parametrize("target", targets("arm"), ids=str)
def test_arm_features_are_on(target: Target) -> None:
    hardware = from_catalog(target)
    assert hardware.features <= generated(hardware)
