"""tools/gpu.sh, gpu_collect.py and gpu_tune.py; nothing is measured."""

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import gpu_collect
import gpu_tune
import pytest

import mmasched
from mmasched.cli.shapes import problem_of
from mmasched.compare.cuda.session import as_line
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.compare.session import Agreement, Comparison, Row
from mmasched.errors import BadInput
from mmasched.problem import Conv2d

ROOT = Path(__file__).resolve().parents[2]


def script(*words, **options) -> subprocess.CompletedProcess:
    command = ["bash", str(ROOT / "tools" / "gpu.sh"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def fake_python(folder: Path, status: int, sleep: float = 0) -> Path:
    """An interpreter that notes its arguments and ends at once with a status."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\nsleep {sleep}\nexit {status}\n')
    path.chmod(0o755)
    return path


def test_dry_run_shows_every_step(tmp_path) -> None:
    done = script("--dry-run", "--state", tmp_path, "--chip", "cuda/sm_80")
    assert done.returncode == 0, done.stderr
    steps = [line[3:] for line in done.stdout.splitlines() if line.startswith("== ")]
    assert steps[:3] == ["about", "first", "verify"] and steps[-1] == "collect" and len(set(steps)) == len(steps)
    assert "--target cuda/sm_80 --batch 128" in done.stdout
    # What is left of the time of one session when the step begins, less what ending takes.
    assert all(400 < int(limit) <= 530 for limit in re.findall(r"--limit-seconds (\d+)", done.stdout))
    assert "--limit-seconds" in done.stdout
    assert not list(tmp_path.iterdir())


def test_finished_steps_are_skipped_and_failed_ones_repeated(tmp_path) -> None:
    words = ("--state", tmp_path, "--chip", "cuda/sm_90", "peaks", "verify")
    done = script("--python", fake_python(tmp_path, 0), *words)
    assert done.returncode == 0 and (tmp_path / "peaks.done").exists(), done.stdout + done.stderr
    assert "peaks: done before" in script("--python", fake_python(tmp_path, 0), *words).stdout
    (tmp_path / "verify.done").unlink()
    failed = script("--python", fake_python(tmp_path, 2), *words)
    assert failed.returncode == 1
    assert "verify: failed with status 2" in failed.stdout and not (tmp_path / "verify.done").exists()
    assert len((tmp_path / "calls").read_text().splitlines()) == 4  # peaks, doctor, verify; doctor, which fails


def test_a_comparison_needs_no_log(tmp_path) -> None:
    words = ("--state", tmp_path, "--chip", "cuda/sm_90", "--python", fake_python(tmp_path, 0), "versus")
    script(*words)
    assert (tmp_path / "calls").read_text().count("compare") == 4 and "--log" not in (tmp_path / "calls").read_text()
    (tmp_path / "tune.jsonl").write_text("")
    (tmp_path / "versus.done").unlink()
    script(*words)
    assert (tmp_path / "calls").read_text().count("--log") == 4


def test_tuning_that_ran_out_of_time_goes_on_next_time(tmp_path) -> None:
    words = ("--state", tmp_path, "--chip", "cuda/sm_90", "--python", fake_python(tmp_path, 3))
    done = script(*words, "tune-16", "compare-16")
    assert done.returncode == 3 and "tune-16: out of time" in done.stdout and "compare-16" not in done.stdout
    assert not (tmp_path / "tune-16.done").exists()


def test_the_time_ends_a_step_and_begins_no_other(tmp_path) -> None:
    words = ("--state", tmp_path, "--chip", "cuda/sm_90", "--python", fake_python(tmp_path, 0, sleep=30))
    done = script(*words, "--seconds", 30, "verify")
    assert done.returncode == 3 and "not begun" in done.stdout and not (tmp_path / "calls").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["--fast"], "no option --fast"), (["peeks"], "no step peeks"), (["--seconds", "1h"], "give a whole number"),
     (["--state"], "--state needs a value")],
)  # fmt: skip
def test_bad_words(words, reason) -> None:
    done = script(*words)
    assert done.returncode == 2 and reason in done.stderr


def test_results_of_two_boards_never_share_a_folder(tmp_path) -> None:
    def on(board: str) -> subprocess.CompletedProcess:
        python = fake_python(tmp_path, 0)
        python.write_text(python.read_text().replace("exit 0", f'[ "$1" != -c ] || echo "cuda/sm_90 {board}"; exit 0'))
        return script("--state", tmp_path / "state", "--python", python, "peaks")

    assert on("NVIDIA H100 80GB HBM3").returncode == 0 and (tmp_path / "state" / "peaks.done").exists()
    other = on("NVIDIA H200")
    assert other.returncode == 2 and "NVIDIA H100 80GB HBM3, and this is NVIDIA H200" in other.stderr
    assert on("NVIDIA H100 80GB HBM3").returncode == 0


def test_without_a_gpu_one_sentence(tmp_path) -> None:
    # The driver library is looked for where the loader looks; none is on machines that test this without a GPU.
    done = script("--state", tmp_path, "--python", sys.executable, "peaks", env={**os.environ, "LD_LIBRARY_PATH": ""})
    if done.returncode == 0:
        pytest.skip("there is a GPU here")
    assert done.returncode == 2 and "no GPU can be used" in done.stderr and "Traceback" not in done.stderr


def test_help() -> None:
    done = script("--help")
    assert done.returncode == 0 and "Steps:" in done.stdout and "set -e" not in done.stdout


def test_collect_writes_a_section_once_and_records(tmp_path) -> None:
    state, docs, logs = tmp_path / "state", tmp_path / "benchmarks.md", tmp_path / "logs"
    state.mkdir()
    device = {"id": "device", "board": "B", "multiprocessors": 4, "l2": 1 << 20}
    copy = {"id": "copy 65536", "what": "bandwidth", "operation": "copy", "bytes": 65536, "rate": 2.5e12}
    (state / "peaks.jsonl").write_text(json.dumps(device) + "\n" + json.dumps(copy) + "\n")
    (state / "tune.jsonl").write_text("{}\n" * 100)
    docs.write_text("# Benchmarks\n\nabove\n")
    for _ in range(2):
        gpu_collect.collect(state, "cuda/sm_90", docs, logs)
    text = docs.read_text()
    assert text.startswith("# Benchmarks\n\nabove\n") and text.count("## cuda/sm_90") == 1
    assert "2.50" in text and "64 KiB" in text
    assert gzip.decompress((logs / "cuda-sm_90" / "tune.jsonl.gz").read_bytes()) == b"{}\n" * 100


def test_collect_tells_who_was_faster(tmp_path) -> None:
    key = "conv2d/n16/h14w14/i256o256/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8s/w8s:-127..127/y8s/channel"
    problem = Conv2d.from_key(key)
    rows = [Row(name, "1", seconds, seconds, 1.0, Agreement(10, wrong, 1), "", "", (seconds,))
            for name, seconds, wrong in (("cudnn", 2e-5, 3), ("mmasched", 1.6e-5, 0))]  # fmt: skip
    found = Comparison(problem, 1, tuple(rows), (("triton", "triton is missing"),))
    (tmp_path / "few.jsonl").write_text(json.dumps(as_line(found, 5, "A board")) + "\n")
    docs = tmp_path / "benchmarks.md"
    gpu_collect.collect(tmp_path, "cuda/sm_90", docs, tmp_path / "logs")
    text = docs.read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert cells[0] == ["problem", "mmasched, us", "cudnn, us", "best other / mmasched"]
    assert cells[2][0].startswith("3x3 256->256 @14 n16") and cells[2][1:] == ["16.0", "20.0*", "1.25x"]
    assert cells[3][-1] == "1.25x"
    assert "A board; measured" in text and "triton: triton is missing" in text


def test_collect_refuses_too_much_and_nothing(tmp_path, monkeypatch) -> None:
    with pytest.raises(BadInput, match="has no results"):
        gpu_collect.collect(tmp_path, "cuda/sm_90", tmp_path / "b.md", tmp_path / "logs")
    monkeypatch.setattr(gpu_collect, "MOST_BYTES", 10)
    (tmp_path / "tune.jsonl").write_text("abcdefgh" * 100)
    with pytest.raises(BadInput, match="keep fewer tables"):
        gpu_collect.collect(tmp_path, "cuda/sm_90", tmp_path / "b.md", tmp_path / "logs")


def test_int4_problems() -> None:
    layers = mmasched.network("resnet50", batch=2).layers
    narrow = [gpu_tune.four_bits(problem) for problem, _ in layers]
    assert narrow[0].input_bits == 8 and all(problem.input_bits == 4 for problem in narrow[1:])
    assert [problem.macs for problem in narrow] == [problem.macs for problem, _ in layers]


def narrowed(layers: str | None = None):
    return gpu_tune.narrowed(argparse.Namespace(network="resnet50", batch=16, bits=8, layers=layers))


def test_what_is_tuned_is_what_is_compared() -> None:
    dry = script("--dry-run", "--state", "/nowhere", "versus", "few", "first").stdout
    compared = [problem_of(found) for found in re.findall(r"compare (\S+)", dry)]
    layers = re.search(r"gpu_tune.py .*--layers (\S+)", dry)[1].replace("\\,", ",")
    tuned = {problem.key for problem in narrowed(layers).problems}
    assert len(tuned) == 4 and {symmetric(problem).key for problem in compared} == tuned
    assert re.search(r"gpu_cudnn.py .*--layers (\S+)", dry)[1].replace("\\,", ",") == layers
    whole = {symmetric(problem).key for problem, _ in mmasched.network("resnet50", batch=16).layers}
    assert {problem.key for problem in narrowed().problems} == whole


def test_layers_that_a_network_lacks() -> None:
    with pytest.raises(BadInput, match="numbers from 0 to 23"):
        narrowed("2,24")


def test_tuning_needs_a_known_target(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_tune.py", "--target", "cuda/sm_99", "--log", str(tmp_path / "l.jsonl")])
    assert gpu_tune.main() == 2 and capsys.readouterr().err.startswith("error: ")
