"""The tally, and what is shown of it on a terminal and in a file."""

import io

import pytest
from rich.console import Console

from mmasched.report.console import console
from mmasched.report.progress import BarProgress, LineProgress, progress_for
from mmasched.report.tally import Tally
from mmasched.tune.result import Best


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_tally_counts_what_is_known_and_what_is_new(network, outcome, clock):
    first, second = network.problems
    counts = {problem.key: count for problem, count in network.layers}
    tally = Tally(20, counts, known={first.key: 4}, leaders={first.key: outcome(first, 2e-6)}, now=clock)
    assert tally.done == 4 and tally.total is None and tally.seconds_left is None
    tally.resume(second, 0)
    tally.add(outcome(second, status="build_error"), None)
    clock.now = 3.0
    tally.add(outcome(second, 5e-6), outcome(second, 5e-6))
    assert tally.done == 6 and tally.failed == 1
    assert tally.total == pytest.approx(2e-6 + 3 * 5e-6)
    assert tally.seconds_left == pytest.approx(1.5 * 14)


def test_no_more_than_the_budget_is_ever_done(network, clock):
    assert Tally(3, known={network.problems[0].key: 7}, now=clock).done == 3


def test_what_the_log_has_counts(network, record):
    first, second = network.problems
    records = [record(first, 3e-6), record(first, 2e-6, tile=2), record(first, 2.1e-6, tile=2, confirmed=True)]
    shown = progress_for(network, records, console(io.StringIO()))
    assert shown.tally.known == {first.key: 2}
    assert shown.tally.best(first).cost == 2.1e-6 and shown.tally.best(second) is None


def run(shown, network, outcome):
    """Two trials of the first problem, one of the second, a confirmation."""
    first, second = network.problems
    with shown:
        shown.network(network.name, len(network), 3)
        shown.start(first, 2, 0)
        shown.trial(outcome(first, status="wrong_result"), None)
        shown.trial(outcome(first, 4e-6), Best(outcome(first, 4e-6)))
        shown.end(first, Best(outcome(first, 4e-6)))
        shown.start(second, 1, 0)
        shown.trial(outcome(second, 2e-6), Best(outcome(second, 2e-6)))
        shown.end(second, Best(outcome(second, 2e-6)))
        shown.confirm(first, 1)
        shown.confirm(second, 2)


def test_a_file_gets_plain_lines(network, outcome):
    file = io.StringIO()
    shown = progress_for(network, (), console(file))
    assert isinstance(shown, LineProgress)
    run(shown, network, outcome)
    lines = file.getvalue().splitlines()
    assert lines[0] == "tuning two: 2 problems, 3 trials"
    assert lines[1].startswith("[3/3] 1x1 16->32 @8 raw: best 2 us (33 GOPS), network 10 us, ")
    assert lines[1].endswith(" left")
    assert lines[2:] == ["measuring the finalists of each problem again, in turn"]


def test_a_long_single_problem_still_prints_lines(network, outcome, clock):
    file = io.StringIO()
    shown = LineProgress(console(file), Tally(100, {network.problems[0].key: 1}, now=clock))
    shown.start(network.problems[0], 100, 0)
    for _ in range(50):
        clock.now += 1.0
        shown.trial(outcome(), Best(outcome()))
    assert len(file.getvalue().splitlines()) == 2


def test_a_terminal_gets_a_bar(network, outcome):
    file = io.StringIO()
    shown = progress_for(network, (), Console(file=file, force_terminal=True, width=120, markup=False))
    assert isinstance(shown, BarProgress)
    run(shown, network, outcome)
    text = file.getvalue()
    # The bar is drawn some ten times a second: of quick steps only the last one is sure to be seen.
    assert "3/3" in text and "measuring 2 finalists of 1x1 16->32 @8 raw again" in text and "\x1b[" in text


def test_a_modelled_cost_is_never_called_a_time(network, outcome):
    file = io.StringIO()
    shown = LineProgress(console(file), Tally(1, {network.problems[0].key: 1}))
    modelled = outcome(cost=12345.0, kind="modelled")
    shown.trial(modelled, Best(modelled))
    assert "best 12,345 cycles" in shown.state(network.problems[0]) and "GOPS" not in shown.state(network.problems[0])
