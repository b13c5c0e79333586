"""Fake templates and a fake runner for all tests of tuning."""

import sys
from pathlib import Path

import pytest

from mmasched.measure import Outcome, Runner
from mmasched.problem import Conv2d

FAKES = Path(__file__).parent / "fakes"


@pytest.fixture(autouse=True)
def templates(monkeypatch):
    monkeypatch.syspath_prepend(str(FAKES))
    import fake_templates

    monkeypatch.setitem(sys.modules, "mmasched.templates", fake_templates)
    return fake_templates


class FakeRunner(Runner):
    """Knows every cost; ``act(config)`` may return a status or raise; what it does is written down."""

    def __init__(self, templates, act=None, noise=None, confirm_act=None):
        self.templates, self.act, self.noise, self.confirm_act = templates, act, noise, confirm_act
        self.ran, self.confirmed, self.noted, self.anchors = [], [], [], []
        self.closed = False

    def run(self, problem, configs, *, progress=None):
        outcomes = []
        for config in configs:
            status = (self.act and self.act(config)) or "correct"
            self.ran.append((problem.key, config))
            outcomes.append(self.outcome(problem, config, status, self.noise(config) if self.noise else 1.0))
            if progress:
                progress(outcomes[-1])
        return outcomes

    def confirm(self, problem, configs, rounds):
        self.confirmed.append(list(configs))
        status = self.confirm_act or (lambda config: "correct")
        return [self.outcome(problem, config, status(config), 1.0, rounds) for config in configs]

    def outcome(self, problem, config, status, factor, samples=7):
        if status != "correct":
            return Outcome(status, config, problem, "as told", threads=self.threads, target=self.target)
        cost = self.templates.seconds(problem, config) * factor
        return Outcome(status, config, problem, cost=cost, times=(cost,) * samples, threads=1, target="x86/avx2")

    def note_best(self, problem, cost):
        self.noted.append(cost)

    def note_anchor(self, problem, config, cost):
        self.anchors.append((config, cost))

    def close(self):
        self.closed = True


class FakeAvx2Runner(FakeRunner):
    target, chip = "x86/avx2", "fake-chip"


@pytest.fixture
def make_runner(templates):
    return lambda **arguments: FakeAvx2Runner(templates, **arguments)


@pytest.fixture
def problem():
    return Conv2d(1, 8, 8, 16, 16, 3, padding=1, output_bits=32)
