"""Target: the chip that a schedule is for, named `family/chip`."""

from __future__ import annotations

from dataclasses import dataclass

from mmasched.errors import BadInput, nearest
from mmasched.hardware.catalog import target_names

NATIVE_GPU = ("cuda", "cuda/native")


@dataclass(frozen=True, order=True)
class Target:
    """A chip by family ("x86", "arm", "cuda") and name in it ("avx2", "cortex-a53", "sm_80")."""

    family: str
    chip: str

    @classmethod
    def parse(cls, text: str | Target) -> Target:
        """The target called `text`; "native" is the fastest one of the CPU at hand, "cuda" that of the GPU at hand.

        >>> Target.parse("x86/avx2")
        Target(family='x86', chip='avx2')

        Raises BadInput for an unknown name, Unsupported where "native" is a CPU or "cuda" a GPU that no target
        describes, and Missing for "cuda" without a GPU.
        """
        if isinstance(text, Target):
            return text
        if text == "native":
            from mmasched.hardware.detect import native_target

            return native_target()
        if text in NATIVE_GPU:
            from mmasched.hardware.gpu import native_gpu_target

            return native_gpu_target()
        known = target_names()
        if text not in known:
            raise BadInput(f"there is no target {text!r}; {nearest(text, ['native', *known])}")
        return cls(*text.split("/"))

    def __str__(self) -> str:
        return f"{self.family}/{self.chip}"


def targets(family: str | None = None) -> list[Target]:
    """Every known target in the order of the data files (x86: fastest tier first), or those of one family."""
    known = [Target(*name.split("/")) for name in target_names()]
    return [target for target in known if family in (None, target.family)]
