"""How well the cost model knows a table after so many observations of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _search_replay import Replayed, replayed
from scipy.stats import spearmanr

from mmasched.measure.table import table_cost
from mmasched.search import Observation
from mmasched.search.cost_model import Trees, relative_log_costs
from mmasched.search.gaussian import Gaussian
from mmasched.search.inputs import ModelInputs

SIZES = (16, 32, 64, 128, 256, 512)
MEMBERS = 8
# Knobs; the template's figures of problem and config, its draft model's cycles among them; what the compiler reports.
KNOBS, ANALYTIC, RESOURCES = "knobs", "knobs and analytic", "knobs, analytic and resources"
# What strategy gaussian learns from the same as ANALYTIC; the others are learnt by boosted trees.
PROCESS = "knobs and analytic, Gaussian process on the draft"


def kinds_of_features(path: Path) -> list[str]:
    """What a model can be shown of the configs of a table: analytic features and resources only where there are any.

    A table of the draft model's cycles has no analytic features: they would be the answer.
    """
    on = replayed(path)
    analytic = bool(on.features(on.table.entries[0].config))
    resources = bool(_names_of_resources(on))
    return [KNOBS, *([ANALYTIC, PROCESS] if analytic else []), *([RESOURCES] if resources else [])]


def model_quality(path: Path, seeds: int, features: str = ANALYTIC) -> list[dict[str, Any]]:
    """For each number of random observations: rank correlation with true costs, recall of the true best tenth.

    The model is that of strategy gaussian for PROCESS, else that of strategy ensemble: the mean of boosted trees on
    bootstrap weights. Observations carry the table's noise; configs that were observed or failed do not count.
    features: what the model sees, see ``kinds_of_features``; resources are known of built configs only, so that a
    search could use them for choosing what to time, not what to build.
    """
    on = replayed(path)
    table, space = on.table, on.space
    entries = [entry for entry in table.entries if space.find_row(entry.config) is not None]
    inputs = ModelInputs(space, None if features == KNOBS else on.features)
    rows = np.stack([space.row(entry.config) for entry in entries])
    matrix = inputs.matrix(rows)
    if features == RESOURCES:
        names = _names_of_resources(on)
        flat = [dict(_numbers(entry.resources)) for entry in entries]
        columns = [[known.get(name, np.nan if not known else 0.0) for name in names] for known in flat]
        matrix = np.hstack([matrix, np.array(columns, np.float32)])
    truth = np.array([np.nan if entry.cost is None else entry.cost for entry in entries])
    found = []
    for size in (size for size in SIZES if size < len(entries) // 2):
        scores = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            seen = rng.choice(len(entries), size, replace=False)
            costs = [table_cost(entries[i], table.header.repeats, seed) for i in seen]
            if features == PROCESS:
                process = Gaussian(space, seed=seed, features=on.features)
                process.observe([Observation(entries[i].config, entries[i].outcome, c) for i, c in zip(seen, costs)])
                predicted = -process.expected(rows)
            else:
                known = relative_log_costs(np.array([np.nan if cost is None else cost for cost in costs]))
                predicted = _by_trees(matrix, seen, known, rng)
            rest = np.setdiff1d(np.flatnonzero(~np.isnan(truth)), seen)
            scores.append((spearmanr(-predicted[rest], truth[rest]).statistic, _recall(predicted[rest], truth[rest])))
        correlation, recall = np.median(np.nan_to_num(scores), axis=0)
        facts = {"table": path.name, "kind": table.header.kind, "observations": size, "features": features}
        figures = {"rank_correlation": float(correlation), "recall_of_best_tenth": float(recall)}
        found.append({**facts, "inputs": matrix.shape[1], "seeds": seeds, **figures})
    return found


def _by_trees(matrix: np.ndarray, seen: np.ndarray, losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    predicted = np.zeros(len(matrix))
    for _ in range(MEMBERS):
        model = Trees(20, max_depth=4, eta=0.3, min_child_weight=0)
        predicted += model.fit(matrix[seen], -losses, rng.exponential(size=len(seen))).predict(matrix)
    return predicted


def _names_of_resources(on: Replayed) -> list[str]:
    """The numbers that the table has of its candidates, those that timing found out left out."""
    found = {name for entry in on.table.entries for name, _ in _numbers(entry.resources)}
    return sorted(found - {"calls", "contended", "stopped_early"})


def _numbers(resources: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in resources.items():
        if isinstance(value, Mapping):
            if name != "time_of":
                yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)):
            yield prefix + name, float(value)


def _recall(scores: np.ndarray, truth: np.ndarray) -> float:
    count = max(1, len(truth) // 10)
    return len(np.intersect1d(np.argsort(truth)[:count], np.argsort(-scores)[:count])) / count


def quality_text(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of ``model_quality``'s rows."""
    head = "| table | kind | features | observations | rank correlation | recall of best tenth |"
    lines = [head, "|" + " --- |" * 6]
    for row in rows:
        figures = f"{row['rank_correlation']:.2f} | {row['recall_of_best_tenth']:.2f}"
        lines.append(f"| {row['table']} | {row['kind']} | {row['features']} | {row['observations']} | {figures} |")
    return "\n".join(lines)
