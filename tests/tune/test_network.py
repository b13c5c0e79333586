"""One budget over a network's problems."""

from dataclasses import replace

import pytest

from mmasched.errors import BadInput
from mmasched.log import Log
from mmasched.network import Network
from mmasched.problem import Conv2d
from mmasched.tune import Progress, tune_network
from mmasched.tune.network import as_network

TARGET = "x86/avx2"


def conv(size, channels=16):
    return Conv2d(1, size, size, channels, channels, 3, padding=1, output_bits=32)


LAYERS = [(conv(4), 1), (conv(32), 3), (conv(8), 2)]


def run(network, runner, trials=60, **changes):
    return tune_network(network, TARGET, trials, **{"strategy": "random", "runner": runner, **changes})


def spent(runner):
    counts = {}
    for key, _ in runner.ran:
        counts[key] = counts.get(key, 0) + 1
    return counts


def test_the_budget_is_kept_and_goes_where_the_time_is(make_runner, templates):
    runner = make_runner()
    result = run(LAYERS, runner, 90)
    counts = spent(runner)
    assert sum(counts.values()) == result.trials == 90 and result.ended == "finished"
    assert counts[conv(32).key] > counts[conv(8).key] >= counts[conv(4).key] >= 8
    first = [config for _, config in runner.ran if config == templates.default_config(None, None)]
    assert len(first) == 3


def test_few_trials_are_spread_over_all_problems(make_runner):
    runner = make_runner()
    run([(conv(size), 1) for size in range(28, 40)], runner, 24)
    counts = spent(runner)
    assert len(counts) == 12 and max(counts.values()) <= 3


def test_totals_and_rows(make_runner, templates):
    result = run(LAYERS, make_runner(), 60)
    assert [layer.problem for layer in result.layers] == [problem for problem, _ in LAYERS]
    assert result.cost == pytest.approx(
        sum(count * layer.best.cost for layer, (_, count) in zip(result.layers, LAYERS))
    )
    default = templates.default_config(None, None)
    assert result.default_cost == pytest.approx(sum(templates.seconds(p, default) * count for p, count in LAYERS))
    assert result.speedup == pytest.approx(result.default_cost / result.cost) and result.speedup > 1
    rows = result.rows()
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert [row["count"] for row in rows] == [1, 3, 2]
    assert rows[0]["gops"] == pytest.approx(2 * conv(4).macs / rows[0]["cost"] / 1e9)
    assert all(row["template"] == "t" and row["kind"] == "measured" for row in rows)


def test_a_budget_smaller_than_the_network_leaves_the_small_problems_untuned(make_runner):
    runner = make_runner()
    result = run(LAYERS, runner, 2)
    assert [key for key, _ in runner.ran] == [conv(32).key, conv(8).key]
    assert result.untuned == (conv(4),) and result.cost is None and result.speedup is None
    assert result.rows()[0]["cost"] is None and result.rows()[0]["trials"] == 0


def test_a_problem_where_everything_fails_is_untuned(make_runner):
    result = run([conv(4)], make_runner(act=lambda config: "build_error"), 10)
    assert result.untuned == (conv(4),) and result.default_cost is None and result.trials == 10


def test_resuming_counts_what_is_recorded(make_runner, tmp_path):
    log = Log(tmp_path / "log.jsonl")
    first, second, third = make_runner(), make_runner(), make_runner()
    run(LAYERS, first, 40, log=log)
    result = run(LAYERS, second, 70, log=log)
    assert len(second.ran) == 30 and not set(first.ran) & set(second.ran)
    assert result.trials == 70
    assert run(LAYERS, third, 70, log=log).cost == result.cost and third.ran == []
    assert log.validate() == []


def test_ctrl_c_keeps_what_was_measured(make_runner, tmp_path):
    left = [25]

    def act(config):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    log = Log(tmp_path / "log.jsonl")
    result = run(LAYERS, make_runner(act=act), 60, log=log)
    assert result.ended == "interrupted" and result.trials == 25 == len(log.records())
    assert {event["reason"] for event in log.events()} == {"interrupted"}


def test_small_spaces_are_exhausted_and_the_search_ends(make_runner, templates):
    valid = templates.space_for(None, None).count_valid()
    result = run([conv(4), conv(8)], make_runner(), 10_000)
    assert result.ended == "exhausted" and result.trials == 2 * valid


def test_patience_ends_a_network_too(make_runner):
    result = run([conv(4), conv(8)], make_runner(), 10_000, effort="quick")
    assert result.ended == "patience"


def test_progress_hears_of_the_network(make_runner):
    class Watch(Progress):
        def __init__(self):
            self.networks, self.starts, self.trials = [], [], 0

        def network(self, name, problems, trials):
            self.networks.append((problems, trials))

        def start(self, problem, trials, done):
            assert trials > done
            self.starts.append(problem.key)

        def trial(self, outcome, best):
            self.trials += 1

    watch = Watch()
    run(LAYERS, make_runner(), 50, progress=watch)
    assert watch.networks == [(3, 50)] and watch.trials == 50
    assert set(watch.starts) == {problem.key for problem, _ in LAYERS}


def test_equal_problems_are_one(make_runner):
    network = as_network([conv(4), conv(8), (conv(4), 2)])
    assert network.layers == ((conv(4), 3), (conv(8), 1))


def test_what_a_network_may_be(tmp_path):
    assert as_network("resnet18").name == "resnet18"
    known = as_network("resnet18")
    assert as_network(known) is known
    for wrong, said in [
        ("resnet19", "resnet18"),
        (tmp_path / "none.onnx", "none.onnx"),
        ([], "no convolutions"),
        (Network("empty", (), ()), "no convolutions"),
        (5, "a network is"),
        ([conv(4), "conv"], "entry 1"),
        ([(conv(4), 0)], "entry 0"),
    ]:
        with pytest.raises(Exception, match=said) as caught:
            as_network(wrong)
        assert caught.type.__module__ == "mmasched.errors"


def test_bad_arguments(make_runner):
    with pytest.raises(BadInput, match="trials"):
        run(LAYERS, make_runner(), 0)


def test_later_problems_learn_from_earlier_ones(make_runner, monkeypatch):
    from mmasched.tune import session

    given = []
    real = session.prior_for
    monkeypatch.setattr(session, "prior_for", lambda *arguments: given.append(real(*arguments)) or given[-1])
    run([conv(4), (conv(32), 3)], make_runner(), 40)
    assert len(given) == 2 and given[0] == [] and len(given[1]) >= 8


def test_zero_points_do_not_make_another_problem():
    twin = replace(conv(4), input_zero_point=3)
    other = replace(conv(4), input_zero_point=5)
    assert as_network([twin, other]).layers == ((twin, 2),)
