"""From runs to figures: trials and seconds to reach a share of the optimum, with intervals; see docs/search.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

LEVELS = (0.90, 0.95, 0.97, 0.99, 1.0)
DRAWS = 1000
NEVER = 2.0  # times the limit: what a run that does not arrive counts as

Run = Mapping[str, Any]


def reached(run: Run, level: float, floor: float) -> list | None:
    """The step at which a run first has a config within ``level`` of the optimum, or within the noise floor."""
    wanted = min(level, 1 - floor)
    return next((step for step in run["steps"] if step[1] >= wanted - 1e-9), None)


def trials_to(run: Run, level: float, floor: float) -> float:
    """Trials until then; twice the limit when it never came."""
    step = reached(run, level, floor)
    return NEVER * run["limit"] if step is None else float(step[0])


def seconds_to(run: Run, level: float, floor: float) -> float:
    """Simulated seconds until then, the strategy's own time included; twice the run's when it never came."""
    step = reached(run, level, floor)
    if step is None:
        return NEVER * (run["seconds"] + run["own_seconds"])
    return step[2] + run["own_seconds"] * step[0] / max(run["trials"], 1)


def interval(values: Sequence[float], statistic: Any = np.median) -> tuple[float, float]:
    """Bootstrap interval of 95% of a statistic of one table's seeds."""
    values = np.asarray(values, float)
    draws = values[np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))]
    low, high = np.quantile(statistic(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def geometric_mean(medians: Iterable[float]) -> float:
    """Of positive numbers."""
    return math.exp(float(np.mean([math.log(max(median, 1e-9)) for median in medians])))


def geometric_interval(tables: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Bootstrap interval of 95% of the geometric mean of tables' medians; seeds are drawn within each table."""
    rng = np.random.default_rng(0)
    logs = []
    for values in tables:
        values = np.asarray(values, float)
        draws = values[rng.integers(len(values), size=(DRAWS, len(values)))]
        logs.append(np.log(np.maximum(np.median(draws, axis=1), 1e-9)))
    low, high = np.quantile(np.exp(np.mean(logs, axis=0)), [0.025, 0.975])
    return float(low), float(high)


def figures(runs: Sequence[Run], floor: float) -> dict[str, Any]:
    """All figures of one strategy on one table."""
    levels = {}
    for level in LEVELS:
        counts = [trials_to(run, level, floor) for run in runs]
        levels[f"{level:.0%}"] = {
            "median": float(np.median(counts)),
            "interval": interval(counts),
            "p90": float(np.quantile(counts, 0.9)),
            "never": float(np.mean([reached(run, level, floor) is None for run in runs])),
        }
    seconds = [seconds_to(run, 0.97, floor) for run in runs]
    return {
        "seeds": len(runs),
        "limit": runs[0]["limit"],
        "trials_to": levels,
        "seconds_to_97": {"median": float(np.median(seconds)), "interval": interval(seconds)},
        "own_ms_per_trial": 1e3 * float(np.median([run["own_seconds"] / max(run["trials"], 1) for run in runs])),
    }


def summary(runs: Sequence[Run], floors: Mapping[str, float]) -> dict[str, Any]:
    """Figures by table and strategy, and geometric means over the tables that a strategy has run on."""
    by_table: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        by_table.setdefault(run["table"], {}).setdefault(run["variant"], []).append(run)
    tables = {
        table: {name: figures(group, floors[table]) for name, group in variants.items()}
        for table, variants in sorted(by_table.items())
    }
    overall = {}
    for name in dict.fromkeys(run["variant"] for run in runs):
        own = {table: by_table[table][name] for table in tables if name in by_table[table]}
        entry: dict[str, Any] = {"tables": len(own)}
        for level in LEVELS:
            counts = [[trials_to(run, level, floors[table]) for run in group] for table, group in own.items()]
            mean = geometric_mean(float(np.median(c)) for c in counts)
            entry[f"{level:.0%}"] = {"trials": mean, "interval": geometric_interval(counts)}
        seconds = [[seconds_to(run, 0.97, floors[table]) for run in group] for table, group in own.items()]
        mean = geometric_mean(float(np.median(s)) for s in seconds)
        entry["seconds_to_97"] = {"seconds": mean, "interval": geometric_interval(seconds)}
        overall[name] = entry
    return {
        "tables": tables,
        "strategies": overall,
        "trials_to_99_geomean": {name: entry["99%"]["trials"] for name, entry in overall.items()},
    }


def as_text(found: Mapping[str, Any]) -> str:
    """The figures as Markdown tables."""
    lines = []
    for table, strategies in found["tables"].items():
        hard = strategies.get("random")
        note = ""
        if hard:
            median = hard["trials_to"]["97%"]["median"]
            note = f" ({'hard' if median >= 100 else 'not hard'}: random takes {median:.0f} trials to 97%)"
        lines += [
            f"\n### {table}{note}\n",
            _head("90%", "95%", "97%", "99%", "100%", "p90 of 99%", "never 99%", "s to 97%"),
        ]
        for name, f in sorted(strategies.items(), key=lambda item: item[1]["trials_to"]["99%"]["median"]):
            levels = f["trials_to"]
            counts = [f"{levels[f'{level:.0%}']['median']:.0f}" for level in LEVELS]
            low, high = levels["99%"]["interval"]
            counts[3] += f" ({low:.0f}-{high:.0f})"
            seconds = f["seconds_to_97"]["median"]
            cells = [*counts, f"{levels['99%']['p90']:.0f}", f"{levels['99%']['never']:.0%}", f"{seconds:.1f}"]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "\n### All tables, geometric means of medians\n",
        _head("tables", "95%", "97%", "99%", "s to 97%", "to the best at 99%"),
    ]
    best = min((e["99%"]["trials"] for e in found["strategies"].values()), default=1.0)
    for name, e in sorted(found["strategies"].items(), key=lambda item: item[1]["99%"]["trials"]):
        cells = [
            str(e["tables"]),
            *(_with_interval(e[level]["trials"], e[level]["interval"]) for level in ("95%", "97%", "99%")),
        ]
        cells += [
            _with_interval(e["seconds_to_97"]["seconds"], e["seconds_to_97"]["interval"]),
            f"{e['99%']['trials'] / best:.2f}x",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _head(*columns: str) -> str:
    return "| search | " + " | ".join(columns) + " |\n|" + " --- |" * (len(columns) + 1)


def _with_interval(value: float, bounds: tuple[float, float]) -> str:
    return f"{value:.0f} ({bounds[0]:.0f}-{bounds[1]:.0f})"
