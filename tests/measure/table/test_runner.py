import pytest

from mmasched import tune
from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import hardware
from mmasched.measure import create_runner
from mmasched.measure.table import Table, TableRunner, write_table
from mmasched.problem import Conv2d


@pytest.fixture
def path(table, tmp_path):
    write_table(table, tmp_path / "t.jsonl.xz")
    return tmp_path / "t.jsonl.xz"


def test_outcomes_are_the_tables_with_noise_and_cost_time(table):
    runner = TableRunner(table, seed=1)
    seen = []
    outcomes = runner.run(table.problem, [entry.config for entry in table.entries], progress=seen.append)
    assert seen == outcomes and [o.status for o in outcomes] == [e.outcome for e in table.entries]
    good = [(o.cost, e.cost) for o, e in zip(outcomes, table.entries) if e.ok]
    assert all(o == pytest.approx(e, rel=0.1) for o, e in good) and sum(o != e for o, e in good) > 0.8 * len(good)
    assert outcomes == TableRunner(table, seed=1).run(table.problem, [entry.config for entry in table.entries])
    spent = sum(0.28 if entry.ok else 0.5 for entry in table.entries)
    assert runner.simulated_seconds == pytest.approx(spent)
    (best,) = runner.confirm(table.problem, [min(table.entries, key=lambda e: e.cost or 1).config], 30)
    assert best.confirmed and len(best.times) == 30 and best.cost == pytest.approx(table.optimum, rel=0.01)
    assert runner.simulated_seconds > spent + 0.26


def test_the_space_is_what_was_measured(table, full_space, small_space):
    part = Table(table.header, table.entries[::2])
    space = TableRunner(part).restrict(table.problem, full_space)
    assert set(space.enumerate()) == set(part.by_config)
    assert space.dim == small_space.dim
    left_out = table.entries[1].config
    (outcome,) = TableRunner(part).run(table.problem, [left_out])
    assert outcome.status == "constraint" and "not measured" in outcome.detail


def test_tuning_by_name_cannot_tell_it_from_a_machine(path, table, tmp_path):
    result = tune(table.problem, "x86/avx2", 24, "random", tmp_path / "log.jsonl", runner=f"replay:{path}")
    assert result.trials == 24 and result.best.kind == "measured" and result.best.outcome.confirmed
    assert result.chip == "chip-a"
    whole = tune(table.problem, "x86/avx2", 10_000, "random", runner=f"replay:{path}")
    assert whole.trials == len(table.entries) and whole.ended == "exhausted"
    assert whole.best.cost == pytest.approx(table.optimum, rel=0.02)


def test_another_machine_or_problem_is_refused(path, table):
    with pytest.raises(BadInput, match="made with target x86/avx2"):
        create_runner(f"replay:{path}", hardware("x86/amx"))
    with pytest.raises(BadInput, match="made with threads 1"):
        create_runner(f"replay:{path}", hardware("x86/avx2"), 2)
    with pytest.raises(BadInput, match="is of conv2d"):
        TableRunner(table).run(Conv2d(1, 8, 8, 16, 32, 3, output_bits=32), [])


def test_a_table_without_entries_has_no_space(table, full_space):
    with pytest.raises(Unsupported, match="none of the recorded"):
        TableRunner(Table(table.header, ())).restrict(table.problem, full_space)


def test_a_table_where_everything_failed_ends_gracefully(table):
    failed = Table(table.header, tuple(entry for entry in table.entries if not entry.ok))
    result = tune(table.problem, "x86/avx2", 50, runner=TableRunner(failed))
    assert result.best is None and result.trials == len(failed.entries)
