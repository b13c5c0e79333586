"""Cores for measuring: strong ones first, siblings last, nothing left changed."""

import os

import pytest

from mmasched.errors import BadInput
from mmasched.measure.affinity import available_cores, check_threads, pick_cores, pinned


def make_cpus(folder, cores):
    """cores: core -> (siblings list, strength file, strength)."""
    for core, (siblings, name, strength) in cores.items():
        topology = folder / f"cpu{core}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n")
        if name:
            path = folder / f"cpu{core}" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{strength}\n")
    return folder


def test_physical_cores_come_before_their_siblings(tmp_path):
    cpus = make_cpus(tmp_path, {n: (f"{n % 4},{n % 4 + 4}", None, 0) for n in range(8)})
    assert pick_cores(4, range(8), cpus) == [0, 1, 2, 3]
    assert pick_cores(5, range(8), cpus) == [0, 1, 2, 3, 4]
    assert pick_cores(2, [0, 4, 1], cpus) == [0, 1]
    ranges = make_cpus(tmp_path / "ranges", {n: (f"{n // 2 * 2}-{n // 2 * 2 + 1}", None, 0) for n in range(4)})
    assert pick_cores(2, range(4), ranges) == [0, 2]


def test_strong_cores_come_first(tmp_path):
    arm = make_cpus(tmp_path / "arm", {n: (str(n), "cpu_capacity", 1024 if n >= 4 else 400) for n in range(6)})
    assert pick_cores(2, range(6), arm) == [4, 5]
    assert pick_cores(3, range(6), arm) == [0, 4, 5]
    hybrid = {0: ("0-1", 5_000_000), 1: ("0-1", 5_000_000), 2: ("2", 3_000_000), 3: ("3", 3_000_000)}
    intel = {core: (siblings, "cpufreq/cpuinfo_max_freq", hertz) for core, (siblings, hertz) in hybrid.items()}
    assert pick_cores(3, range(4), make_cpus(tmp_path / "intel", intel)) == [0, 2, 3]


def test_without_topology_any_cores_do(tmp_path):
    assert pick_cores(2, [3, 1, 2], tmp_path) == [1, 2]


def test_threads_are_checked():
    cores = len(available_cores())
    assert check_threads(None) == cores
    for wrong in (0, -1, cores + 1, True, 1.0, "1"):
        with pytest.raises(BadInput, match=f"threads must be 1 to {cores}"):
            check_threads(wrong)


def test_pinned_restores():
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), pinned([min(before)]):
        assert os.sched_getaffinity(0) == {min(before)}
        raise KeyError
    assert os.sched_getaffinity(0) == before
