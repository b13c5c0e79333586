"""The leaders of a table: what several processes say of them."""

import numpy as np
import pytest
from _table_finals import LEADERS, MOST_VISITS, VISITS, finals, to_visit, visited_often, with_finals

from mmasched.measure.table import Entry, Header, Table, knob_values, noise_of
from mmasched.problem import Conv2d
from mmasched.space import Choice, Config, Ordered, SearchSpace

MANY = SearchSpace("t", [Ordered("a", tuple(range(100))), Choice("b", ("x", "y"))], {})
CONFIGS = [Config("t", {"a": a, "b": "x"}) for a in range(100)]


def confirmed(costs, **more):
    return [Entry(c, "correct", cost, cost, (cost,) * 9, True, **more) for c, cost in zip(CONFIGS, costs)]


def made_up(rng, truth, count, noise=0.01, speeds=0.3):
    """Visits of processes of different speeds, in which every config has its own luck besides."""
    visits = []
    for _ in range(count):
        speed = np.exp(speeds * rng.standard_normal())
        luck = np.exp(noise * rng.standard_normal(len(truth)))
        visits.append({c: (t * speed * x,) * 5 for c, t, x in zip(CONFIGS, truth, luck)})
    return visits


def test_costs_are_told_from_the_speeds_of_processes():
    rng = np.random.default_rng(1)
    truth = np.linspace(1.0, 1.3, 40)
    entries = confirmed(truth * np.exp(0.03 * rng.standard_normal(40)))
    found = finals(entries, made_up(rng, truth, 30))
    costs = np.array([found[c].cost for c in CONFIGS[:40]])
    scale = np.median(costs / truth)
    assert abs(scale - 1) < 0.03 and np.abs(costs / truth / scale - 1).max() < 0.01
    errors = np.array([found[c].error for c in CONFIGS[:40]])
    actual = np.sqrt(np.mean((costs / truth / scale - 1) ** 2))
    assert 0.7 * actual < np.median(errors) < 2 * actual
    assert all(final.visits == 30 and len(final.times) == 150 for final in found.values())


def test_a_lucky_leader_is_found_out_and_one_bad_visit_is_not_believed():
    rng = np.random.default_rng(2)
    truth = np.linspace(1.0, 1.3, 40)
    costs = truth.copy()
    costs[20] = 0.94  # in truth 1.154
    visits = made_up(rng, truth, 7)
    visits[3][CONFIGS[0]] = (1.9,)
    found = finals(confirmed(costs), visits)
    assert min(found, key=lambda config: found[config].cost) in CONFIGS[:3]
    assert found[CONFIGS[20]].cost == pytest.approx(1.154, rel=0.02)
    assert found[CONFIGS[0]].cost == pytest.approx(1.0, rel=0.02)


def test_after_one_visit_both_times_count():
    entries = confirmed([1.0, 2.0, 3.0])
    (visit,) = made_up(np.random.default_rng(0), [1.0, 2.0, 3.3], 1, noise=0, speeds=0)
    found = finals(entries, [visit])
    assert found[CONFIGS[2]].cost == pytest.approx(3.15) and found[CONFIGS[2]].visits == 1
    assert len(found[CONFIGS[2]].times) == 14
    assert finals(entries, []) == {} and finals([], [visit]) == {}


def test_leaders_are_visited_until_the_best_are_sure():
    truth = np.linspace(1.0, 2.0, 100)
    entries = confirmed(truth)
    assert to_visit(entries, []) == CONFIGS[:LEADERS]
    rng = np.random.default_rng(0)
    quiet = made_up(rng, truth[:LEADERS], VISITS, noise=0.001)
    assert to_visit(entries, quiet[:-1]) == CONFIGS[:LEADERS] and to_visit(entries, quiet) == []
    noisy = made_up(rng, truth[:LEADERS], VISITS, noise=0.1)
    assert len(to_visit(entries, noisy)) == LEADERS
    assert to_visit(entries, noisy * (MOST_VISITS // VISITS)) == []
    failed = [*entries[1:], Entry(CONFIGS[0], "wrong_result")]
    assert to_visit(failed, [])[0] == CONFIGS[1] and to_visit([], []) == []


def test_entries_take_finals_over_and_so_do_those_with_the_same_code():
    entries = confirmed([1.0, 1.1, 1.2, 1.3], resources={})
    twin = Entry(Config("t", {"a": 0, "b": "y"}), "correct", 1.0, 1.0, (1.0,), resources={"code": "c0"})
    entries[0] = Entry(CONFIGS[0], "correct", 1.0, 1.0, (1.0,) * 9, True, resources={"code": "c0"})
    visits = made_up(np.random.default_rng(0), [1.06, 1.1, 1.2], VISITS, noise=0.002, speeds=0.1)
    changed = with_finals([*entries, twin], visits)
    assert changed[0].cost == pytest.approx(1.06, rel=0.01) and changed[0].error > 0
    assert (changed[4].cost, changed[4].times, changed[4].confirmed) == (changed[0].cost, changed[0].times, True)
    assert changed[3] == entries[3] and changed[0].single == 1.0
    assert [e.config for e in visited_often(changed, visits)] == CONFIGS[:3]
    assert visited_often(changed, visits[1:]) == [] and with_finals([*entries, twin], visits[1:]) == [*entries, twin]
    floor, _ = noise_of(visited_often(changed, visits), ())
    assert 0 < floor < 0.01
    header = Header(
        Conv2d(1, 9, 9, 16, 32, 3, output_bits=32).key, "x86/avx2", "c", 1, "measured", knob_values(MANY), 200, 200
    )
    assert Table(header, tuple(changed)).optimum == changed[0].cost
