"""The RPC runner: addresses, errors, and a fleet on loopback that loses a device in mid-run."""

import importlib.util
import socket
import threading
from pathlib import Path

import pytest

from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import from_catalog, hardware
from mmasched.log import Log
from mmasched.measure import Outcome, create_runner
from mmasched.measure.remote import rpc_job, tracker
from mmasched.measure.remote.tracker import Place
from mmasched.measure.rpc import RpcRunner
from mmasched.problem import Conv2d, Requantize
from mmasched.tune import Progress, tune

PROBLEM = Conv2d(1, 7, 7, 32, 16, 3, padding=1, requantize=Requantize(0.003))


@pytest.fixture
def fleet_module(monkeypatch):
    if importlib.util.find_spec("tornado") is None:
        pytest.skip("TVM's tracker needs tornado: pip install tornado cloudpickle")
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fakes"))
    return importlib.import_module("fleet")


def test_addresses():
    assert Place.parse("192.168.1.10:9190/rpi4") == Place("192.168.1.10", 9190, "rpi4")
    assert Place.parse("board.local:1/a-b_c") == Place("board.local", 1, "a-b_c")
    assert Place.parse("[::1]:9190/x").host == "::1"
    for text in ("", "host", "host:9190", "host:x/k", ":9190/k", "host:0/k", "host:99999/k", "host:9190/", "h:1/a:b"):
        with pytest.raises(BadInput, match="rpc:HOST:PORT/KEY"):
            Place.parse(text)


def test_an_unreachable_tracker_is_one_clear_error():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Missing, match=f"127.0.0.1:{port} can't be reached.*rpc_tracker.*docs/boards.md"):
        create_runner(f"rpc:127.0.0.1:{port}/rpi4", from_catalog("arm/cortex-a72"))
    assert (Path(__file__).parents[2] / "docs" / "boards.md").is_file()


def test_something_else_on_that_port_is_no_tracker():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Missing, match="no tracker"):
            tracker.devices(Place("127.0.0.1", server.getsockname()[1], "x"))
        thread.join()


def test_a_wrong_key_names_the_right_ones(monkeypatch):
    from collections import Counter

    monkeypatch.setattr(tracker, "devices", lambda place: Counter({"rpi4": 2, "rock5": 1}))
    place = Place("h", 1, "rpi5")
    with pytest.raises(BadInput, match="no device with key 'rpi5': did you mean rpi4"):
        tracker.check(place)
    assert tracker.check(Place("h", 1, "rpi4")) == 2
    with pytest.raises(BadInput, match="threads must be 1 to 4"):
        RpcRunner(from_catalog("arm/cortex-a72"), Place("h", 1, "rpi4"), 5)
    with pytest.raises(Unsupported, match="AMX tiles"):
        RpcRunner(from_catalog("x86/amx"), place)
    monkeypatch.setattr(tracker, "devices", lambda place: Counter())
    with pytest.raises(BadInput, match="no device is registered"):
        tracker.check(place)


class Session:
    """A session that may be dead."""

    def __init__(self, alive):
        self.alive = alive

    def get_function(self, name):
        if not self.alive:
            raise ConnectionError("gone")


def run_job(monkeypatch, sessions, work):
    remaining = list(sessions)
    monkeypatch.setattr(tracker, "session", lambda *_: remaining.pop(0))
    monkeypatch.setattr(rpc_job.local, "execute", work)
    phases = []

    def report(name, candidate=0):
        phases.append(name)

    job = {"place": None, "patience": 1, "lifetime": 1}
    try:
        return rpc_job.execute(job, report), phases
    except Exception as error:
        return error, phases


def test_a_vanished_device_is_replaced_once(monkeypatch):
    calls = []

    def work(job, phases, build):
        calls.append(build)
        phases("verify")
        if len(calls) == 1:
            raise RuntimeError("socket closed")
        return {"status": "correct"}

    result, _ = run_job(monkeypatch, [Session(False), Session(True)], work)
    assert result == {"status": "correct"} and len(calls) == 2


def test_a_candidate_that_kills_devices_fails(monkeypatch):
    def work(job, phases, build):
        phases("build")
        raise RuntimeError("socket closed")

    error, phases = run_job(monkeypatch, [Session(False), Session(False)], work)
    assert "session with the device ended: socket closed" in str(error)
    assert phases[-1] == "verify"  # Which makes it a run_error.


def test_an_error_of_our_own_is_not_blamed_on_the_device(monkeypatch):
    def work(job, phases, build):
        raise IndexError("list index out of range")

    error, _ = run_job(monkeypatch, [Session(True)], work)
    assert isinstance(error, IndexError)


class KillAfter(Progress):
    """Ends a device once so many trials are done."""

    def __init__(self, fleet, process, trials):
        self.fleet, self.process, self.left = fleet, process, trials

    def trial(self, outcome: Outcome, best):
        self.left -= 1
        if self.left == 0:
            self.fleet.kill(self.process)


def lose_a_device(fleet, chip, log, trials, start):
    """Tunes on two devices, one of which ends after three trials; then the other one goes, too."""
    first = fleet.serve("box")
    second = fleet.serve("box")
    fleet.wait(start, box=2)
    with RpcRunner(chip, fleet.place("box"), 1, patience=2.0) as runner:
        progress = KillAfter(fleet, first, 3)
        result = tune(PROBLEM, chip.target, trials, "random", log, 0, runner, effort="quick", progress=progress)
        records = Log(log).records()
        assert result.trials == trials and len({record.config_key for record in records}) == trials
        assert {(record.outcome, record.kind) for record in records} == {("correct", "measured")}
        assert result.best.outcome.confirmed and progress.left <= 0
        # The last device goes too: one clear error, and what was measured stays.
        fleet.kill(second)
        fleet.wait(10, box=0)
        with pytest.raises(Missing, match="no device with key 'box' .*same command"):
            tune(PROBLEM, chip.target, trials + 2, "random", log, 0, runner, effort="quick")
    assert len(Log(log).records()) == len(records)


def test_a_fleet_that_loses_a_device_loses_no_trial(fleet_module, tmp_path):
    chip = hardware("native")
    if chip.has("amx-int8"):
        chip = hardware("x86/avx2")  # AMX needs a permission that TVM's server does not ask for.
    with fleet_module.Fleet() as fleet:
        lose_a_device(fleet, chip, tmp_path / "log.jsonl", 8, 90)


@pytest.mark.timeout(900)
def test_a_fleet_of_emulated_arm_boards_loses_no_trial(fleet_module, emulator, tmp_path):
    python = Path(__file__).parents[2] / "out" / "arm64" / "python"
    if not (python.parent / "site" / "tvm").is_dir():
        packages = "apache-tvm==0.27.0 apache-tvm-ffi==0.1.14.post1 numpy ml_dtypes psutil cloudpickle tornado"
        pytest.skip(f"no 64-bit Arm Python with TVM: bash tools/arm64_root.sh out/arm64 {packages} typing_extensions")
    with fleet_module.Fleet((python,)) as fleet:
        lose_a_device(fleet, from_catalog("arm/cortex-a72"), tmp_path / "log.jsonl", 6, 300)
