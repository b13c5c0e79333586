"""Latency of a network and of its kernels."""

import time

import pytest

from mmasched.report.latency import measure_latency
from mmasched.report.neighbours import Neighbours


class Network:
    """A run sleeps 2 ms, 1.5 ms of which are said to be kernels."""

    def __init__(self):
        self.runs = 0

    def run(self, feeds):
        self.runs += 1
        time.sleep(0.002)

    def time(self, calls):
        return 0.0015 * calls


def test_percentiles_and_overhead():
    network = Network()
    found = measure_latency(network, {}, 25, 60.0)
    assert found.runs == 25 and network.runs == 27
    assert 0.002 <= found.p10 <= found.median <= found.p90
    assert found.kernels == pytest.approx(0.0015)
    assert found.overhead == pytest.approx(found.median - 0.0015)


def test_time_runs_out():
    assert 1 <= measure_latency(Network(), {}, 10**6, 0.05).runs < 1000


def test_what_we_do_ourselves_is_no_neighbour(monkeypatch):
    from mmasched.report import neighbours

    busy, own = iter([100.0, 103.0, 103.0]), iter([10.0, 12.9, 11.0])
    monkeypatch.setattr(neighbours, "_busy", lambda: next(busy))
    monkeypatch.setattr(neighbours, "_own", lambda: next(own))
    clock = iter([0.0, 2.0, 2.0])
    monkeypatch.setattr(neighbours.time, "monotonic", lambda: next(clock))
    watch = Neighbours()
    assert watch.warning() is None  # 3 s of work, 2.9 s ours
    assert "1.0 cores busy" in watch.warning()  # 3 s, 1 s ours


def test_the_counters_are_those_of_the_system():
    watch = Neighbours()
    assert watch.cores() >= 0.0
