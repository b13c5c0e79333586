"""Detection, on described machines: the files of Linux are written as those machines have them."""

import os
import platform
from pathlib import Path

import pytest

from mmasched.errors import Unsupported
from mmasched.hardware import CpuFacts, Target, detect, native_target, read_cpu, runs_here, targets
from mmasched.hardware.cpuinfo import _count

HASWELL = "fma f16c bmi1 avx2 bmi2"
AVX512 = HASWELL + " avx512f avx512dq avx512cd avx512bw avx512vl"
CASCADE_LAKE = AVX512 + " avx512_vnni"
ICE_LAKE = CASCADE_LAKE + " avx512ifma avx512vbmi avx512_vbmi2 avx512_bitalg avx512_vpopcntdq gfni vaes vpclmulqdq"
SAPPHIRE_RAPIDS = ICE_LAKE + " avx_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8"
MIB = 2**20


def machine(
    root: Path, *, flags: str, vendor: str = "GenuineIntel", model: int = 143, name: str = "", stepping: int = 8,
    l3: str = "32768K", shared: str = "0-1", cores: int = 2,
) -> CpuFacts:  # fmt: skip
    """An x86 machine of these properties, read back from the files that Linux would show."""
    (root / "proc").mkdir(parents=True)
    block = (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: 6\nmodel\t\t: {model}\nmodel name\t: {name}\n"
        f"stepping\t: {stepping}\nflags\t\t: fpu {flags}\n\n"
    )
    (root / "proc/cpuinfo").write_text(block + block.replace("processor\t: 0", "processor\t: 1"))
    rows = [("1", "Data", "48K", "0"), ("1", "Instruction", "32K", "0"), ("2", "Unified", "2048K", "0")]
    for number, row in enumerate([*rows, ("3", "Unified", l3, shared)]):
        index = root / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        index.mkdir(parents=True)
        for key, value in zip(("level", "type", "size", "shared_cpu_list"), row, strict=True):
            (index / key).write_text(value + "\n")
    return read_cpu(root, machine="x86_64", cores=cores)


def arm_machine(root: Path, *, part: str, flags: str, implementer: str = "0x41") -> CpuFacts:
    (root / "proc").mkdir(parents=True)
    text = f"processor\t: 0\nFeatures\t: fp {flags}\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n"
    (root / "proc/cpuinfo").write_text(text + "CPU architecture: 8\nCPU revision\t: 1\n")
    return read_cpu(root, machine="aarch64", cores=4)


@pytest.mark.parametrize(
    ("flags", "vendor", "tier", "mcpu"),
    [
        (SAPPHIRE_RAPIDS, "GenuineIntel", "x86/amx", "sapphirerapids"),
        (SAPPHIRE_RAPIDS + " amx_fp16", "GenuineIntel", "x86/amx", "graniterapids"),
        (ICE_LAKE, "GenuineIntel", "x86/avx512-vnni", "icelake-server"),
        (CASCADE_LAKE, "GenuineIntel", "x86/avx512-vnni", "cascadelake"),
        (ICE_LAKE + " avx_vnni", "AuthenticAMD", "x86/avx512-vnni", "znver5"),
        (ICE_LAKE, "AuthenticAMD", "x86/avx512-vnni", "znver4"),
        (HASWELL + " avx_vnni gfni", "GenuineIntel", "x86/avx-vnni", "alderlake"),
        (AVX512, "GenuineIntel", "x86/avx2", "haswell"),
        (HASWELL + " vaes", "AuthenticAMD", "x86/avx2", "znver3"),
        (HASWELL, "SomethingElse", "x86/avx2", "haswell"),
    ],
)
def test_x86_tier_and_scheduling_model(tmp_path: Path, flags: str, vendor: str, tier: str, mcpu: str) -> None:
    found = detect("native", machine(tmp_path, flags=flags, vendor=vendor))
    assert (str(found.target), found.mcpu) == (tier, mcpu)
    assert found.detected and found.llvm_target["mtriple"] == "x86_64-linux-gnu"


def test_identity_and_caches(tmp_path: Path) -> None:
    cpu = machine(tmp_path, flags=CASCADE_LAKE, name="Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", model=85, stepping=7)
    found = detect("native", cpu)
    assert found.name == "Intel Xeon Gold 6248"
    assert found.chip == "intel-06-55-7-avx512-vnni"
    assert (found.l1d, found.l2, found.l3, found.cores) == (48 * 1024, 2 * MIB, 32 * MIB, 2)
    assert found.notes == ()


def test_identity_does_not_depend_on_the_target(tmp_path: Path) -> None:
    cpu = machine(tmp_path, flags=SAPPHIRE_RAPIDS)
    assert len({detect(tier, cpu).chip for tier in ("x86/amx", "x86/avx512-vnni", "x86/avx2")}) == 1


def test_guest_that_sees_its_hosts_cache(tmp_path: Path) -> None:
    """480 MB of level 3 cache for two cores, and a desktop's model number, as a cloud guest with AMX reported."""
    cpu = machine(tmp_path, flags=SAPPHIRE_RAPIDS + " hypervisor", l3="491520K", model=167, stepping=1)
    found = detect("native", cpu)
    assert found.chip == "intel-06-a7-1-amx" and found.mcpu == "sapphirerapids"
    assert found.l3 == 8 * MIB
    assert "480 MiB" in found.notes[0]


def test_guest_with_a_masked_feature_never_gets_code_for_it(tmp_path: Path) -> None:
    masked = SAPPHIRE_RAPIDS.replace(" avx512_fp16", "").replace(" gfni", "")
    found = detect("x86/amx", machine(tmp_path, flags=masked))
    assert {"-avx512fp16", "-gfni"} <= set(found.mattr)
    assert not found.has("gfni") and found.has("avx512vbmi2")


def test_lower_tier_is_described_as_such(tmp_path: Path) -> None:
    found = detect("x86/avx2", machine(tmp_path, flags=SAPPHIRE_RAPIDS))
    assert (found.vector_bytes, found.vector_registers) == (32, 16)
    assert not any(name.startswith(("avx512", "amx")) for name in found.features)


def test_cpu_without_a_tier_is_unsupported(tmp_path: Path) -> None:
    cpu = machine(tmp_path, flags="sse4_2", name="Old")
    with pytest.raises(Unsupported, match="Old"):
        native_target(cpu)
    with pytest.raises(Unsupported, match="x86/avx2"):
        detect("x86/avx2", cpu)


@pytest.mark.parametrize(
    ("part", "flags", "implementer", "chip"),
    [
        ("0xd03", "asimd", "0x41", "cortex-a53"),
        ("0xd0b", "asimd asimddp", "0x41", "cortex-a76"),
        ("0xd40", "asimd asimddp i8mm sve", "0x41", "neoverse-v1"),
        ("0xd80", "asimd asimddp i8mm", "0x41", "generic-i8mm"),
        ("0xd41", "asimd asimddp", "0x41", "cortex-a76"),
        ("0x000", "asimd", "0x51", "cortex-a72"),
        ("0xd40", "asimd asimddp i8mm", "0x61", "generic-i8mm"),
    ],
)
def test_arm_core(tmp_path: Path, part: str, flags: str, implementer: str, chip: str) -> None:
    cpu = arm_machine(tmp_path, part=part, flags=flags, implementer=implementer)
    found = detect("native", cpu)
    assert found.target == Target("arm", chip)
    assert found.llvm_target["mtriple"] == "aarch64-linux-gnu" and found.vector_bytes == 16


def test_machine_without_any_facts_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        native_target(read_cpu(tmp_path, machine="riscv64", cores=1))


def test_cpu_lists_are_counted() -> None:
    assert [_count(text) for text in ("0", "0-3", "0-3,8,10-11", "")] == [1, 4, 7, 1]


def test_this_machine() -> None:
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("detection knows x86-64 and 64-bit Arm")
    here = [target for target in targets() if target.family != "cuda" and runs_here(target)]
    if not here:
        pytest.skip("this CPU has none of the supported instruction sets")
    found = detect()
    assert found.target == here[0] == Target.parse("native")
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.l1d > 0 and found.chip
    flags = Path("/proc/cpuinfo").read_text()
    assert runs_here("x86/avx2") == (" avx2 " in flags)


def test_affinity_is_respected() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert detect().cores == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert detect().cores == len(allowed)
