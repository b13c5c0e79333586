"""The tuning of ResNet-50 from command to log, with nvcc, and with the emulator in the place of the GPU.

Every distinct layer goes through space, build, device, record, resume and confirmation; what a large layer's kernels
compute is checked on smaller problems of the same configs. Slow: see --full-size.

    pytest tests/measure/cuda/test_dry_run_full_size.py --full-size -s -k int8-1
"""

from __future__ import annotations

import importlib
import re
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import onnx
import pytest

from mmasched.build.cuda.toolkit import find_toolkit
from mmasched.cli.app import run
from mmasched.errors import Missing
from mmasched.hardware import gpu
from mmasched.hardware.gpu import LocalGpu
from mmasched.log import Log, best_record
from mmasched.measure.cuda import runner as module
from mmasched.measure.cuda.runner import CudaRunner
from mmasched.measure.limits import Limits
from mmasched.measure.timing import TimingPolicy
from mmasched.network import network, quantize
from mmasched.network.onnx_models import build_model
from mmasched.network.tables import architecture

H200 = LocalGpu("NVIDIA H200", 90, 132, 1_980_000_000, 62_914_560, 4_800_000_000_000, 13000)
ROOT = Path(__file__).parents[3]
TARGET = "cuda/sm_90"
TRIALS = 48  # 24 default schedules, the rest where most is to be gained
INTERRUPT = 20


@pytest.fixture
def made(full_size, monkeypatch):
    """The list of runners that commands make; a runner whose number is in `interrupt` meets Ctrl-C."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ for the emulator: apt-get install g++")
    try:
        compiler = find_toolkit()
    except Missing as error:
        pytest.skip(f"no nvcc: {error}")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder in (Path(__file__).with_name("fakes"), ROOT / "tests" / "build" / "cuda", ROOT / "tools"):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(gpu, "local_gpu", lambda: H200)
    runners = []

    def make(chip, threads=None, *, seed=0):
        options = {"limits": Limits(build=180.0, verify=300.0, memory=0), "policy": TimingPolicy(samples=3)}
        jobs = {"build_module": "compiled_build_job", "device_module": "standing_device_job"}
        runners.append(Interrupted(chip, threads, seed=seed, builders=1, compiler=compiler, **options, **jobs))
        runners[-1].interrupt = INTERRUPT if len(runners) == 1 else None
        return runners[-1]

    monkeypatch.setattr(module, "CudaRunner", make)
    # A shell's background jobs ignore Ctrl-C, and what they start inherits that.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield runners
    signal.signal(signal.SIGINT, handler)
    for one in runners:
        one.close()


class Interrupted(CudaRunner):
    """Meets Ctrl-C after `interrupt` outcomes."""

    interrupt: int | None = None

    def run(self, problem, configs, *, progress=None):
        def arrived(outcome):
            progress(outcome)
            if self.interrupt is not None:
                self.interrupt -= 1
                if self.interrupt == 0:
                    signal.raise_signal(signal.SIGINT)

        return super().run(problem, configs, progress=arrived)


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_resnet50_is_tuned(made, precision, batch, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "tune.jsonl"
    began, before = time.perf_counter(), _child_seconds()
    assert _tune(precision, batch, log, monkeypatch) == 130
    first = Log(log).records()
    assert len(first) == INTERRUPT and not any(record.confirmed for record in first)
    assert _tune(precision, batch, log, monkeypatch) == 0
    assert len(made) == 2

    records = Log(log).records()
    problems = _problems(precision, batch)
    tried = [record for record in records if not record.confirmed]
    assert len({(record.problem, record.config_key) for record in tried}) == len(tried) == TRIALS  # Nothing twice.
    assert {record.problem for record in records} == set(problems)
    failed = [record for record in records if record.outcome not in ("correct", "build_error")]
    assert not failed, [(record.problem, record.config, record.outcome, record.detail) for record in failed[:3]]
    assert all("spilled" in record.detail for record in records if record.outcome == "build_error")
    for key in problems:
        winner = best_record([record for record in records if record.problem == key])
        assert winner.confirmed and winner.resources["emulated"] and winner.chip == "nvidia-h200"
    confirmed = [record for record in records if record.confirmed]
    seconds, busy = time.perf_counter() - began, _child_seconds() - before
    with capsys.disabled():
        print(
            f"\n{precision} batch {batch}: {len(problems)} problems, {len(tried)} candidates "
            f"({sum(r.outcome == 'build_error' for r in tried)} left out for spills), {len(confirmed)} confirmations, "
            f"all others exact; {busy:.0f} s of processor time of the workers, {busy / len(tried):.1f} s a candidate; "
            f"{seconds:.0f} s in all"
        )
    if (precision, batch) == ("int8", 1):
        _compiles(tmp_path, log, capsys)


def _tune(precision: str, batch: int, log: Path, monkeypatch) -> int:
    """What users type for int8, and the tool of tools/gpu.sh for int4; the exit status."""
    words = ["--target", TARGET, "--batch", str(batch), "--log", str(log), "--trials", str(TRIALS)]
    if precision == "int8":
        return run(["tune", "resnet50", *words])
    monkeypatch.setattr(sys, "argv", ["gpu_tune.py", "--bits", "4", *words])
    return importlib.import_module("gpu_tune").main()


def _problems(precision: str, batch: int) -> list[str]:
    """The distinct keys of ResNet-50."""
    layers = [problem for problem, _ in network("resnet50", batch=batch).layers]
    if precision == "int4":
        layers = [importlib.import_module("gpu_tune").four_bits(problem) for problem in layers]
    return [problem.key for problem in layers]


def _compiles(folder: Path, log: Path, capsys) -> None:
    """An ONNX ResNet-50 takes the log's schedules, but those in layouts that the neighbours have no record of."""
    pytest.importorskip("onnxruntime", reason="networks are quantized by ONNX Runtime: pip install onnxruntime")
    onnx.save_model(build_model(architecture("resnet50"), "float", 1), folder / "float.onnx")
    path = quantize(folder / "float.onnx", folder / "resnet50.onnx", format="QDQ", activation="u8")
    capsys.readouterr()
    assert run(["compile", str(path), "--target", TARGET, "--log", str(log), "-o", str(folder / "resnet50.mma")]) == 0
    out = capsys.readouterr().out
    untuned = int(re.search(r"(\d+) problems? (?:is|are) untuned", out)[1])
    assert "as machine code" in out and f"schedules from {log}" in out
    assert 1 <= untuned < 25  # The fully connected layer has no record.
    with capsys.disabled():
        print(f"compiled: {25 - untuned} of 25 problems run recorded schedules")


def _child_seconds() -> float:
    """Processor time of the processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
