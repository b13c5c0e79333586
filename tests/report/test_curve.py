"""The tuning curve."""

import pytest

from mmasched.errors import BadInput
from mmasched.report.curve import confirmed_total, curve, plot_curve


@pytest.fixture
def counts(network):
    return {problem.key: count for problem, count in network.layers}


def test_it_starts_untuned_and_falls(network, record, counts):
    first, second = network.problems
    records = [
        record(first, 4.0, 1),
        record(first, 5.0, 2),
        record(second, 2.0, 1),
        record(first, None, 3, "build_error"),
        record(first, 3.0, 4),
        record(second, 1.0, 2),
        record(second, 1.1, 2, confirmed=True),
    ]
    assert curve(records, counts) == [10.0, 10.0, 10.0, 10.0, 9.0, 6.0]


def test_other_networks_problems_are_left_out(network, record, counts):
    first, _ = network.problems
    assert curve([record(first, 4.0)], {first.key: 2}) == [8.0]
    assert curve([record(first, 4.0)], {"another": 1}) == curve([], counts) == []


def test_the_confirmed_total_needs_every_winner_confirmed(network, record, counts):
    first, second = network.problems
    records = [record(first, 4.0, confirmed=True), record(second, 2.0)]
    assert confirmed_total(records, counts) is None
    assert confirmed_total([*records, record(second, 2.2, confirmed=True)], counts) == pytest.approx(4.0 + 3 * 2.2)


def test_plot(network, record, counts, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install matplotlib")
    records = [record(problem, 2e-3, confirmed=True) for problem in network.problems]
    plot_curve(records, counts, tmp_path / "curve.svg", "title", {"peer": 5e-3})
    assert "<svg" in (tmp_path / "curve.svg").read_text()
    with pytest.raises(BadInput, match="curve.xyz.*\\.png"):
        plot_curve(records, counts, tmp_path / "curve.xyz", "title")
    with pytest.raises(BadInput, match="can't write the plot"):
        plot_curve(records, counts, tmp_path / "absent" / "curve.png", "title")
    with pytest.raises(BadInput, match="no measured records"):
        plot_curve([], counts, tmp_path / "curve.png", "title")
