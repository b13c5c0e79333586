"""One search on this machine, in the space of a table and judged by it, where there is one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from _search_replay import replayed, search_on
from _search_tables import Spec
from _search_variants import Variant

from mmasched.errors import MmaschedError
from mmasched.hardware import hardware
from mmasched.measure import Runner
from mmasched.search import Observation
from mmasched.space import Config
from mmasched.templates import default_config, features


class Untabled:
    """The space of a table that was not made, thinned as it would be."""

    def __init__(self, spec: Spec) -> None:
        self.spec, self._hardware = spec, hardware(spec.target)
        self.space = spec.space

    def features(self, config: Config) -> list[float]:
        """Analytic features."""
        return features(self.spec.problem, config, self._hardware, self.spec.threads)


def live(variant: Variant, spec: Spec, path: Path | None, runner: Runner, seed: int, trials: int) -> dict[str, Any]:
    """One run by measuring. ``steps`` has [trial, cost of the best so far, seconds so far] at every improvement.

    path: the problem's table, whose space is searched then and whose true costs are those in ``steps``; without one
    they are single passes. The default schedule is timed before, as the anchor of all others. Raises MmaschedError
    where it fails.
    """
    on = Untabled(spec) if path is None else replayed(path)
    chip = hardware(spec.target)
    anchor = default_config(spec.problem, chip, spec.threads)
    (first,) = runner.run(spec.problem, [anchor])
    if not first.ok or first.cost is None:
        raise MmaschedError(f"the default schedule of {spec.name} failed: {first.detail}")
    runner.note_anchor(spec.problem, anchor, first.cost)

    def observe(config: Config) -> Observation:
        (outcome,) = runner.run(spec.problem, [config])
        return Observation(config, outcome.status, outcome.cost if outcome.ok else None)

    def true_cost(config: Config, observation: Observation) -> float | None:
        return observation.cost if path is None else on.table.by_config[config].cost

    start = time.monotonic()
    found = search_on(on, variant, seed, trials, observe, true_cost, lambda: round(time.monotonic() - start, 3))
    return {"variant": variant.name, "table": spec.name, "seed": seed, **found,
            "seconds": round(time.monotonic() - start, 3)}  # fmt: skip
