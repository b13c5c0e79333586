from dataclasses import replace

import numpy as np
import pytest

from mmasched.measure.table.noise import confirmed_times, error_of, noise_of, shortened, table_cost


def test_single_passes_stray_as_the_repeats_did(table):
    entries = [entry for entry in table.entries if entry.ok]
    repeats = table.header.repeats
    assert np.median(repeats) == pytest.approx(1, rel=1e-4)
    ratios = np.array([[table_cost(entry, repeats, seed) / entry.cost for entry in entries] for seed in range(20)])
    assert set(np.round(ratios.ravel(), 9)) == set(np.round(repeats, 9))
    assert ratios.std() == pytest.approx(np.std(repeats), rel=0.1)
    # The same for the same seed and config, else independent.
    assert table_cost(entries[0], repeats, 3) == table_cost(entries[0], repeats, 3)
    assert abs(np.corrcoef(ratios[0], ratios[1])[0, 1]) < 0.3


def test_without_repeats_or_cost_there_is_no_noise(table):
    good = next(entry for entry in table.entries if entry.ok)
    bad = next(entry for entry in table.entries if not entry.ok)
    assert table_cost(good, (), 0) == good.cost and table_cost(bad, table.header.repeats, 0) is None
    assert confirmed_times(bad, 5, 0) == ()


def test_the_floor_is_the_standard_error_of_true_costs(table):
    floor, _ = noise_of(table.entries, [])
    # 1% noise over 45 samples: the median's standard error is 1.25 x 1% / sqrt(45); the 90th percentile is above it.
    assert 0.0015 < floor < 0.006
    assert noise_of([], []) == (0.0, ())


def test_confirming_draws_from_the_samples(table):
    entry = next(entry for entry in table.entries if entry.confirmed)
    times = confirmed_times(entry, 200, 1)
    assert len(times) == 200 and set(times) <= set(entry.times)
    assert np.median(times) == pytest.approx(entry.cost, rel=0.01)


def test_of_many_times_a_table_keeps_some_and_how_sure_all_made_the_cost(table):
    rng = np.random.default_rng(5)
    times = tuple(1e-4 * (1 + 0.02 * rng.standard_normal(900)))
    entry = replace(table.entries[0], times=times, cost=float(np.median(times)), confirmed=True)
    short = shortened(entry)
    assert len(short.times) == 64 and short.cost == entry.cost and shortened(short) is short
    assert (min(short.times), max(short.times)) == (min(times), max(times))
    assert np.median(short.times) == pytest.approx(entry.cost, rel=2e-3)
    # A normal distribution's median is sqrt(pi / 2) times as unsure as its mean.
    assert error_of(short) == error_of(entry) == pytest.approx(0.02 * 1.2533 / 30, rel=0.15)
    assert noise_of([short], [])[0] == noise_of([entry], [])[0]
    # What several processes say of its error is more than what its samples say.
    assert error_of(shortened(replace(entry, error=0.017))) == 0.017
