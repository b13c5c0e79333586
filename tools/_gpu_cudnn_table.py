"""The table of the best plans of cuDNN's, from the lines that tools/gpu_cudnn.py wrote."""

from __future__ import annotations

from typing import Any

import _gpu

import mmasched
from mmasched.compare.cuda import cudnn_graph
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.problem import Conv2d

FORMS = {form.name: form for form in cudnn_graph.FORMS}


def distinct(network: str, batch: int) -> list[tuple[Conv2d, int]]:
    """The symmetric problems of a network and how often each occurs."""
    return [(symmetric(problem), count) for problem, count in mmasched.network(network, batch=batch).layers]


def table(rows: list[dict[str, Any]], network: str, batches: list[int]) -> str:
    """Markdown: the best plan of each form for each problem."""
    plans = [row for row in rows if row.get("what") == "plan" and "seconds" in row and row["agreement"]["right"]]
    if not plans:
        return "nothing was measured yet"
    parts = [f"{plans[0]['board']}, cuDNN {plans[0]['cudnn']}; measured, microseconds of the best plan that is right"]
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in plans:
        key = (row["form"], row["problem"])
        if key not in best or row["seconds"] < best[key]["seconds"]:
            best[key] = row
    for batch in batches:
        cells, totals = [], dict.fromkeys(FORMS, 0.0)
        for problem, count in distinct(network, batch):
            found = {name: best.get((name, problem.key)) for name in FORMS}
            fused = min((found[name] for name in FORMS if FORMS[name].complete and found[name]),
                        key=lambda row: row["seconds"], default=None)  # fmt: skip
            for name in FORMS:
                totals[name] += count * found[name]["seconds"] if found[name] else float("nan")
            cells.append([label(problem), str(count), *(_micro(found[name]) for name in FORMS),
                          f"{fused['tops']:.0f}" if fused else "-", fused["plan"] if fused else "-"])  # fmt: skip
        sums = [f"{1e6 * value:.1f}" if value == value else "-" for value in totals.values()]
        cells.append(["all, times count", "", *sums, "", ""])
        head = [f"batch {batch}", "count", *FORMS, "TOPS of int8", "its plan"]
        parts.append(_gpu.markdown(head, cells))
    failed = [row for row in rows if "error" in row]
    return "\n\n".join(
        [*parts, *[f"{len(failed)} plans or forms failed; the file has their reasons" for _ in failed[:1]]]
    )


def _micro(row: dict[str, Any] | None) -> str:
    return f"{1e6 * row['seconds']:.1f}" if row else "-"


def label(problem: Conv2d) -> str:
    """3x3 64->64 @56 s1 +r."""
    text = f"{problem.kernel[0]}x{problem.kernel[1]} {problem.in_channels}->{problem.out_channels} @{problem.height}"
    return text + (f" s{problem.stride[0]}" if problem.stride != (1, 1) else "") + (" +r" if problem.residual else "")
