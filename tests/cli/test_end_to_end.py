"""A tiny network from tuning to running, as a user does it."""

import json
import re

import numpy as np
import pytest

import mmasched as package
from mmasched.log import Log


def searched(path):
    """The trials of a log, confirmations left out."""
    return [record for record in Log(path).records() if not record.confirmed]


def test_tune_prints_its_progress_the_table_and_what_comes_next(tuned):
    result = tuned.result
    assert result.status == 0 and result.err == ""
    assert re.search(r"^tuning tiny: 9 problems, 12 trials$", result.out, re.M)
    assert re.search(r"^\[12/12\] .*best .*left$", result.out, re.M)
    assert re.search(r"^all of them +9 +12 ", result.out, re.M)
    assert f"log: {tuned.log}" in result.out
    assert f"next: mmasched compile {tuned.model} --threads 1 --log {tuned.log} -o tiny.mma" in result.out
    assert "\x1b" not in result.out


def test_every_trial_is_in_the_log_once(tuned):
    trials = searched(tuned.log)
    assert len(trials) == len({(record.problem, record.config_key) for record in trials}) == 12
    assert {record.threads for record in trials} == {1}
    assert [event["reason"] for event in Log(tuned.log).events()] == ["finished"] * 9


def test_tuning_again_measures_nothing_twice(mmasched, log, tuned):
    before = searched(log)
    again = ["tune", tuned.model, "--log", log, "--threads", "1", "--strategy", "random"]
    result = mmasched(*again, "--trials", "12")
    assert result.status == 0 and "12 of them in the log" in result.out
    assert searched(log) == before
    result = mmasched(*again, "--trials", "14")
    assert result.status == 0
    after = searched(log)
    assert after[:12] == before
    assert len(after) == len({(record.problem, record.config_key) for record in after}) == 14


@pytest.fixture
def artifact(mmasched, tuned):
    result = mmasched("compile", tuned.model, "--log", tuned.log, "-o", "tiny.mma", "--threads", "1")
    assert result.status == 0, result.err
    return result


def test_compile_run_bench(mmasched, tuned, artifact, tmp_path):
    assert "tiny.mma" in artifact.out and "untuned" not in artifact.out
    image = np.random.default_rng(0).standard_normal((1, 3, 20, 20)).astype(np.float32)
    np.savez(tmp_path / "x.npz", input=image)
    result = mmasched("run", "tiny.mma", "--input", "x.npz", "--output", "y.npz")
    assert result.status == 0 and "fc float32 [1, 10]" in result.out
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(tuned.model), options, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["fc"], session.run(None, {"input": image})[0])
    assert package.load(tmp_path / "tiny.mma").untuned == ()

    result = mmasched("bench", "tiny.mma", "--runs", "20")
    assert result.status == 0
    assert re.search(r"^median [\d.]+ \w+, p10 [\d.]+ \w+, p90 [\d.]+ \w+$", result.out, re.M)
    assert re.search(r"^kernels [\d.]+ \w+, overhead of a run [\d.]+ \w+$", result.out, re.M)


def test_run_wants_the_inputs_by_name(complains, artifact, tmp_path):
    np.savez(tmp_path / "x.npz", image=np.zeros((1, 3, 20, 20), np.float32))
    complains("'image'", "input")("run", "tiny.mma", "-i", "x.npz", "-o", "y.npz")
    np.savez(tmp_path / "x.npz", input=np.zeros((1, 3, 8, 8), np.float32))
    complains("'input'", "(1, 3, 8, 8)", "(1, 3, 20, 20)")("run", "tiny.mma", "-i", "x.npz", "-o", "y.npz")
    assert not (tmp_path / "y.npz").exists()


def test_compile_names_the_command_that_tunes_the_rest(mmasched, tuned, log, tmp_path):
    lines = log.read_text().splitlines(keepends=True)
    problem = json.loads(lines[0])["problem"]
    log.write_text("".join(line for line in lines if problem in line))
    result = mmasched("compile", tuned.model, "--log", log, "-o", "tiny.mma", "--threads", "1")
    last = result.out.splitlines()[-1]
    command = f"mmasched tune {tuned.model} --threads 1 --log {log}"
    assert result.status == 0
    assert last == f"8 problems are untuned and run a default schedule; to tune: {command}"


def test_compile_says_when_records_are_of_another_thread_count(mmasched, tuned, log):
    log.write_text(log.read_text().replace('"threads":1', '"threads":64'))
    result = mmasched("compile", tuned.model, "--log", log, "-o", "tiny.mma", "--threads", "1")
    assert result.status == 0 and "on 64" in result.out and "9 problems are untuned" in result.out


def test_compile_takes_the_default_log_only_where_it_is(mmasched, tuned, tmp_path):
    result = mmasched("compile", tuned.model, "-o", "tiny.mma", "--threads", "1")
    assert "no log" in result.out and "--log mmasched.jsonl" in result.out
    (tmp_path / "mmasched.jsonl").write_bytes(tuned.log.read_bytes())
    result = mmasched("compile", tuned.model, "-o", "tiny.mma", "--threads", "1")
    assert "schedules from mmasched.jsonl" in result.out and "untuned" not in result.out


def test_replay_and_a_plot(mmasched, tuned, log, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install matplotlib")
    key = searched(log)[0].problem
    replay = ["--runner", f"replay:{log}", "--log", "replayed.jsonl", "--threads", "1", "--trials", "2"]
    result = mmasched("tune", key, *replay, "--plot", "curve.png")
    assert result.status == 0, result.err
    assert {record.config_key for record in searched(tmp_path / "replayed.jsonl")} <= {
        record.config_key for record in searched(log)
    }
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_public_names_are_those_of_deploy():
    from mmasched.deploy import artifact, compile

    assert package.compile is compile and package.load is artifact.load
