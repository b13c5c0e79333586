"""The tuning curve: how the time of a network's convolutions falls with the trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mmasched.errors import BadInput, Missing
from mmasched.log import Record, best_record
from mmasched.report.trials import first_attempts


def require_matplotlib() -> None:
    """Raises Missing, naming what to install, where plots cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise Missing("plots need matplotlib: pip install matplotlib") from None


def curve(records: Iterable[Record], counts: Mapping[str, int]) -> list[float]:
    """The sum over all problems of count times the best cost so far, after each trial; in the records' unit.

    records: of one target, chip, thread count and kind, in the order of the log. counts: problem key -> occurrences. A
    problem counts with its first correct schedule, which is the default one, until it finds a better one, so that the
    first value is the untuned network's. Measuring finalists again is no trial. Empty when nothing is known.
    """
    trials = [record for record in first_attempts(records) if record.problem in counts]
    best: dict[str, float] = {}
    for record in trials:
        if record.ok and record.cost is not None:
            best.setdefault(record.problem, record.cost)
    if not best:
        return []
    values = []
    for record in trials:
        if record.ok and record.cost is not None:
            best[record.problem] = min(best[record.problem], record.cost)
        values.append(sum(counts[key] * cost for key, cost in best.items()))
    return values


def plot_curve(
    records: Iterable[Record],
    counts: Mapping[str, int],
    path: str | Path,
    title: str,
    lines: Mapping[str, float] | None = None,
) -> None:
    """Draws the tuning curve into a file (.png, .svg, .pdf). lines: seconds to mark across it, such as a peer's sum.

    Raises Missing without matplotlib and BadInput for a log without measured records or a path that cannot be written.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    records = [record for record in records if record.kind == "measured"]
    values = curve(records, counts)
    if not values:
        raise BadInput(f"there is no tuning curve to draw in {path}: the log has no measured records of the network")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.step(range(1, len(values) + 1), [1e3 * value for value in values], where="post", label="best so far")
    confirmed = confirmed_total(records, counts)
    if confirmed is not None:
        axes.plot([len(values)], [1e3 * confirmed], "o", label="winners, confirmed side by side")
    for number, (name, seconds) in enumerate((lines or {}).items()):
        axes.axhline(1e3 * seconds, linestyle="--", color=f"C{number + 2}", label=name)
    axes.set(xlabel="trials", ylabel="all convolutions of one inference (ms)", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadInput(f"can't write the plot {path} ({reason}): name a .png, .svg or .pdf file") from None


def confirmed_total(records: Iterable[Record], counts: Mapping[str, int]) -> float | None:
    """The sum over all problems of count times the winner's cost; None while a problem has no confirmed winner."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.problem, []).append(record)
    total = 0.0
    for key, count in counts.items():
        best = best_record(groups.get(key, ()))
        if best is None or best.cost is None or not best.confirmed:
            return None
        total += count * best.cost
    return total
