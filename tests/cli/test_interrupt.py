"""Ctrl-C keeps the log and says how to go on; a closed pipe is no error worth a traceback."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mmasched.log import Log

TUNE = ["tune", "tiny", "--threads", "1", "--trials", "400", "--strategy", "random", "--log", "run.jsonl"]


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mmasched", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(log, records, process):
    deadline = time.monotonic() + 60
    while len(Log(log).records()) < records:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_keeps_the_log_and_prints_how_to_resume(tmp_path):
    log = tmp_path / "run.jsonl"
    process = start(tmp_path, *TUNE)
    try:
        wait_for(log, 3, process)
        os.killpg(process.pid, signal.SIGINT)  # As a terminal does: the whole process group.
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "Traceback" not in err
    records = Log(log).records()
    assert 3 <= len(records) < 400 and Log(log).validate() == []
    assert f"all {len(records)} trials are in run.jsonl" in out
    assert "To go on: mmasched tune tiny --trials 400 --log run.jsonl --strategy random --threads 1" in out


@pytest.mark.parametrize("arguments", [["networks"], ["space", "x86_gemm"], ["--help"]], ids=" ".join)
def test_a_reader_that_leaves(tmp_path, arguments):
    """The pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mmasched", *arguments], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(write)
    assert done.stderr == "" and done.returncode in (1, 141)
