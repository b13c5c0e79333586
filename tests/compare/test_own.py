"""mmasched as a contestant beside its peers: the same operands, the same rotation."""

from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.compare import OwnPeer, compare
from mmasched.hardware import Target, hardware, runs_here
from mmasched.problem import Conv2d

pytest.importorskip("tvm", reason="kernels are compiled by TVM: pip install mmasched")


@pytest.mark.parametrize("target", ["x86/avx2", "x86/amx"])
def test_own_kernel_is_exact_in_its_own_process(target: str) -> None:
    if not runs_here(target):
        pytest.skip(f"this CPU does not run {target}")
    from mmasched.templates import space_for

    problem = Conv2d.from_key("conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel")
    config = space_for(problem, hardware(target), 1).sample(np.random.default_rng(0))
    found = compare(problem, [OwnPeer(config, target)], rounds=1)
    assert not found.absent
    assert str(found.rows[0].agreement) == "exact" and found.rows[0].name == "mmasched"


def test_an_invalid_config_is_absent_with_a_reason() -> None:
    target = Target.parse("native")
    from mmasched.space import Config

    problem = Conv2d.from_key("conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel")
    found = compare(problem, [OwnPeer(Config("x86_gemm", {}), str(target))], rounds=1)
    assert not found.rows and dict(found.absent)["mmasched"]


@pytest.mark.parametrize(("target", "cold"), [("cuda/sm_80", True), ("x86/avx2", False)])
def test_on_a_gpu_operands_are_cold_as_those_of_the_peers(target: str, cold: bool, monkeypatch) -> None:
    from mmasched.build import candidate
    from mmasched.space import Config

    asked = []

    def build(problem, config, chip, threads, *, cold_weights=False):
        asked.append((str(chip.target), cold_weights))
        return SimpleNamespace(load_operands=lambda **operands: None, run=None, time=None)

    monkeypatch.setattr(candidate, "build_candidate", build)
    problem = Conv2d.from_key("conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8s/w8s:-127..127/y8s/channel")
    OwnPeer(Config("any", {}), target).load(problem, {}, 2)
    assert asked == [(target, cold)]
