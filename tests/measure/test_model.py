"""The modelled runner and its parts: counts on programs whose counts are known, prices of known blocks, ties."""

import subprocess

import pytest

from mmasched.build.toolchain import cross_tool, qemu
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import from_catalog
from mmasched.log import Log
from mmasched.measure import Limits, Outcome, create_runner
from mmasched.measure.create import has_model
from mmasched.measure.emulation import mca, plugin
from mmasched.measure.emulation.caches import Caches, Level
from mmasched.measure.emulation.plugin import Block, Counts
from mmasched.measure.emulation.price import price_counts
from mmasched.measure.model import ModelRunner, cache_remark, covers
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Config
from mmasched.tune import tune

PROBLEM = Conv2d(1, 9, 8, 8, 12, 3, stride=2, padding=1, requantize=Requantize(0.003, 3))
A53, A55 = from_catalog("arm/cortex-a53"), from_catalog("arm/cortex-a55")

# 40 turns of four instructions, then two sweeps over 64 KB (1024 lines) with one 8-byte load a line, then two stores.
SWEEPS = """
.text
.global _start
_start:
    mov x9, #1000
1:  subs x9, x9, #1
    b.ne 1b
    .inst 0xaa1103ff
    mov x0, #40
2:  add x1, x1, #1
    add x2, x2, #1
    subs x0, x0, #1
    b.ne 2b
    mov x3, #2
3:  adrp x4, data
    add x4, x4, :lo12:data
    mov x5, #1024
4:  ldr x6, [x4], #64
    subs x5, x5, #1
    b.ne 4b
    subs x3, x3, #1
    b.ne 3b
    str q0, [x4, #-64]
    strb w0, [x4, #-64]
    .inst 0xaa1203ff
    mov x8, #93
    mov x0, #0
    svc #0
.bss
.balign 4096
data: .skip 65536
"""


@pytest.fixture
def counts(pricing, tmp_path):
    source, program, out = tmp_path / "sweeps.s", tmp_path / "sweeps", tmp_path / "counts"
    source.write_text(SWEEPS)
    gcc = [cross_tool("arm", "gcc"), "-nostdlib", "-static", source, "-o", program]
    subprocess.run(gcc, check=True)

    def run(l1, l2):
        caches = Caches(Level(*l1), Level(*l2), 10, 100)
        command = [qemu(), "-cpu", "cortex-a53", *plugin.options(plugin.build(tmp_path), out, caches), program]
        subprocess.run(command, check=True)
        return plugin.read(out)

    return run


def test_counts_of_a_known_program(counts):
    found = counts((32768, 4), (524288, 16))
    # Blocks count whole: a few instructions between a marker and the next jump are taken for its other side.
    exact = 1 + 4 * 40 + 1 + 2 * (3 + 3 * 1024 + 2) + 2
    assert abs(found.instructions - exact) <= 8
    loop = max(found.blocks, key=lambda block: block.executions)
    assert len(loop.words) == 3 and loop.executions in (2 * 1023, 2 * 1024)
    assert (found.loads, found.bytes_read) == (2048, 2048 * 8)
    assert found.bytes_written == 17
    assert found.executed(loop.address, loop.address + 8) in range(3 * 2 * 1023, 3 * 2 * 1024 + 1)


def test_misses_of_a_sweep(counts):
    # 64 KB in turn through 32 KB, least recently used: every line misses; 512 KB hold them the second time.
    small = counts((32768, 4), (524288, 16))
    assert (small.l1_misses, small.l2_misses) == (2048, 1024)
    # The runs ascend: all but the first few misses of a sweep would have been fetched ahead.
    assert 0 < small.exposed_memory <= 4 and small.exposed_l2 <= 4
    large = counts((131072, 4), (524288, 16))
    assert (large.l1_misses, large.l2_misses, large.exposed_l2) == (1024, 1024, 0)


# Encodings by the Arm Architecture Reference Manual: add Xd, Xn, #imm is 0x91 imm12 Rn Rd.
def add(target, source, value=1):
    return 0x91000000 | value << 10 | source << 5 | target


CALL = 0x94000010


def test_prices_of_known_blocks(pricing):
    chain = Block(0x1000, 1, tuple(add(1, 1) for _ in range(8)))
    pairs = Block(0x2000, 1, tuple(add(i, 20) for i in range(8)))
    call = Block(0x3000, 1, (add(1, 2), CALL))
    unknown = Block(0x4000, 1, (0x00000000,))
    costs = mca.block_cycles([chain, pairs, call, unknown], "cortex-a53", ["neon"])
    # The A53 issues two instructions a cycle, a dependent addition a cycle later (its Software Optimization Guide).
    assert costs[0] == pytest.approx(8, abs=0.5) and costs[1] == pytest.approx(4, abs=0.5)
    assert costs[2] <= 3 and costs[3] is None


def test_the_rest_costs_like_the_hottest(pricing):
    hot = Block(0x1000, 1000, tuple(add(1, 1) for _ in range(10)))
    cold = Block(0x2000, 1, (0x00000000,) * 10)
    counts = Counts((cold, hot), 0, 0, 0, 0, 5, 4, 3, 2)
    priced = price_counts(counts, A53)
    assert priced.counts.instructions == 10010 and priced.share == pytest.approx(10000 / 10010)
    assert priced.cycles == pytest.approx(10010, rel=0.05)
    assert priced.cycles_in(0x1000, 0x1000) == pytest.approx(10000, rel=0.05)
    assert priced.cache_cycles == 3 * 12 + 2 * 150


def config(fault="none", unroll=2):
    return Config("naive", {"unroll": unroll, "fault": fault})


@pytest.mark.parametrize("hardware", [A53, A55], ids=lambda hardware: hardware.target.chip)
def test_candidates_are_verified_and_priced(pricing, naive, hardware):
    with ModelRunner(hardware, job_module="naive_cross_job", limits=Limits(verify=10.0)) as runner:
        right, wrong, again = runner.run(PROBLEM, [config(), config("one_off"), config()])
        confirmed = runner.confirm(PROBLEM, [config()], 3)
    assert (right.status, right.kind, right.threads) == ("correct", "modelled", 1)
    assert (wrong.status, wrong.cost, wrong.times) == ("wrong_result", None, ())
    assert right.cost == again.cost == confirmed[0].cost and right.times == (right.cost,)
    found = right.resources
    # One instruction at least and some cycles for each multiplication of code that is hardly vectorized.
    assert 0.3 * PROBLEM.macs < found["executed"] < 30 * PROBLEM.macs and found["bytes_moved"] > PROBLEM.macs
    assert found["cycles_per_mac"] == pytest.approx(right.cost / PROBLEM.macs, rel=1e-3)
    assert 0.9 < found["priced_share"] <= 1 and found["model"].startswith("llvm-mca ")
    assert found["lint"]["instructions"] > 10 and 0.5 < found["lint"]["share"] <= 1
    assert found["cache_cycles"] > 0


def outcome(cost, misses, unroll=1):
    found = {"cache_cycles": misses}
    return Outcome("correct", config(unroll=unroll), PROBLEM, kind="modelled", cost=cost, resources=found)


def test_what_cache_misses_would_change():
    assert cache_remark([]) == ()
    (same,) = cache_remark([outcome(100.0, 10), outcome(200.0, 0)])
    assert "would add 10% to the 100 modelled cycles" in same and same.endswith("stays the cheapest")
    (other,) = cache_remark([outcome(1000.0, 900), outcome(1200.0, 0), outcome(1300.0, 100)])
    assert "place 3 of 3 (1,200 cycles with misses against 1,900)" in other


def test_where_there_is_a_model(pricing):
    assert covers(A53) and covers(A55) and has_model(A53)
    assert not covers(from_catalog("arm/cortex-a76")) and not covers(from_catalog("x86/avx2"))
    for given in (None, "model"):
        with create_runner(given, A53) as runner:
            assert isinstance(runner, ModelRunner) and runner.threads == 1 and not runner.noisy
    with pytest.raises(Unsupported, match="in-order cores only .arm/cortex-a53, arm/cortex-a55"):
        create_runner("model", from_catalog("arm/cortex-a76"))
    with pytest.raises(BadInput, match="prices one core, not 2 threads"):
        create_runner("model", A53, 2)


@pytest.mark.parametrize(("absent", "remedy"), [("llvm-mca", "llvm-19"), ("qemu", "qemu-user"), ("gcc", "gcc-aarch64")])
def test_what_is_missing_is_named(monkeypatch, absent, remedy):
    from mmasched.build import toolchain

    real = toolchain.shutil.which
    monkeypatch.setattr(toolchain, "host_compiler", lambda: None)
    monkeypatch.setattr("mmasched.measure.model.host_compiler", lambda: None)
    monkeypatch.setattr(
        toolchain.shutil, "which", lambda name: None if absent in name else real(name) or f"/nowhere/{name}"
    )
    from mmasched.measure.emulation import qemu as emulator

    monkeypatch.setattr(emulator, "cores", lambda: emulator.qemu() and frozenset({"cortex-a53"}))
    with pytest.raises(Missing, match=remedy):
        ModelRunner(A53)


def test_old_emulators_take_no_plugins(monkeypatch, emulator):
    monkeypatch.setattr(plugin, "version", lambda program: "5.2.0")
    with pytest.raises(Missing, match="6.0 or newer"):
        plugin.interface()
    for release, expected in (("6.0", 1), ("7.2.1", 1), ("9.0.0", 2), ("9.1", 3), ("10.1.2", 4)):
        monkeypatch.setattr(plugin, "version", lambda program, release=release: release)
        assert plugin.interface() == expected


def test_tuning_with_the_model_resumes_and_tells_its_blind_spots(pricing, naive, tmp_path):
    log = tmp_path / "log.jsonl"
    with ModelRunner(A53, job_module="naive_cross_job", limits=Limits(verify=4.0)) as runner:
        first = tune(PROBLEM, "arm/cortex-a53", trials=2, log=log, runner=runner, strategy="random")
        second = tune(PROBLEM, "arm/cortex-a53", trials=4, log=log, runner=runner, strategy="random")
    records = Log(log).records()
    assert len(records) == len({record.config_key for record in records}) == second.trials == 4 and first.trials == 2
    assert {record.kind for record in records} == {"modelled"} and records[0].chip == "cortex-a53"
    assert records[0].resources["lint"]["missing"] == []
    assert second.best.kind == "modelled" and second.best.cost >= min(r.cost for r in records if r.cost)
    assert any("first-level cache" in note for note in second.notes)
    assert any("cache misses would add" in note for note in second.notes)
