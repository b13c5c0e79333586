"""Made-up outcomes and records of two small problems."""

import pytest

from mmasched.log import Record
from mmasched.measure import Outcome
from mmasched.network import Network
from mmasched.problem import Conv2d
from mmasched.space import Config

FIRST = Conv2d(1, 8, 8, 16, 16, 1, output_bits=32)
SECOND = Conv2d(1, 8, 8, 16, 32, 1, output_bits=32)


@pytest.fixture
def network():
    """The first problem once, the second three times."""
    return Network("two", ((FIRST, 1), (SECOND, 3)), (("a",), ("b", "c", "d")))


@pytest.fixture
def outcome():
    def make(problem=FIRST, cost=1e-6, tile=1, status="correct", **changes):
        cost = cost if status == "correct" else None
        return Outcome(status, Config("t", {"tile": tile}), problem, cost=cost, target="x86/avx2", **changes)

    return make


@pytest.fixture
def record():
    def make(problem=FIRST, cost=1e-6, tile=1, outcome="correct", **changes):
        cost = cost if outcome == "correct" else None
        values = {"target": "x86/avx2", "chip": "c", "threads": 1, "template": "t", "config": {"tile": tile}}
        return Record(problem.key, outcome=outcome, cost=cost, **{**values, **changes})

    return make
