import pytest

from mmasched.errors import BadInput
from mmasched.hardware import Target, from_catalog, targets

CONTRACT = """x86/amx x86/avx512-vnni x86/avx-vnni x86/avx2
arm/cortex-a53 arm/cortex-a55 arm/cortex-a72 arm/cortex-a76 arm/neoverse-n1 arm/neoverse-v1 arm/neoverse-v2
arm/generic-i8mm cuda/sm_75 cuda/sm_80 cuda/sm_86 cuda/sm_89 cuda/sm_90""".split()


@pytest.mark.parametrize("name", CONTRACT)
def test_known_names_round_trip(name: str) -> None:
    target = Target.parse(name)
    assert str(target) == name
    assert Target.parse(target) is target
    assert target in targets(target.family)


def test_every_target_is_listed_once_in_order() -> None:
    assert [str(target) for target in targets()] == CONTRACT


@pytest.mark.parametrize(("typed", "suggested"), [("x86/avx512vnni", "x86/avx512-vnni"), ("cuda/sm80", "cuda/sm_80")])
def test_unknown_name_suggests_the_nearest(typed: str, suggested: str) -> None:
    with pytest.raises(BadInput, match=suggested):
        Target.parse(typed)


@pytest.mark.parametrize("typed", ["", "x86", "/", "x86/avx2/", "native/avx2", "X86/AVX2"])
def test_malformed_names_are_bad_input(typed: str) -> None:
    with pytest.raises(BadInput):
        Target.parse(typed)


@pytest.mark.parametrize("name", CONTRACT)
def test_catalog_is_complete(name: str) -> None:
    chip = from_catalog(name)
    assert str(chip.target) == name
    assert chip.name and chip.chip and chip.features and chip.cores >= 1
    assert chip.l1d >= 16384 and chip.l2 + chip.l3 >= 131072
    assert hash(chip) == hash(from_catalog(name)) and chip == from_catalog(name)
    assert (chip.gpu is None) == (chip.target.family != "cuda")


def test_peaks_agree_with_the_data_sheets() -> None:
    """Dense tensor-core TOPS stated by NVIDIA's data sheets and whitepapers, within their rounding."""
    stated = {
        ("cuda/sm_75", "s8"): 130, ("cuda/sm_75", "s4"): 260, ("cuda/sm_80", "s8"): 624, ("cuda/sm_80", "s4"): 1248,
        ("cuda/sm_80", "b1"): 4992, ("cuda/sm_86", "s8"): 284, ("cuda/sm_86", "s4"): 568, ("cuda/sm_89", "s8"): 660.6,
        ("cuda/sm_89", "fp8"): 330.3, ("cuda/sm_90", "s8"): 1979, ("cuda/sm_90", "fp8"): 1979,
    }  # fmt: skip
    for (name, operand), tera in stated.items():
        gpu = from_catalog(name).gpu
        if gpu.board == from_catalog(name).name:
            assert gpu.peak(operand) == pytest.approx(tera * 1e12, rel=0.01), (name, operand)
    assert from_catalog("cuda/sm_90").gpu.peak("s4") == 0.0
