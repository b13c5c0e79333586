"""A recorded table behaves like the machine it was recorded on."""

import numpy as np
import pytest

from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.log import Log
from mmasched.measure import Outcome, RecordedSpace, ReplayRunner, to_outcome, to_record
from mmasched.problem import Conv2d
from mmasched.space import Config, Ordered, SearchSpace, UnionSpace

PROBLEM = Conv2d(1, 6, 6, 8, 4, 3, output_bits=32)
SPACE = SearchSpace("t", [Ordered("a", [1, 2, 4, 8, 16]), Ordered("b", [1, 2, 4, 8])])


def config(a, b=1):
    return Config("t", {"a": a, "b": b})


def outcome(a, cost=1.0, b=1, **changes):
    values = {"status": "correct", "cost": cost, "times": (cost,), "threads": 2, "target": "x86/avx2", **changes}
    return Outcome(config=config(a, b), problem=PROBLEM, **values)


@pytest.fixture
def table(tmp_path):
    log = Log(tmp_path / "table.jsonl")
    log.append(
        to_record(outcome(1, 3.0), "chip-a"),
        to_record(outcome(2, 2.0), "chip-a"),
        to_record(outcome(4, None, status="wrong_result", times=(), detail="off"), "chip-a"),
        to_record(outcome(2, 2.5, confirmed=True), "chip-a"),
    )
    return log


def test_outcomes_and_records_convert_without_loss():
    original = outcome(1, resources={"spills": 1}, detail="d", build_seconds=1.0, verify_seconds=2.0, confirmed=True)
    record = to_record(original, "chip", "random", 7)
    assert (record.problem, record.chip, record.strategy, record.seed) == (PROBLEM.key, "chip", "random", 7)
    assert to_outcome(record, PROBLEM) == original
    assert to_outcome(record).problem.key == PROBLEM.key


def test_replaying_gives_the_recorded_outcomes(table):
    runner = ReplayRunner(table.path)
    assert (runner.target, runner.chip, runner.threads, runner.kind) == ("x86/avx2", "chip-a", 2, "measured")
    seen = []
    outcomes = runner.run(PROBLEM, [config(4), config(2), config(1)], progress=seen.append)
    assert seen == outcomes
    assert [o.status for o in outcomes] == ["wrong_result", "correct", "correct"]
    assert [o.cost for o in outcomes] == [None, 2.5, 3.0]
    assert runner.confirm(PROBLEM, [config(2)], 5)[0].cost == 2.5
    assert runner.problems == [PROBLEM.key]


def test_what_was_not_recorded_counts_as_never_built(table):
    (missing,) = ReplayRunner(table.path).run(PROBLEM, [config(16)])
    assert missing.status == "constraint" and "not recorded" in missing.detail


def test_a_table_must_be_of_one_machine_or_say_which(table):
    table.append(to_record(outcome(1, 1.0), "chip-b"), to_record(outcome(1, 1.0, threads=1), "chip-a"))
    with pytest.raises(BadInput, match="several chip values"):
        ReplayRunner(table.path)
    with pytest.raises(BadInput, match="several threads values"):
        ReplayRunner(table.path, chip="chip-a")
    assert ReplayRunner(table.path, chip="chip-a", threads=1).run(PROBLEM, [config(1)])[0].cost == 1.0
    with pytest.raises(BadInput, match="no records"):
        ReplayRunner(table.path, target="arm/cortex-a53")
    with pytest.raises(BadInput, match="no records of conv2d/n2"):
        ReplayRunner(table.path, chip="chip-b").run(Conv2d(2, 6, 6, 8, 4, 3, output_bits=32), [config(1)])
    with pytest.raises(Missing):
        ReplayRunner(table.path.with_name("none.jsonl"))


def test_the_restricted_space_is_the_recorded_configs(table):
    space = ReplayRunner(table.path).restrict(PROBLEM, SPACE)
    recorded = {config(1), config(2), config(4)}
    assert set(space.enumerate()) == recorded
    assert space.count_valid() == 3 and space.dim == SPACE.dim
    rng = np.random.default_rng(0)
    draws = [space.sample(rng) for _ in range(300)]
    assert {draw: 60 < draws.count(draw) < 140 for draw in recorded} == dict.fromkeys(recorded, True)
    assert set(space.neighbours(config(2))) == {config(1), config(4)}
    assert all(space.mutate(config(1), rng) in recorded - {config(1)} for _ in range(20))
    assert np.array_equal(space.encode(config(2)), SPACE.encode(config(2)))
    assert space.is_valid(config(1)) and not space.is_valid(config(8))
    assert space.violated(config(8)) == ["recorded"] and space.violated(config(1)) == []
    assert space.violated(Config("u", {})) == SPACE.violated(Config("u", {}))


def test_recorded_spaces_of_unions_and_of_nothing():
    union = UnionSpace([SPACE, SearchSpace("u", [Ordered("c", [1, 2])])])
    space = RecordedSpace(union, [config(1), config(1), Config("u", {"c": 2}), Config("gone", {})])
    assert set(space.enumerate()) == {config(1), Config("u", {"c": 2})}
    with pytest.raises(Unsupported, match="none of the recorded"):
        RecordedSpace(union, [Config("gone", {})])
