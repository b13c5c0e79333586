"""What counts as a trial, and when there is nothing left to try."""

from mmasched.report.trials import first_attempts, nothing_left


def test_measuring_again_is_no_trial(record):
    records = [record(tile=1), record(tile=2), record(tile=1, confirmed=True), record(tile=1, threads=2)]
    assert first_attempts(records) == [records[0], records[1], records[3]]


def test_nothing_is_left_when_all_winners_are_confirmed_and_the_trials_spent(record, network):
    first, second = network.problems
    keys = (first.key, second.key)
    records = [record(first, tile=1), record(first, tile=2), record(second), record(first, tile=2, confirmed=True)]
    assert not nothing_left(records, keys, 3)
    records.append(record(second, confirmed=True))
    assert nothing_left(records, keys, 3)
    assert not nothing_left(records, keys, 4)
    assert not nothing_left(records, (second.key,), 2)
