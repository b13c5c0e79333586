"""Contestants in their own processes, against the real ONNX Runtime where it is installed."""

import json
import os

import numpy as np
import pytest

from mmasched.compare import Agreement, compare, missing_peers, peers
from mmasched.compare.contestant import Contestant
from mmasched.errors import BadInput, MmaschedError
from mmasched.problem import Conv2d, random_operands, reference

PROBLEM = Conv2d.from_key("conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel")


class Ends:
    """Unpickling it ends the process, as a crash in a peer's code would."""

    name = "ends"

    def __reduce__(self):
        return os._exit, (3,)


@pytest.fixture
def onnxruntime():
    (peer,) = peers(["onnxruntime"])
    if reason := peer.unavailable():
        pytest.skip(reason)
    return peer


def test_a_contestant_runs_and_is_timed(onnxruntime) -> None:
    operands = random_operands(PROBLEM, 3)
    with Contestant(onnxruntime, cores=[min(os.sched_getaffinity(0))]) as contestant:
        contestant.prepare(PROBLEM, operands, 1)
        np.testing.assert_array_equal(contestant.run(), reference(PROBLEM, **operands))
        assert contestant.time(3) > 0
        assert contestant.version


def test_comparison(onnxruntime) -> None:
    found = compare(PROBLEM, peers(["onnxruntime", "onnxruntime-gemm"]), threads=1, rounds=2)
    assert {row.name for row in found.rows} == {"onnxruntime", "onnxruntime-gemm"} and not found.absent
    for row in found.rows:
        assert str(row.agreement) == "exact" and row.agreement.elements == 9 * 9 * 48
        assert row.gops == pytest.approx(2e-9 * PROBLEM.macs / row.seconds) and 0 < row.best <= row.seconds
    assert list(found.rows) == sorted(found.rows, key=lambda row: row.seconds)
    assert json.loads(json.dumps(found.as_dict()))["problem"] == PROBLEM.key


def test_absent_contestants_say_why(onnxruntime) -> None:
    signed_in = Conv2d.from_key("conv2d/n1/h5w5/i8o8/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8s/w8s:-127..127/y8u/channel")
    found = compare(signed_in, [onnxruntime], rounds=1)
    assert not found.rows and "sign" in dict(found.absent)["onnxruntime"]


def test_missing_peers_of_an_interpreter() -> None:
    reasons = missing_peers(peers())
    for peer in peers():
        assert (peer.name in reasons) == bool(peer.unavailable())
        assert "pip install" in reasons.get(peer.name, "pip install")


def test_a_process_that_dies_is_an_error_not_a_hang() -> None:
    with Contestant(Ends()) as contestant, pytest.raises(MmaschedError, match="ends died: exit status 3"):
        contestant.probe()


def test_an_interpreter_that_is_none() -> None:
    with pytest.raises(BadInput, match="/no/python"):
        Contestant(peers()[0], python="/no/python")


def test_an_interpreter_without_what_is_needed_says_so() -> None:
    with Contestant(peers()[0], python="/bin/false") as contestant, pytest.raises(MmaschedError, match="died"):
        contestant.probe()


def test_agreement() -> None:
    expected = np.array([[0, 5, 255]], np.uint8)
    assert str(Agreement.of(expected, expected)) == "exact"
    assert str(Agreement.of(np.array([[0, 6, 0]], np.uint8), expected)) == "2 of 3 differ, by up to 255"
    assert str(Agreement.of(expected[0], expected)) == "wrong shape"
