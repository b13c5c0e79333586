import numpy as np

from mmasched.search.candidates import Candidates
from mmasched.search.inputs import ModelInputs


def first_input(member, inputs):
    return inputs[:, 0] * (member + 1)


def make(space, whole_up_to, pool=200):
    candidates = Candidates(ModelInputs(space), 3, whole_up_to, pool, np.random.default_rng(0))
    for member in range(3):
        candidates.rescore(member, first_input)
    return candidates


def test_small_spaces_are_ranked_whole(tiny_space):
    candidates = make(tiny_space, 12)
    rows, scores = candidates.scored(first_input, tiny_space.valid_rows()[:2], 50, np.random.default_rng(0))
    assert candidates.whole and len(rows) == 12 and scores.shape == (3, 12)
    np.testing.assert_array_equal(scores[1], 2 * scores[0])
    scores[:] = -1  # the caller's own
    assert candidates.scored(first_input, rows, 0, np.random.default_rng(0))[1].max() > 0


def test_large_spaces_by_pool_and_mutants(table):
    space = table.space
    candidates = make(space, 100)
    observed = space.sample_rows(np.random.default_rng(1), 4)
    rows, scores = candidates.scored(first_input, observed, 60, np.random.default_rng(2))
    assert not candidates.whole and space.valid_mask(rows).all()
    assert len(np.unique(space.keys(rows))) == len(rows) and 200 * 0.8 < len(candidates.rows) <= 200
    mutants = rows[len(candidates.rows) :]
    assert 20 < len(mutants) <= 60
    np.testing.assert_array_equal(scores[2], 3 * space.encode_rows(rows)[:, 0])
    # A mutant differs in one or two knobs from a parent: an observed row or one of the pool.
    parents = np.concatenate([observed, candidates.rows])
    assert (mutants[:, None] != parents[None]).sum(axis=2).min(axis=1).max() <= 2
