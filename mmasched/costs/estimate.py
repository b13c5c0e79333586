"""Estimates for problems that were never tuned: the templates' drafts, scaled to what records say of their own."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

from mmasched.log import Record, best_record
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import draft_cycles, starting_configs

SAMPLES = 48  # configs drafted per template: a table has hundreds of problems
CALIBRATIONS = 24  # problems that the scale is taken from


class Estimates:
    """Drafts for one chip and thread count. unit: that of the records they are scaled to; "cycles" without any."""

    def __init__(self, chip: Any, threads: int, records: list[Record]):
        self.place = chip, threads
        by_problem: dict[str, list[Record]] = {}
        for record in records:
            by_problem.setdefault(record.problem, []).append(record)
        winners = [winner for group in by_problem.values() if (winner := best_record(group)) is not None]
        measured = [winner for winner in winners if winner.kind == "measured"]
        self.unit = "seconds" if measured else "cycles"
        ratios = [self._ratio(record) for record in (measured or winners)[:CALIBRATIONS]]
        self.scale = math.exp(fmean(math.log(ratio) for ratio in ratios)) if ratios else 1.0

    def of(self, problem: Conv2d) -> tuple[float, str]:
        """(estimated cost, template). Raises Unsupported where no template serves the problem."""
        best = starting_configs(problem, *self.place, samples=SAMPLES)[0]
        return self.scale * draft_cycles(problem, best, *self.place), best.template

    def _ratio(self, record: Record) -> float:
        problem, config = Conv2d.from_key(record.problem), Config.from_dict(record.template, record.config)
        return record.cost / draft_cycles(problem, config, *self.place)
