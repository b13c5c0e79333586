"""Were all configs of a table measured alike? What happened to many of them at once shows in their order.

Costs are in units of an anchor that is timed beside them. Where the anchor's own speed changes from process to process,
all costs of a process are off together, by as much as a factor of two, and no number of samples tells. As configs come
in random order, what knobs do not explain of their costs should vary from chunk to chunk as chance has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import KFold, cross_val_predict
from xgboost import XGBRegressor

from mmasched.measure.table import Entry, Table
from mmasched.measure.table.thinning import KnobValues
from mmasched.space import Config
from mmasched.templates import features

SHUFFLES = 200


def spells(table: Table, chunk: int = 24) -> float:
    """How much medians of chunks of a table's entries vary, over how much they do in random order: about 1 if alike.

    Logarithms of single passes, less what trees that were taught by other configs expect; chunks are entries that
    follow each other. 1.0 with less than 4 chunks.
    """
    good = [entry for entry in table.entries if entry.ok and entry.single]
    count = len(good) // chunk
    if count < 4:
        return 1.0
    rest = _unexplained(table, good[: count * chunk])
    rng = np.random.default_rng(0)
    by_chance = float(np.mean([_spread(rng.permutation(rest), chunk) for _ in range(SHUFFLES)]))
    return _spread(rest, chunk) / by_chance if by_chance else 1.0


def _unexplained(table: Table, entries: Sequence[Entry]) -> np.ndarray:
    chip, threads = table.header.hardware, table.header.threads
    figures = [features(table.problem, entry.config, chip, threads) for entry in entries]
    inputs = np.hstack([figures, [_places(entry.config, table.header.knobs) for entry in entries]])
    costs = np.log([entry.single for entry in entries])
    trees = XGBRegressor(n_estimators=200, max_depth=6, learning_rate=0.1, n_jobs=1)
    return costs - cross_val_predict(trees, inputs, costs, cv=KFold(5, shuffle=True, random_state=0))


def _places(config: Config, knobs: KnobValues) -> list[int]:
    """Where each knob of each template stands; -1 for those of other templates."""
    return [
        values.index(config[knob]) if template == config.template else -1
        for template, own in knobs.items()
        for knob, values in own.items()
    ]


def _spread(values: np.ndarray, chunk: int) -> float:
    return float(np.std(np.median(values.reshape(-1, chunk), axis=1)))
