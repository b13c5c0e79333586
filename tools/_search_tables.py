"""The tables on which searches are compared: which problem, on which target, in which set. See docs/search.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmasched.errors import BadInput, nearest
from mmasched.hardware import hardware
from mmasched.measure.table import Loosening, thinned
from mmasched.network import network
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Space
from mmasched.templates import space_for

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "tuning_logs" / "tables"
SCALE = Requantize(0.01)
# Their convolutions can be measured one and all, in small tables, to compare how a network's budget is spent.
NETWORKS = ("resnet50", "mobilenet_v2")
# Knobs that say in which order work is done lose values before those that say what a register tile holds: the latter
# decide more, and with few of their values left a table is easy (random search found 97% of one in 45 trials).
FEWER = {"block_m": 2, "block_n": 2, "prefetch": 1, "unroll": 1}

# Accumulators may fill sixteen times the registers, and slower instructions than the chip's best multiply, too.
LOOSENED = Loosening(registers=16, multiply=True)
# What the tables for AMX and Arm were made with: they were complete before the others were widened further.
EARLIER = {"block_m": 3, "block_n": 3, "prefetch": 2, "unroll": 2}
AMX = {"fewer": EARLIER, "loosening": Loosening(registers=4)}


@dataclass(frozen=True)
class Spec:
    """One table. kind: "measured" here; "draft": the template's draft cycles; "model": the cost model of runner model.

    least, most: valid configs that the thinned space has; fewer: values that knobs keep which are thinned first;
    loosening: what it has that the template's own space is pruned of; enough: configs that make the table complete.
    """

    name: str
    family: str
    set: str
    problem: Conv2d
    target: str = "x86/avx512-vnni"
    threads: int = 1
    kind: str = "measured"
    least: int = 5000
    most: int = 6000
    enough: int = 3000
    fewer: Mapping[str, int] = field(default_factory=lambda: FEWER)
    loosening: Loosening = Loosening()

    def path(self, folder: Path = TABLES) -> Path:
        """Where the finished table lies when tables lie in ``folder``: those of a network in a folder of its own."""
        return folder / (self.set if self.set in NETWORKS else "") / f"{self.name}.jsonl.xz"

    @property
    def space(self) -> Space:
        """The space that the table is made of: the template's, loosened and thinned."""
        full = space_for(self.problem, hardware(self.target), self.threads)
        return thinned(self.loosening.of(full), self.least, self.most, self.fewer)


def _conv(height: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> Conv2d:
    padding = kernel // 2
    return Conv2d(1, height, height, inputs, outputs, kernel, stride=stride, padding=padding, requantize=SCALE)


def _measured(
    name: str, family: str, which: str, problem: Conv2d, target: str = "x86/avx512-vnni", threads: int = 1,
    fewer: Mapping[str, int] = FEWER, loosening: Loosening = LOOSENED,
) -> Spec:  # fmt: skip
    return Spec(name, family, which, problem, target, threads, fewer=fewer, loosening=loosening)


DEVELOPMENT, HELD_OUT, MODELLED = "development", "held-out", "modelled"
MEASURED = (
    Spec("conv3x3_56", "3x3", DEVELOPMENT, _conv(56, 64, 64, 3), fewer={}),
    _measured("strided_56", "strided", DEVELOPMENT, _conv(56, 128, 128, 3, 2)),
    _measured("wide_56", "1x1 wide", DEVELOPMENT, _conv(56, 64, 256, 1), threads=2),
    _measured("deep_7", "1x1 deep", DEVELOPMENT, _conv(7, 2048, 512, 1)),
    _measured("odd_27", "odd channels", DEVELOPMENT, _conv(27, 51, 117, 3)),
    _measured("conv3x3_14", "3x3", HELD_OUT, _conv(14, 256, 256, 3)),
    _measured("strided_28", "strided", HELD_OUT, _conv(28, 128, 256, 3, 2), threads=2),
    _measured("wide_28", "1x1 wide", HELD_OUT, _conv(28, 128, 512, 1)),
    _measured("deep_14", "1x1 deep", HELD_OUT, _conv(14, 1024, 256, 1), threads=2),
    _measured("odd_35", "odd channels", HELD_OUT, _conv(35, 97, 75, 3)),
    _measured("conv3x3_7", "3x3", DEVELOPMENT, _conv(7, 512, 512, 3)),
    _measured("amx_56", "3x3", DEVELOPMENT, _conv(56, 64, 64, 3), "x86/amx", **AMX),
    _measured("amx_28", "1x1 wide", HELD_OUT, _conv(28, 128, 512, 1), "x86/amx", **AMX),
)
DRAFTED = (
    Spec("cuda_conv3x3_56", "3x3", MODELLED, _conv(56, 64, 64, 3), "cuda/sm_80", kind="draft", enough=5000),
    Spec("cuda_strided_28", "strided", MODELLED, _conv(28, 128, 256, 3, 2), "cuda/sm_80", kind="draft", enough=5000),
    Spec("cuda_deep_14", "1x1 deep", MODELLED, _conv(14, 1024, 256, 1), "cuda/sm_80", kind="draft", enough=5000),
)


def _priced(name: str, family: str, problem: Conv2d) -> Spec:
    return Spec(name, family, MODELLED, problem, "arm/cortex-a53", 1, "model", 500, 900, 500, EARLIER)


PRICED = (
    _priced("arm_conv3x3_14", "3x3", _conv(14, 64, 64, 3)),
    _priced("arm_wide_14", "1x1 wide", _conv(14, 64, 128, 1)),
)
ALL = {spec.name: spec for spec in (*MEASURED, *DRAFTED, *PRICED)}
SETS = {
    "development": tuple(spec.name for spec in MEASURED if spec.set == DEVELOPMENT),
    "held-out": tuple(spec.name for spec in MEASURED if spec.set == HELD_OUT),
    "measured": tuple(spec.name for spec in MEASURED),
    "draft": tuple(spec.name for spec in DRAFTED),
    "model": tuple(spec.name for spec in PRICED),
}


def of_network(name: str) -> tuple[Spec, ...]:
    """One table for each convolution of a built-in network, in the order of the network."""
    problems = [problem for problem, _ in network(name).layers]
    # Depthwise spaces have some hundred configs in all.
    return tuple(
        Spec(f"{name}_{number:02d}", "network", name, problem, least=200, enough=200, loosening=LOOSENED)
        for number, problem in enumerate(problems, 1)
    )


def chosen(names: list[str]) -> list[Spec]:
    """The tables that names of tables, sets and networks stand for, each once. Raises BadInput for an unknown name."""
    found: dict[str, Spec] = {}
    for name in names:
        whole = name if name in NETWORKS else name.rpartition("_")[0]
        if whole in NETWORKS:
            specs = {spec.name: spec for spec in of_network(whole) if name in (whole, spec.name)}
            if specs:
                found |= specs
                continue
        if name not in ALL and name not in SETS:
            raise BadInput(f"there is no table or set {name!r}; {nearest(name, [*ALL, *SETS, *NETWORKS])}")
        found |= {each: ALL[each] for each in SETS.get(name, (name,))}
    return list(found.values())
