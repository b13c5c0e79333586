"""How well the cost model knows a table after so many observations of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _search_replay import replayed
from scipy.stats import spearmanr

from mmasched.measure.table import table_cost
from mmasched.search.cost_model import Trees, relative_log_costs
from mmasched.search.inputs import ModelInputs

SIZES = (16, 32, 64, 128, 256, 512)
MEMBERS = 8


def model_quality(path: Path, seeds: int, analytic: bool = True) -> list[dict[str, Any]]:
    """For each number of random observations: rank correlation with true costs, recall of the true best tenth.

    The model is the default strategy's: the mean of boosted trees on bootstrap weights. Observations carry the table's
    noise; configs that were observed or failed do not count. analytic=False: the model sees knobs alone.
    """
    on = replayed(path)
    table, space = on.table, on.space
    entries = [entry for entry in table.entries if space.find_row(entry.config) is not None]
    inputs = ModelInputs(space, on.features if analytic else None)
    matrix = inputs.matrix(np.stack([space.row(entry.config) for entry in entries]))
    truth = np.array([np.nan if entry.cost is None else entry.cost for entry in entries])
    found = []
    for size in (size for size in SIZES if size < len(entries) // 2):
        scores = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            seen = rng.choice(len(entries), size, replace=False)
            costs = [table_cost(entries[i], table.header.repeats, seed) for i in seen]
            known = relative_log_costs(np.array([np.nan if cost is None else cost for cost in costs]))
            predicted = np.zeros(len(entries))
            for _ in range(MEMBERS):
                model = Trees(20, max_depth=4, eta=0.3, min_child_weight=0)
                predicted += model.fit(matrix[seen], -known, rng.exponential(size=size)).predict(matrix)
            rest = np.setdiff1d(np.flatnonzero(~np.isnan(truth)), seen)
            scores.append((spearmanr(-predicted[rest], truth[rest]).statistic, _recall(predicted[rest], truth[rest])))
        correlation, recall = np.median(np.nan_to_num(scores), axis=0)
        facts = {"table": path.name, "observations": size, "analytic": analytic, "seeds": seeds}
        found.append({**facts, "rank_correlation": float(correlation), "recall_of_best_tenth": float(recall)})
    return found


def _recall(scores: np.ndarray, truth: np.ndarray) -> float:
    count = max(1, len(truth) // 10)
    return len(np.intersect1d(np.argsort(truth)[:count], np.argsort(-scores)[:count])) / count


def quality_text(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of ``model_quality``'s rows."""
    lines = ["| table | features | observations | rank correlation | recall of best tenth |", "|" + " --- |" * 5]
    for row in rows:
        kind = "knobs and analytic" if row["analytic"] else "knobs"
        figures = f"{row['rank_correlation']:.2f} | {row['recall_of_best_tenth']:.2f}"
        lines.append(f"| {row['table']} | {kind} | {row['observations']} | {figures} |")
    return "\n".join(lines)
