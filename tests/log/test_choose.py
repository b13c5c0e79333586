"""Which record wins."""

from mmasched.log import Record, best_record, contender


def record(tile, cost, *, minute=0, **changes):
    values = {"outcome": "correct", "time": f"2026-11-21T08:{minute:02}:00Z", **changes}
    return Record("conv", "x86/avx2", "chip", 1, "t", {"tile": tile}, cost=cost, **values)


def winner(*records):
    best = best_record(records)
    return best and best.config["tile"]


def test_nothing_to_choose_from():
    assert winner() is None
    assert winner(record(1, None, outcome="wrong_result"), record(2, None)) is None


def test_the_lowest_cost_wins():
    assert winner(record(1, 2.0), record(2, 1.0), record(3, 1.001)) == 2


def test_only_verified_candidates_win():
    assert winner(record(1, 2.0), record(2, 1.0, outcome="wrong_result"), record(3, 0.5, outcome="run_error")) == 1


def test_a_modelled_cost_never_beats_a_measured_one():
    assert winner(record(1, 2.0), record(2, 1e-9, kind="modelled")) == 1
    assert winner(record(2, 7.0, kind="modelled"), record(3, 6.0, kind="modelled")) == 3
    assert winner(record(2, 7.0, kind="emulated")) is None


def test_confirmed_times_replace_the_single_pass_of_the_same_config():
    lucky, steady = record(1, 0.98), record(2, 1.0)
    assert (
        winner(lucky, steady, record(1, 1.1, confirmed=True, minute=1), record(2, 1.01, confirmed=True, minute=1)) == 2
    )


def test_a_single_pass_never_beats_a_confirmed_time():
    assert winner(record(1, 1.0, confirmed=True), record(2, 0.5)) == 1
    assert winner(record(1, None, outcome="wrong_result", confirmed=True), record(2, 0.5)) == 2


def test_a_single_pass_is_worth_confirming_when_it_is_faster_by_more_than_noise():
    confirmed = record(1, 1.0, confirmed=True)
    assert contender([confirmed, record(2, 0.98)]).config["tile"] == 1
    assert contender([confirmed, record(2, 0.96)]).config["tile"] == 2
    assert contender([record(1, 1.0, kind="modelled"), record(2, None, outcome="build_error")]) is None


def test_the_newest_verdict_on_a_config_decides_whatever_the_file_order():
    failed_later = [record(1, None, outcome="wrong_result", minute=5), record(1, 1.0, minute=1), record(2, 2.0)]
    assert winner(*failed_later) == 2
    mended_later = [record(1, 1.0, minute=9), record(1, None, outcome="wrong_result", minute=5), record(2, 2.0)]
    assert winner(*mended_later) == 1


def test_the_newest_confirmation_counts():
    assert (
        winner(
            record(1, 1.0, confirmed=True, minute=1),
            record(1, 1.5, confirmed=True, minute=3),
            record(2, 1.2, confirmed=True, minute=3),
        )
        == 2
    )


def modelled(tile, cost, **counts):
    return record(tile, cost, kind="modelled", resources=counts)


def test_modelled_costs_close_together_are_ties():
    fast = modelled(1, 100.0, executed=50, bytes_moved=9)
    lean = modelled(2, 114.0, executed=40, bytes_moved=9)
    assert winner(fast, lean) == 2
    assert winner(fast, modelled(2, 116.0, executed=40, bytes_moved=9)) == 1  # Beyond 15% the cost decides.
    assert winner(fast, modelled(2, 114.0, executed=50, bytes_moved=8)) == 2
    assert winner(fast, modelled(2, 99.0, executed=50, bytes_moved=9)) == 2
    # A tie is with the cheapest, not with whoever is nearest.
    assert winner(fast, lean, modelled(3, 130.0, executed=1, bytes_moved=1)) == 2
    assert winner(modelled(1, 100.0), lean) == 2
