"""What every strategy promises, on spaces, costs and failures that hypothesis makes up."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmasched.errors import Missing
from mmasched.search import Observation, create, names
from mmasched.space import Choice, Ordered, SearchSpace, UnionSpace

QUICK = {
    "annealing": {"plan_size": 6, "iterations": 10, "chains": 8},
    "annealing_tuned": {"plan_size": 4, "iterations": 10, "chains": 8, "rounds": 5},
    "distinctive": {"population": 12, "rounds": 5, "steps": 2},
    "ensemble": {"members": 3, "rounds": 4},
    "evolution": {"plan_size": 6, "population": 16, "warmup": 6, "rounds": 5},
    "genetic": {"population": 6},
}


# Options of the default strategy that change how it picks.
OPTIONS = {
    "ranking": {"objective": "ranking"},
    "optimism": {"acquisition": "optimism", "descent": 0.5},
    "improvement": {"acquisition": "improvement", "diversity": "facility"},
    "determinantal": {"diversity": "determinantal", "shortlist": 2},
    "failures": {"likely_failure": 0.5, "failures": "nothing", "stop_gain": 0.1},
}


@st.composite
def spaces(draw):
    """One or two templates of two to four knobs, with up to 40 configs each, any of which may be invalid."""

    def one(template):
        sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
        kinds = draw(st.lists(st.sampled_from([Ordered, Choice]), min_size=len(sizes), max_size=len(sizes)))
        knobs = [kind(f"k{i}", tuple(range(size))) for i, (kind, size) in enumerate(zip(kinds, sizes))]
        seed, share = draw(st.integers(0, 99)), draw(st.sampled_from([0.3, 0.7, 1.0]))

        def allowed(problem, values, hardware):
            return np.random.default_rng([seed, *values.values()]).random() < share

        return SearchSpace(template, knobs, {"allowed": allowed})

    return one("t") if draw(st.booleans()) else UnionSpace([one("t"), one("u")])


def outcome(config, seed, failing):
    rng = np.random.default_rng([seed, *config.values(), len(config.template)])
    works = rng.random() >= failing
    return Observation(config, "correct" if works else "run_error", float(rng.random() + 0.1) if works else None)


def run(name, space, seed, batch, failing):
    name, _, variant = name.partition(":")
    options = {**QUICK.get(name, {}), **OPTIONS.get(variant, {})}
    strategy = create(name, space, seed=seed, features=lambda config: [float(sum(config.values()))], **options)
    proposed, best = [], None
    while configs := strategy.propose(batch):
        assert len(configs) <= batch
        proposed += configs
        observations = [outcome(config, seed, failing) for config in configs]
        strategy.observe(observations)
        costs = [o.cost for o in observations if o.worked] + ([best] if best is not None else [])
        best = min(costs, default=None)
        assert (strategy.best.cost if strategy.best else None) == best
    return proposed, best


@pytest.mark.parametrize("name", [*names(), *(f"ensemble:{variant}" for variant in OPTIONS)])
@given(space=spaces(), seed=st.integers(0, 9), batch=st.integers(1, 9), failing=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_valid_config_once_the_optimum_among_them_and_the_same_again(name, space, seed, batch, failing):
    try:
        proposed, best = run(name, space, seed, batch, failing)
    except Missing as missing:
        pytest.skip(str(missing))
    valid = list(space.enumerate())
    assert len(proposed) == len(set(proposed)) and set(proposed) == set(valid)
    known = [outcome(config, seed, failing).cost for config in valid]
    assert best == min((cost for cost in known if cost is not None), default=None)
    assert run(name, space, seed, batch, failing)[0] == proposed
