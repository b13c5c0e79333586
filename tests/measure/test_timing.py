"""The timing policy against a fake clock."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.measure.timing import Beside, TimingPolicy, calibrate, confirm, is_quiet, measure, standard_error

POLICY = TimingPolicy()


class FakeKernel:
    """Each sample of n calls takes n times the next of ``seconds``, whose last value repeats."""

    def __init__(self, *seconds):
        self.seconds = itertools.chain(seconds, itertools.repeat(seconds[-1]))
        self.calls = []

    def __call__(self, calls):
        self.calls.append(calls)
        return calls * next(self.seconds)

    @property
    def samples(self):
        return len(self.calls)


@pytest.mark.parametrize("seconds", [1e-7, 3e-6, 1e-4, 2e-3, 0.3])
def test_a_steady_kernel_takes_one_window_of_long_enough_samples(seconds):
    kernel = FakeKernel(seconds)
    result = measure(kernel)
    assert result.seconds == pytest.approx(seconds)
    assert len(result.times) == 7 and not result.contended and not result.stopped_early
    assert result.calls * seconds >= 0.8 * POLICY.sample_seconds
    assert result.calls * seconds < 2 * max(POLICY.sample_seconds, seconds)
    assert kernel.samples <= 7 + 5


def test_the_warm_up_call_does_not_count():
    assert measure(FakeKernel(1.0, 2e-3)).seconds == pytest.approx(2e-3)


def test_the_median_ignores_a_slow_outlier():
    result = measure(FakeKernel(2e-3, 2e-3, 2e-3, 9e-3, 2e-3))
    assert result.seconds == pytest.approx(2e-3)
    assert not result.contended and len(result.times) == 7


def test_a_contended_window_is_taken_again():
    kernel = FakeKernel(2e-3, *[2e-3, 4e-3] * 3, 4e-3, 2e-3)
    result = measure(kernel)
    assert result.seconds == pytest.approx(2e-3)
    assert not result.contended
    assert kernel.samples == 1 + 7 + 7


def test_a_quiet_but_slow_window_is_not_believed_after_a_faster_sample():
    # Bimodal contention: one fast sample, then a long slow spell, then the truth.
    kernel = FakeKernel(2e-3, 2e-3, *[4e-3] * 13, 2e-3)
    result = measure(kernel)
    assert result.seconds == pytest.approx(2e-3)
    assert kernel.samples > 1 + 14


def test_contention_without_end_is_said_and_bounded():
    kernel = FakeKernel(*[2e-3, 4e-3, 3e-3] * 1000)
    result = measure(kernel)
    assert result.contended
    assert kernel.samples == 1 + 5 * 7
    assert 2e-3 <= result.seconds <= 4e-3


def test_hopeless_candidates_are_dropped_after_two_samples():
    kernel = FakeKernel(10e-3)
    result = measure(kernel, best=3e-3)
    assert result.stopped_early and kernel.samples == 1 + 2
    assert result.seconds == pytest.approx(10e-3)
    assert not measure(FakeKernel(10e-3), best=3.5e-3).stopped_early
    assert not measure(FakeKernel(1e-3, 10e-3, 1e-3), best=1e-3).stopped_early


def test_very_slow_kernels_are_sampled_three_times():
    kernel = FakeKernel(4.0)
    result = measure(kernel)
    assert len(result.times) == 3 and result.seconds == pytest.approx(4.0)


def test_a_clock_that_stands_still_ends():
    assert calibrate(lambda calls: 0.0, POLICY)[0] == 1_000_000


@given(st.lists(st.floats(1e-6, 1.0), min_size=4, max_size=20), st.floats(0.01, 100))
def test_quiet_and_error_are_relative(samples, scale):
    scaled = [sample * scale for sample in samples]
    assert standard_error(scaled) == pytest.approx(standard_error(samples), rel=1e-6, abs=1e-12)
    low, middle, high = np.percentile(samples, [25, 50, 75])
    spread = (high - low) / middle
    if abs(spread - POLICY.spread) > 1e-6 and abs(min(samples) / middle - 0.95) > 1e-6:
        assert is_quiet(samples, POLICY) == (spread < POLICY.spread and min(samples) > 0.95 * middle)


def test_standard_error_predicts_the_scatter_of_medians():
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 0.02, size=(2000, 49))
    scatter = np.median(draws, axis=1).std()
    predicted = statistics.median(standard_error(list(row)) for row in draws[:300])
    # The larger of two estimates lies a little above either.
    assert predicted == pytest.approx(scatter, rel=0.25)


def test_confirming_interleaves_and_shifts_the_order():
    order = []

    def kernel(name):
        return lambda calls: order.append(name) or 2e-3 * calls

    times = confirm([kernel("a"), kernel("b"), kernel("c")], rounds=3)
    assert [len(samples) for samples in times] == [3, 3, 3]
    assert "".join(order[-9:]) == "abcbcacab"


def test_confirming_ends_when_the_error_is_small_and_not_before():
    assert len(confirm([FakeKernel(2e-3)], rounds=100)[0]) == POLICY.confirm_at_least
    rng = np.random.default_rng(1)
    noisy = FakeKernel(*rng.normal(2e-3, 2e-4, size=5000))
    (times,) = confirm([noisy], rounds=5000)
    assert POLICY.confirm_at_least < len(times) < 5000
    assert standard_error(times) < 0.005 <= standard_error(times[:-1])


def test_confirming_respects_its_limits():
    jumpy = [FakeKernel(*[2e-3, 4e-3] * 500), FakeKernel(2e-3)]
    assert len(confirm(jumpy, rounds=25)[0]) == 25
    assert len(confirm([FakeKernel(20.0)], rounds=50)[0]) == 2


def test_beside_an_anchor_changes_of_speed_cancel():
    slowness = itertools.chain([1.0] * 12, itertools.repeat(1.6))
    now = [1.0]

    def anchor(calls):
        now[0] = next(slowness)
        return calls * 3e-4 * now[0]

    timer = Beside(lambda calls: calls * 2e-4 * now[0], anchor, 3e-4, POLICY)
    times = np.array([timer(10) for _ in range(60)])
    assert np.sum(times > 2.001e-3) == POLICY.anchors - 1  # Until it is sure that the machine has slowed down.
    assert np.median(times) == pytest.approx(2e-3) and times.min() == pytest.approx(2e-3)
    assert timer.anchor_seconds == pytest.approx(4.8e-4)
    result = measure(timer)
    assert result.seconds == pytest.approx(2e-4) and not result.contended
    assert set(np.round(result.times, 9)) == {2e-4}


@pytest.mark.parametrize("held_up", [2, 3, 5])
def test_an_anchor_that_alone_was_held_up_makes_no_time_too_short(held_up):
    """Another process had a core during every so many anchors, and never during the candidate."""
    passes = itertools.count(1)
    timer = Beside(
        lambda calls: calls * 2e-4,
        lambda calls: calls * 3e-4 * (6.0 if next(passes) % held_up == 0 else 1.0),
        3e-4,
        POLICY,
    )
    assert [timer(10) for _ in range(50)] == [pytest.approx(2e-3)] * 50
    assert measure(timer).seconds == pytest.approx(2e-4)
