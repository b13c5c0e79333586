"""The loop for one problem: order, resuming, confirming, Ctrl-C, errors."""

import pytest

from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import hardware, native_target
from mmasched.log import Log
from mmasched.measure import LocalRunner, ReplayRunner
from mmasched.space import Config
from mmasched.tune import Effort, Progress, tune
from mmasched.tune.session import parse_strategy

TARGET = "x86/avx2"


def run(problem, runner, trials=20, **changes):
    return tune(problem, TARGET, trials, **{"strategy": "random", "runner": runner, **changes})


def searched(result):
    return [record for record in result.records if not record.confirmed]


def test_the_default_schedule_comes_first_and_the_budget_is_kept(problem, make_runner, templates):
    runner = make_runner()
    result = run(problem, runner)
    assert runner.ran[0][1] == Config("t", templates.DEFAULT)
    assert len(runner.ran) == len(set(runner.ran)) == result.trials == 20
    assert result.ended == "finished"
    assert result.default.cost == pytest.approx(templates.seconds(problem, templates.default_config(problem, None)))
    assert result.speedup == pytest.approx(result.default.cost / result.best.cost)


def test_the_best_is_the_cheapest_correct_and_confirmed(problem, make_runner, templates):
    runner = make_runner(act=lambda config: "wrong_result" if config["pack"] else None)
    result = run(problem, runner, 60)
    costs = {record.config_key: record.cost for record in result.records if record.ok}
    assert result.best.cost == min(costs.values())
    assert not result.best.config["pack"]
    assert result.best.kind == "measured" and result.best.outcome.ok and result.best.outcome.confirmed
    assert len(result.best.outcome.times) == 50
    assert runner.noted[-1] == min(runner.noted)


def test_without_a_correct_candidate_there_is_no_best(problem, make_runner):
    result = run(problem, make_runner(act=lambda config: "build_error"))
    assert result.best is None and result.speedup is None and result.default.status == "build_error"
    assert result.trials == 20


def test_finalists_are_measured_again_and_luck_does_not_win(problem, make_runner, templates):
    # One mediocre config looks fastest in its single pass; side by side it does not.
    lucky = Config("t", {"m": 8, "n": 4, "k": 8, "pack": True})
    runner = make_runner(noise=lambda config: 0.7 if config == lucky else 1.0)
    result = run(problem, runner, 240)
    assert lucky in runner.confirmed[0]
    assert result.best.config == Config("t", {"m": 16, "n": 4, "k": 8, "pack": True})
    assert result.best.outcome.confirmed


def test_the_default_schedule_is_always_a_finalist(problem, make_runner, templates):
    # Far slower than the best in its own pass, and yet it has to be beaten side by side.
    default = templates.default_config(problem, None, 1)
    runner = make_runner(noise=lambda config: 50.0 if config == default else 1.0)
    result = run(problem, runner, 240)
    assert default in runner.confirmed[0] and result.best.config != default


def test_a_new_contender_meets_the_confirmed_winner_side_by_side(problem, make_runner, tmp_path):
    path = tmp_path / "log.jsonl"
    old = run(problem, make_runner(), 10, log=path).best
    later = make_runner()
    new = run(problem, later, 200, log=path).best
    assert new.cost < old.cost / 1.1
    assert old.config in later.confirmed[0] and new.config in later.confirmed[0]


def test_a_bad_target_leaves_no_log_behind(problem, tmp_path):
    with pytest.raises(BadInput):
        tune(problem, "x86/avx3", 5, log=tmp_path / "log.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_finalist_that_fails_when_confirmed_is_out(problem, make_runner):
    best = Config("t", {"m": 16, "n": 4, "k": 8, "pack": True})
    runner = make_runner(confirm_act=lambda config: "wrong_result" if config == best else "correct")
    result = run(problem, runner, 240)
    assert best in [config for _, config in runner.ran]
    assert result.best.config != best and result.best.outcome.confirmed


def test_a_config_that_failed_later_does_not_lead_after_resuming(problem, make_runner, tmp_path, templates):
    path = tmp_path / "log.jsonl"
    best = Config("t", {"m": 16, "n": 4, "k": 8, "pack": True})
    failing = make_runner(confirm_act=lambda config: "wrong_result" if config == best else "correct")
    run(problem, failing, 240, log=path)
    resumed = make_runner()
    run(problem, resumed, 241, log=path)
    assert templates.seconds(problem, best) in failing.noted
    assert templates.seconds(problem, best) not in resumed.noted


def test_every_record_is_in_the_log_and_the_log_names_the_same_winner(problem, make_runner, tmp_path):
    log = Log(tmp_path / "new" / "log.jsonl")
    result = run(problem, make_runner(), log=log, seed=3)
    assert tuple(log.records()) == result.records
    best = log.best(problem.key, TARGET, "fake-chip", 1)
    assert Config.from_dict(best.template, best.config) == result.best.config
    assert {(record.strategy, record.seed) for record in log.records()} == {("random", 3)}
    (end,) = log.events()
    assert (end["reason"], end["trials"], end["problem"], end["chip"]) == ("finished", 20, problem.key, "fake-chip")
    assert log.validate() == []


def test_resuming_measures_only_what_is_missing(problem, make_runner, templates, tmp_path):
    path = tmp_path / "log.jsonl"
    first, second, third = make_runner(), make_runner(), make_runner()
    run(problem, first, 15, log=path)
    result = run(problem, second, 40, log=str(path), seed=1)
    assert len(second.ran) == 25 and not set(first.ran) & set(second.ran)
    assert result.trials == 40 and len(searched(result)) == 40
    again = run(problem, third, 40, log=path)
    assert third.ran == [] and third.confirmed == []
    assert again.best == result.best
    assert min(first.noted) in second.noted
    # Costs of the second run are in the unit of the first: both know the default schedule's.
    default = templates.default_config(problem, None)
    assert first.anchors[0] == second.anchors[0] == (default, pytest.approx(templates.seconds(problem, default)))


def test_learning_strategies_resume_too(problem, make_runner, tmp_path):
    path = tmp_path / "log.jsonl"
    first, second = make_runner(), make_runner()
    run(problem, first, 20, log=path, strategy=None)
    run(problem, second, 40, log=path, strategy=None)
    assert len(second.ran) == 20 and not set(first.ran) & set(second.ran)


@pytest.mark.parametrize(
    "change", [{"chip": "other-chip"}, {"target": "x86/avx512-vnni"}, {"threads": 9}, {"problem": "other"}]
)
def test_records_of_something_else_do_not_count(problem, make_runner, tmp_path, change):
    log = Log(tmp_path / "log.jsonl")
    run(problem, make_runner(), 10, log=log)
    from dataclasses import replace

    other = Log(tmp_path / "other.jsonl")
    other.append(*(replace(record, **change) for record in log.records()))
    runner = make_runner()
    result = run(problem, runner, 10, log=other)
    assert len(runner.ran) == 10 and len(searched(result)) == 10
    assert bool(result.notes) == ("chip" in change)
    assert all("other-chip" in note and "fake-chip" in note for note in result.notes)


def test_records_whose_config_is_gone_from_the_space_do_not_count(problem, make_runner, tmp_path):
    from dataclasses import replace

    log = Log(tmp_path / "log.jsonl")
    run(problem, make_runner(), 10, log=log)
    old = Log(tmp_path / "old.jsonl")
    old.append(*(replace(record, config={**record.config, "m": 3}, cost=1e-12) for record in log.records()))
    result = run(problem, make_runner(), 10, log=old)
    assert result.trials == 10 and result.best.config["m"] != 3


def test_a_space_that_is_exhausted_ends_the_search(problem, make_runner, templates):
    valid = templates.space_for(problem, None).count_valid()
    result = run(problem, make_runner(), 10_000)
    assert result.ended == "exhausted" and result.trials == valid


def test_patience_ends_a_search_that_no_longer_gains(problem, make_runner):
    effort = Effort("impatient", 100, patience=10, finalists=2, confirm_rounds=5)
    result = run(problem, make_runner(noise=lambda config: 1 / problem.macs), 200, effort=effort, seed=1)
    assert result.ended in ("patience", "exhausted") and 10 < result.trials < 200


@pytest.mark.parametrize("strategy", ["ensemble:stop_gain=0.5,members=2", "gaussian:stop_gain=0.5"])
def test_a_strategy_that_expects_no_gain_ends_a_search(problem, make_runner, strategy):
    result = run(problem, make_runner(), 500, strategy=strategy)
    assert result.ended == "satisfied" and 32 <= result.trials < 500


class Watch(Progress):
    def __init__(self):
        self.events = []

    def start(self, problem, trials, done):
        self.events.append(("start", trials, done))

    def trial(self, outcome, best):
        self.events.append(("trial", best and best.cost))

    def confirm(self, problem, finalists):
        self.events.append(("confirm", finalists))

    def end(self, problem, best):
        self.events.append(("end", best and best.cost))


def test_progress_hears_of_every_step(problem, make_runner, tmp_path):
    watch = Watch()
    result = run(problem, make_runner(), 12, progress=watch, log=tmp_path / "l.jsonl")
    names = [event[0] for event in watch.events]
    assert names == ["start", *["trial"] * 12, "confirm", "end"]
    costs = [event[1] for event in watch.events if event[0] == "trial"]
    assert costs == sorted(costs, reverse=True) and costs[-1] == result.best.cost
    watch = Watch()
    run(problem, make_runner(), 14, progress=watch, log=tmp_path / "l.jsonl")
    assert watch.events[0] == ("start", 14, 12)


def interrupt_after(count):
    left = [count]

    def act(config):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    return act


def test_ctrl_c_keeps_what_was_measured(problem, make_runner, tmp_path):
    log = Log(tmp_path / "log.jsonl")
    runner = make_runner(act=interrupt_after(13))
    result = run(problem, runner, 40, log=log)
    assert result.ended == "interrupted" and result.trials == 13 and result.best is not None
    assert len(log.records()) == 13 and log.events()[0]["reason"] == "interrupted"
    resumed = make_runner()
    assert run(problem, resumed, 40, log=log).ended == "finished"
    assert len(resumed.ran) == 27


def test_errors_mark_the_end_and_pass_through(problem, make_runner, tmp_path):
    def broken(config):
        raise Unsupported("the device is gone")

    log = Log(tmp_path / "log.jsonl")
    with pytest.raises(Unsupported, match="device is gone"):
        run(problem, make_runner(act=broken), log=log)
    assert log.events()[0]["reason"] == "failed"


def test_a_runner_that_reports_only_at_the_end_is_recorded_too(problem, make_runner, monkeypatch):
    runner = make_runner()
    run_quietly = runner.run
    monkeypatch.setattr(runner, "run", lambda problem, configs, *, progress=None: run_quietly(problem, configs))
    assert len(searched(run(problem, runner, 10))) == 10


def test_a_given_runner_stays_open(problem, make_runner):
    runner = make_runner()
    run(problem, runner, 2)
    assert not runner.closed


def test_replaying_a_recorded_run(problem, make_runner, tmp_path, templates):
    table = tmp_path / "table.jsonl"
    recorded = run(problem, make_runner(), 100, log=table)
    log = Log(tmp_path / "replayed.jsonl")
    result = tune(problem, TARGET, 50, strategy="random", runner=f"replay:{table}", log=log)
    assert result.trials == 50 and result.chip == "fake-chip"
    known = {(record.config_key, record.cost) for record in recorded.records}
    assert {(record.config_key, record.cost) for record in result.records} <= known
    everything = tune(problem, TARGET, 1000, runner=ReplayRunner(table))
    assert everything.ended == "exhausted" and everything.best.cost == recorded.best.cost


def test_bad_arguments_are_refused_before_any_work(problem, make_runner, tmp_path):
    runner = make_runner()
    (tmp_path / "file").write_text("")
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    for arguments, said in [
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"trials": -3}, "trials"),
        ({"trials": 1.5}, "trials"),
        ({"trials": True}, "trials"),
        ({"seed": -1}, "seed"),
        ({"strategy": "rondom"}, "random"),
        ({"strategy": 7}, "a strategy is one of"),
        ({"effort": "thoroug"}, "thorough"),
        ({"log": tmp_path / "file" / "log.jsonl"}, "can't write the log"),
        ({"log": tmp_path / "bad.jsonl"}, "bad.jsonl:1: "),
        ({"log": 5}, "log is a path"),
        ({"threads": 2}, "the runner uses 1 threads"),
        ({"strategy": "random:colour=3"}, "colour"),
    ]:
        with pytest.raises(BadInput, match=said):
            run(problem, runner, **arguments)
    with pytest.raises(BadInput, match="the runner is for x86/avx2"):
        tune(problem, "arm/cortex-a53", 5, runner=runner)
    with pytest.raises(BadInput, match="tune takes a Conv2d"):
        run("resnet50", runner)
    with pytest.raises(BadInput, match="no target"):
        tune(problem, "x86/avx3", 5)
    foreign = "arm/cortex-a53" if native_target().family == "x86" else "x86/avx2"
    with pytest.raises(Unsupported, match="can't be measured on this machine"):
        tune(problem, foreign, 5, runner="local")
    assert runner.ran == []


def test_strategy_options_are_parsed():
    assert parse_strategy("random") == ("random", {})
    assert parse_strategy("a:n=3, x=0.5,s=word,f=true") == ("a", {"n": 3, "x": 0.5, "s": "word", "f": True})


def test_a_real_worker(problem, templates, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_TRACE", str(tmp_path / "trace"))
    with LocalRunner(hardware("native"), 1, job_module="fake_tune_job") as runner:
        result = tune(problem, "native", 30, strategy="random", runner=runner, log=tmp_path / "log.jsonl")
        crashed = [record for record in result.records if record.outcome == "run_error"]
        assert all("SIGABRT" in record.detail for record in crashed)
        assert all((record.config["m"] * record.config["n"] == 2) == (record in crashed) for record in result.records)
        assert result.best.outcome.confirmed and result.trials == 30
