"""Which chip has which instruction: the "Target ISA Notes" of the PTX ISA manual as a table."""

from __future__ import annotations

import re

from mmasched.cudaemu.errors import UnavailableInstruction
from mmasched.errors import BadInput, nearest

CHIPS = ("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_90a")

# (pattern of the whole opcode, least compute capability, whether the "a" variant of the chip is needed)
_NEEDS: tuple[tuple[str, int, bool], ...] = (
    (r"mma\.sync\.aligned\.(m8n8k16|m8n8k32)\..*", 75, False),
    (r"mma\.sync\.aligned\.m8n8k128\..*xor\.popc", 75, False),
    (r"mma\.sync\.aligned\..*\.(e4m3|e5m2)\..*", 89, False),
    (r"mma\.sync\..*", 80, False),
    (r"stmatrix\..*", 90, False),
    (r"cp\.async\.bulk\..*", 90, False),
    (r"cp\.async\..*", 80, False),
    (r"mbarrier\.try_wait.*", 90, False),
    (r"mbarrier\..*(expect_tx|complete_tx).*", 90, False),
    (r"mbarrier\..*", 80, False),
    (r"fence\.(proxy\.(async|tensormap)|mbarrier_init).*", 90, False),
    (r"wgmma\..*", 90, True),
    (r"setmaxnreg\..*", 90, True),
    (r"elect\.sync", 90, False),
    (r"griddepcontrol\..*", 90, False),
    (r"(barrier\.cluster|mapa)\..*", 90, False),
    (r"redux\.sync\..*", 80, False),
    (r"(min|max)\.relu\..*", 80, False),
)


def check_available(arch: str, tokens: tuple[str, ...]) -> None:
    """Raises UnavailableInstruction when the chip lacks the instruction, BadInput when `arch` is not one of CHIPS.

    Everything that no pattern names exists since sm_75.
    """
    if arch not in CHIPS:
        raise BadInput(f"{arch} is not a chip that the emulator knows; {nearest(arch, CHIPS)}")
    opcode = ".".join(tokens)
    for pattern, capability, variant in _NEEDS:
        if re.fullmatch(pattern, opcode):
            has = int(re.sub(r"\D", "", arch))
            if has < capability or (variant and arch != f"sm_{capability}a"):
                wanted = f"sm_{capability}{'a' if variant else ''}"
                raise UnavailableInstruction(
                    f"{arch} has no `{opcode}`, which needs {wanted}{'' if variant else ' or later'}"
                )
            return
