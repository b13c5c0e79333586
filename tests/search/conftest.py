"""A made-up kernel whose cost is known for every config: some thousands of configs, a few of them near the best."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from mmasched.search import Observation
from mmasched.space import Choice, Config, Flag, Ordered, SearchSpace, constraint


@constraint("tile_m", "tile_n")
def tile_fits(problem, values, hardware):
    return values["tile_m"] * values["tile_n"] <= 64


@constraint("block_k", "unroll")
def unroll_divides(problem, values, hardware):
    return values["block_k"] % values["unroll"] == 0


@dataclass
class Table:
    """A space and the cost of each of its configs; None for those that fail to build."""

    space: SearchSpace
    rows: int  # of the convolution as a matrix product
    columns: int

    def __post_init__(self):
        self.costs = {config: self.cost(config) for config in self.space.enumerate()}
        self.best = min(cost for cost in self.costs.values() if cost is not None)

    def cost(self, config):
        m, n = config["tile_m"], config["tile_n"] * 8
        registers = config["tile_m"] * config["tile_n"] + config["tile_n"] + 1
        if registers > 48:
            return None  # "does not compile"
        padded = math.ceil(self.rows / m) * m * math.ceil(self.columns / n) * n / (self.rows * self.columns)
        idle = max(1.0, 12 / (config["tile_m"] * config["tile_n"])) ** 0.6
        loads = (1 / m + 1 / n) * (2 if config["pack"] else 4) * {"mnk": 1.0, "nmk": 1.1, "kmn": 1.3}[config["order"]]
        spills = 1 + 0.06 * max(0, registers - 30)
        cache = 1 + 0.3 * (config["block_k"] * (m + n) > 12000) + 8 / config["block_k"] + 0.1 / config["unroll"]
        return (padded * idle + 2 * loads) * spills * cache

    def features(self, config):
        m, n = config["tile_m"], config["tile_n"] * 8
        return [
            config["tile_m"] * config["tile_n"] + config["tile_n"] + 1,
            1 / m + 1 / n,
            math.ceil(self.rows / m) * m / self.rows,
            math.ceil(self.columns / n) * n / self.columns,
            config["block_k"] * (m + n),
        ]

    def observe(self, config):
        cost = self.costs[config]
        return Observation(config, "build_error" if cost is None else "correct", cost)

    def run(self, strategy, trials, batch=None):
        """Best cost / optimum after each of `trials`, float[trials]; nothing invalid or known may be proposed."""
        seen, trace = set(), []
        while len(trace) < trials:
            configs = strategy.propose(min(batch or strategy.batch_size, trials - len(trace)))
            assert configs
            for config in configs:
                assert config in self.costs and config not in seen
                seen.add(config)
            observations = [self.observe(config) for config in configs]
            strategy.observe(observations)
            trace += [observation.cost or math.inf for observation in observations]
        return np.minimum.accumulate(trace) / self.best


def make_space(problem=None):
    knobs = [
        Ordered("tile_m", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)),
        Ordered("tile_n", (1, 2, 3, 4, 6, 8)),
        Ordered("block_k", (8, 16, 32, 64, 128, 256)),
        Ordered("unroll", (1, 2, 4, 8)),
        Choice("order", ("mnk", "nmk", "kmn")),
        Flag("pack"),
    ]
    return SearchSpace("gemm", knobs, [tile_fits, unroll_divides], problem)


@pytest.fixture(scope="session")
def table():
    return Table(make_space(), 784, 64)


@pytest.fixture(scope="session")
def siblings():
    return [Table(make_space(), 196, 128), Table(make_space(), 784, 128)]


@pytest.fixture
def tiny_space():
    """Twelve valid configs."""
    knobs = [Ordered("a", (1, 2, 3, 4)), Choice("b", ("x", "y")), Flag("c")]
    check = constraint("a")(lambda problem, values, hardware: values["a"] != 3)
    return SearchSpace("tiny", knobs, {"not_three": check})


@pytest.fixture
def empty_space():
    return SearchSpace("empty", [Flag("a"), Flag("b")], {"never": constraint()(lambda p, v, h: False)})


@pytest.fixture
def foreign():
    return Config("another", {"a": 1})
