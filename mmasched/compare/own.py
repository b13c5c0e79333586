"""mmasched itself as a contestant, so that it is measured in the same rotation as its peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.problem import Conv2d
from mmasched.space import Config


@dataclass(frozen=True)
class OwnPeer(Peer):
    """One config of one target. A native loop times it: there is no Python call to amortise.

    On a GPU its operands come from beyond the level 2 cache, as those of its peers do (see cuda.torch_device); on a CPU
    the same call is timed again and again, for all contestants alike.
    """

    config: Config
    target: str = "native"
    name: ClassVar[str] = "mmasched"
    modules: ClassVar[tuple[str, ...]] = ("tvm",)
    install: ClassVar[str] = "mmasched"

    def version(self) -> str:
        """mmasched's version, not TVM's."""
        from mmasched import __version__

        return __version__

    def unsupported(self, problem: Conv2d) -> str | None:
        """Every problem has a config; an invalid one fails while it is built."""
        return None

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Compile the config."""
        from mmasched.build.candidate import build_candidate
        from mmasched.hardware import hardware

        chip = hardware(self.target)
        on_gpu = chip.target.family == "cuda"
        candidate = build_candidate(problem, self.config, chip, 1 if on_gpu else threads, cold_weights=on_gpu)
        candidate.load_operands(**operands)
        prepared = Prepared(candidate.run, candidate.run, note=str(self.config.as_dict()))
        prepared.time = candidate.time
        return prepared
