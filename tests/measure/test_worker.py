"""Nothing that a candidate does can stop the runner; nothing the runner started outlives it."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mmasched import errors
from mmasched.errors import Missing
from mmasched.measure.affinity import available_cores
from mmasched.measure.limits import Limits
from mmasched.measure.worker import Worker

FAKES = Path(__file__).parent / "fakes"
LIMITS = Limits(start=60, build=20, reference=20, verify=20, run=20, memory=3 << 30)


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.syspath_prepend(str(FAKES))
    worker = Worker("fake_job", available_cores()[:1], LIMITS)
    yield worker
    worker.close()


def call(worker, act, phase="build", **config):
    return worker.call("execute", {"config": {"act": act, "phase": phase, **config}})


def alive(process_id):
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_process_serves_many_jobs(worker):
    pids = {call(worker, "fine")["resources"]["pid"] for _ in range(3)}
    assert pids == {worker.process_id}
    assert worker.starts == 1


def test_where_and_how_the_worker_lives(worker, monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit('not the real one')")
    monkeypatch.chdir(tmp_path)
    facts = call(worker, "about")["resources"]
    assert facts["affinity"] == available_cores()[:1]
    assert facts["session"] == facts["pid"] == worker.process_id
    assert facts["core"] == 0
    assert facts["prepared"] == [facts["pid"]]
    assert facts["folder"] == "/"
    assert facts["path"] == [os.path.abspath(place) for place in sys.path]
    assert sorted(os.sched_getaffinity(0)) == available_cores()


@pytest.mark.parametrize(
    ("act", "phase", "status", "said"),
    [
        ("segfault", "build", "build_error", "killed by SIGSEGV in phase build"),
        ("segfault", "verify", "run_error", "killed by SIGSEGV in phase verify"),
        ("real_segfault", "run", "run_error", "killed by SIGSEGV in phase run"),
        ("abort_talking", "run", "run_error", "killed by SIGABRT in phase run: free(): invalid pointer"),
        ("exit", "run", "run_error", "exited with status 7"),
        ("system_exit", "run", "run_error", "SystemExit"),
        ("memory_error", "run", "run_error", "out of memory"),
        ("memory", "build", "build_error", "out of memory"),
        ("exception", "build", "build_error", "ZeroDivisionError: tile of zero (at fake_job.py:"),
        ("exception", "verify", "run_error", "ZeroDivisionError"),
        ("wrong", "verify", "wrong_result", "3 of 10 elements differ"),
        ("constraint", "build", "constraint", "tile too large"),
    ],
)
def test_every_way_to_fail_is_an_outcome_and_work_goes_on(worker, act, phase, status, said):
    result = call(worker, act, phase)
    assert result["status"] == status
    assert said in result["detail"]
    assert call(worker, "fine")["status"] == "correct"


@pytest.mark.parametrize(
    ("phase", "status"), [("build", "build_timeout"), ("verify", "run_timeout"), ("run", "run_timeout")]
)
def test_a_hang_is_killed_in_the_phase_it_hangs_in(worker, phase, status):
    call(worker, "fine")
    worker.limits = replace(LIMITS, **{phase: 0.3})
    result = call(worker, "hang", phase)
    assert result["status"] == status
    assert result["detail"] == f"killed in phase {phase} after 0.3 s"
    assert call(worker, "fine")["status"] == "correct"


def test_a_suspect_process_is_not_used_again(worker):
    for act in ("wrong", "exception", "memory_error"):
        first = call(worker, "fine")["resources"]["pid"]
        call(worker, act, "run")
        assert call(worker, "fine")["resources"]["pid"] != first
    first = call(worker, "fine")["resources"]["pid"]
    call(worker, "constraint")
    call(worker, "exception", "build")
    assert call(worker, "fine")["resources"]["pid"] == first


def test_a_worker_that_was_killed_between_jobs_is_replaced(worker):
    call(worker, "fine")
    os.kill(worker.process_id, signal.SIGKILL)
    assert call(worker, "fine")["status"] == "correct"


def test_a_worker_is_replaced_after_its_share_of_jobs(worker):
    worker.limits = replace(LIMITS, jobs=2)
    assert len({call(worker, "fine")["resources"]["pid"] for _ in range(4)}) == 2


def test_what_candidates_print_disturbs_nothing(worker, capfd):
    assert call(worker, "print")["status"] == "correct"
    assert call(worker, "fine")["status"] == "correct"
    assert capfd.readouterr() == ("", "")


def test_numpy_scalars_are_sent_as_numbers(worker):
    result = call(worker, "numpy")
    assert result["cost"] == 0.5 and result["resources"] == {"spills": 3}


def test_what_is_missing_is_said_to_the_user(worker):
    with pytest.raises(Missing, match="no nvcc"):
        call(worker, "missing")


def test_a_worker_that_cant_start_is_an_error_and_no_loop():
    worker = Worker("no_such_job_module", available_cores()[:1], LIMITS)
    with pytest.raises(Missing, match=r"can't start.*no_such_job_module"):
        worker.call("execute", {})
    assert worker.starts == 1 and worker.process_id is None


def test_closing_kills_what_the_worker_started(worker, tmp_path):
    file = tmp_path / "pids"
    worker.limits = replace(LIMITS, run=2.0)
    result = call(worker, "hang_with_child", "run", file=str(file))
    assert result["status"] == "run_timeout"
    pids = [int(pid) for pid in file.read_text().split()]
    wait_until(lambda: not any(map(alive, pids)))


PARENT = """
import sys
from mmasched.measure.limits import Limits
from mmasched.measure.worker import Worker
sys.path.insert(0, sys.argv[1])
worker = Worker("fake_job", [int(sys.argv[2])], Limits(memory=0))
worker.call("execute", {"config": {"act": "fine"}})
print(worker.process_id, flush=True)
worker.call("execute", {"config": {"act": "hang", "phase": "run"}})
"""


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_worker_dies_with_its_parent(signal_number):
    environment = {**os.environ, "PYTHONPATH": str(Path(errors.__file__).parents[1])}
    command = [sys.executable, "-c", PARENT, str(FAKES), str(available_cores()[0])]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    try:
        worker = int(parent.stdout.readline())
        assert alive(worker)
        time.sleep(0.2)
        parent.send_signal(signal_number)
        stderr = parent.communicate(timeout=20)[1]
        assert ("KeyboardInterrupt" in stderr) == (signal_number == signal.SIGINT)
        wait_until(lambda: not alive(worker))
    finally:
        parent.kill()
        parent.wait()
