"""kill -9 in the middle of a run costs the trial in flight and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmasched import errors
from mmasched.log import Log
from mmasched.problem import Conv2d

FAKES = Path(__file__).parent / "fakes"

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import fake_templates
sys.modules["mmasched.templates"] = fake_templates
from mmasched.hardware import hardware
from mmasched.measure import LocalRunner
from mmasched.problem import Conv2d
from mmasched.tune import tune
problem = Conv2d.from_key(sys.argv[2])
with LocalRunner(hardware("native"), 1, job_module="fake_tune_job") as runner:
    result = tune(problem, "native", 40, strategy="random", log=sys.argv[3], runner=runner, seed=int(sys.argv[4]))
print(result.ended, result.trials, result.best.config.as_dict())
"""


class Tuning:
    def __init__(self, folder, problem):
        self.log, self.trace, self.problem = folder / "log.jsonl", folder / "trace", problem

    def start(self, seed):
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(errors.__file__).parents[1]),
            "FAKE_TRACE": str(self.trace),
        }
        command = [sys.executable, "-c", RUN, str(FAKES), self.problem.key, str(self.log), str(seed)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def records(self):
        return Log(self.log).records()

    def executed(self):
        if not self.trace.exists():
            return []
        notes = [json.loads(line) for line in self.trace.read_text().splitlines()]
        return [json.dumps(config, sort_keys=True) for kind, config in notes if kind == "execute"]

    def wait_for(self, records, process):
        deadline = time.monotonic() + 40
        while len(self.records()) < records:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_resumed_where_it_was(tmp_path, signal_number):
    tuning = Tuning(tmp_path, Conv2d(1, 8, 8, 16, 16, 3, padding=1, output_bits=32))
    process = tuning.start(seed=0)
    try:
        tuning.wait_for(8, process)
        process.send_signal(signal_number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    if signal_number == signal.SIGINT:
        assert process.returncode == 0 and out.startswith("interrupted"), err
    before, executed_before = tuning.records(), tuning.executed()
    assert 8 <= len(before) < 40
    # The one in flight may have been executed and not recorded.
    assert len(executed_before) - len(before) in (0, 1)

    if signal_number == signal.SIGKILL:
        with open(tuning.log, "a") as file:
            file.write('{"schema":1,"problem":"conv')  # A write that was torn by the kill.
    time.sleep(0.2)
    assert len(tuning.executed()) == len(executed_before)  # Nobody goes on working.

    process = tuning.start(seed=1)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith("finished 40")
    searched = [record for record in tuning.records() if not record.confirmed]
    assert tuning.records()[: len(before)] == before
    assert len(searched) == len({record.config_key for record in searched}) == 40
    recorded = {json.dumps(record.config, sort_keys=True) for record in before}
    assert not recorded & set(tuning.executed()[len(executed_before) :])
