#!/usr/bin/env python3
"""Counts where our networks differ from ONNX Runtime, element by element: outputs of convolutions and of the network.

ONNX Runtime's optimized and unoptimized modes differ by a quantum here and there, so that either counts as right; what
matches neither is counted, and its largest distance given in quanta.  Three ways of ours are compared:
  evaluated  the imported graph in NumPy, every convolution's output
  compiled   machine code with every convolution's output as an output of the network, additions fused
  network    machine code as users get it, its outputs
To explain differences each node is also computed alone, on ONNX Runtime's own inputs: what differs then is not
inherited from a layer before.  For QDQ models with signed activations ONNX Runtime's own default on x86 is compared
besides, which runs convolutions in float; session.qdqisint8allowed=1 makes it compute in integers.

Exit status 1 where more than 0.1% of the elements match neither mode, or one does by more than a quantum.

Example: python tools/bench_exact.py --networks resnet18,resnet50,mobilenet_v2 --json exact.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import _bench
import numpy as np
from _differences import TOLERATED, Count, layer_by_layer, output_quantum, total
from _models import FOLDER, check_names, feeds_for, quantized_model
from _onnxruntime import DEFAULT, OPTIMIZED, UNOPTIMIZED, Mode, exposed_model

from mmasched.deploy import compile as compile_network
from mmasched.errors import BadInput
from mmasched.hardware import hardware, runs_here
from mmasched.network import Graph, load_graph
from mmasched.network.fuse import fuse
from mmasched.network.quantizer import ACTIVATIONS, FORMATS
from mmasched.report.console import table

NETWORKS = ["resnet18", "resnet50", "mobilenet_v2"]
Arrays = Mapping[str, np.ndarray]


def main() -> int:
    """Parse, compare, print; returns the exit status."""
    made = _bench.parser(__doc__, quick="only the first network")
    made.add_argument("--networks", type=_bench.names, default=NETWORKS, metavar="NAME,...",
                      help=f"built-in ones (default: {','.join(NETWORKS)})")  # fmt: skip
    made.add_argument("--formats", type=_bench.names, default=list(FORMATS), metavar="NAME,...",
                      help=f"forms of the ONNX file (default: {','.join(FORMATS)})")  # fmt: skip
    made.add_argument("--activations", type=_bench.names, default=list(ACTIVATIONS), metavar="NAME,...",
                      help=f"types of activations (default: {','.join(ACTIVATIONS)})")  # fmt: skip
    made.add_argument("--target", default="native", help="native or x86/TIER of this machine")
    made.add_argument("--threads", type=int, default=1, metavar="N", help="cores of the compiled network (default: 1)")
    made.add_argument("--log", action="append", metavar="FILE", help="log with schedules (repeatable)")
    made.add_argument("--images", type=int, default=1, metavar="N", help="random images per model (default: 1)")
    made.add_argument("--folder", type=Path, default=FOLDER, help="where the models are kept (default: out/bench)")
    return _bench.run(made, bench)


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Compares all models; returns 0 where all is within the tolerance, else 1."""
    for field, known in (("formats", FORMATS), ("activations", ACTIVATIONS)):
        for value in getattr(arguments, field):
            if value not in known:
                raise BadInput(f"--{field} has {value!r}: choose from {', '.join(known)}")
    if arguments.images < 1:
        raise BadInput(f"--images is {arguments.images}: give at least 1")
    target = str(hardware(arguments.target).target)
    if not runs_here(target):
        raise BadInput(f"{target} does not run on this machine: choose another")
    networks = check_names(arguments.networks)[: 1 if arguments.quick else None]
    for name in networks:
        for form in arguments.formats:
            for activation in arguments.activations:
                start = time.monotonic()
                path = quantized_model(name, form, activation, arguments.folder)
                rows = one_model(path, form, activation, target, arguments)
                for row in rows:
                    report.results.append({"network": name, "format": form, "activation": activation, **row})
                report.save()
                print(f"{name} {form} {activation}: {time.monotonic() - start:.1f} s", flush=True)
    show(report.results, target)
    good = all(row["acceptable"] for row in report.results if row["session"] != DEFAULT.name)
    report.summary = {"acceptable": good, "tolerated_share": TOLERATED, "tolerated_quanta": 1}
    print(f"\n{'all within' if good else 'NOT all within'} the tolerance: at most {TOLERATED:.1%} of the elements "
          "match neither mode, none by more than one quantum")  # fmt: skip
    return 0 if good else 1


def one_model(
    path: Path, form: str, activation: str, target: str, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row for each way to open the optimized session."""
    graph = load_graph(path)
    fused = fuse(graph)
    exposed = exposed_model(path, graph)
    network = compile_network(graph, target, arguments.log, arguments.threads)
    # What convolutions compute together with their additions becomes an output, so that its memory is not reused.
    layers = tuple(node.output for node in fused.convolutions() if node.output not in fused.outputs)
    opened = compile_network(
        replace(fused, outputs=(*fused.outputs, *layers)), target, arguments.log, arguments.threads
    )
    modes = [OPTIMIZED] + ([DEFAULT] if (form, activation) == ("QDQ", "s8") else [])
    rows: dict[str, dict[str, Any]] = {}
    for image in range(arguments.images):
        feeds = feeds_for(graph, seed=1 + image)
        unoptimized = UNOPTIMIZED.run(exposed, feeds), UNOPTIMIZED.run(str(path), feeds)
        # The last result of one network is memory that the next run may reuse: copied.
        ours = {
            "evaluated": evaluated(graph, feeds),
            "compiled": copied(opened.run(feeds)),
            "network": copied(network.run(feeds)),
        }
        for mode in modes:
            found = compared(graph, fused, path, exposed, feeds, mode, unoptimized, ours)
            rows[mode.name] = found if mode.name not in rows else merged(rows[mode.name], found)
    untuned = len(network.untuned)
    return [finished(row, mode, untuned) for mode, row in rows.items()]


def evaluated(graph: Graph, feeds: Arrays) -> Arrays:
    """Every tensor in NumPy."""
    from mmasched.network.evaluate import evaluate

    return evaluate(graph, feeds, intermediates=True)


def copied(arrays: Arrays) -> Arrays:
    """The same values in memory of their own."""
    return {name: np.array(value) for name, value in arrays.items()}


def compared(
    graph: Graph, fused: Graph, path: Path, exposed: bytes, feeds: Arrays, mode: Mode,
    unoptimized: tuple[Arrays, Arrays], ours: Mapping[str, Arrays],
) -> dict[str, Any]:  # fmt: skip
    """Counts of one image in one mode: per tensor for what is seen inside, and of the network's outputs."""
    inside, outside = mode.run(exposed, feeds), mode.run(str(path), feeds)
    layers: dict[str, dict[str, Count]] = {}
    for way, where in (("evaluated", graph), ("compiled", fused)):
        layers[way] = {
            node.output: Count.of(ours[way][node.output], inside[node.output], unoptimized[0][node.output])
            for node in where.convolutions() if node.output in inside and node.output not in graph.outputs
        }  # fmt: skip
    outputs = total(
        Count.of(ours["network"][name], outside[name], unoptimized[1][name], output_quantum(graph, name))
        for name in graph.outputs
    )
    modes_differ = total(Count.of(unoptimized[0][n], inside[n], inside[n]) for n in layers["evaluated"])
    return {
        "layers": layers, "network": outputs, "modes_differ": modes_differ.neither,
        # Whether showing what is inside changed what ONNX Runtime computes.
        "exposing_changes": sum(int(np.count_nonzero(inside[name] != outside[name])) for name in graph.outputs),
        "alone": {
            mode.name: layer_by_layer(graph, feeds, inside),
            UNOPTIMIZED.name: layer_by_layer(graph, feeds, unoptimized[0]),
        },
    }  # fmt: skip


def merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The sum over two images."""
    layers = {
        way: {name: count + b["layers"][way][name] for name, count in counts.items()}
        for way, counts in a["layers"].items()
    }
    return {
        "layers": layers, "network": a["network"] + b["network"],
        "modes_differ": a["modes_differ"] + b["modes_differ"],
        "exposing_changes": a["exposing_changes"] + b["exposing_changes"],
        "alone": {mode: nodes + b["alone"][mode] for mode, nodes in a["alone"].items()},
    }  # fmt: skip


def finished(row: dict[str, Any], session: str, untuned: int) -> dict[str, Any]:
    """As the JSON file has it."""
    layers = row["layers"]
    sums = {way: total(counts.values()) for way, counts in layers.items()}
    worst = {
        way: [{"output": name, **asdict(count)} for name, count in counts.items() if count.neither]
        for way, counts in layers.items()
    }
    return {
        "session": session, "convolutions": len(layers["evaluated"]),
        **{way: asdict(count) for way, count in sums.items()}, "network_output": asdict(row["network"]),
        "layers_with_neither": worst, "modes_differ": row["modes_differ"],
        "exposing_changes": row["exposing_changes"], "alone": row["alone"], "untuned": untuned,
        "acceptable": all(count.acceptable for count in (*sums.values(), row["network"])),
    }  # fmt: skip


def show(rows: list[dict[str, Any]], target: str) -> None:
    """One row per model and session, and what explains the differences."""
    made = table("network", "format", "x", "session", "convs", "elements", "modes differ", "evaluated", "compiled",
                 "network out", left=4)  # fmt: skip
    for row in rows:
        cells = [cell(row[way]) for way in ("evaluated", "compiled", "network_output")]
        made.add_row(row["network"], row["format"], row["activation"], row["session"], str(row["convolutions"]),
                     f"{row['evaluated']['elements']:,}", f"{row['modes_differ']:,}", *cells)  # fmt: skip
    _bench.show(made, f"elements that match neither mode of ONNX Runtime (and by how many quanta), {target}")
    for row in rows:
        title = f"{row['network']} {row['format']} {row['activation']}, {row['session']}"
        for mode, nodes in row["alone"].items():
            if nodes:
                print(f"{title}: fed the inputs of mode {mode!r}, {explained(nodes)}")
        if row["exposing_changes"]:
            print(f"{title}: showing inner tensors changes {row['exposing_changes']} of ONNX Runtime's own outputs")


def cell(count: dict[str, Any]) -> str:
    """0, or how many and by how much."""
    return f"{count['neither']:,} ({count['largest']})" if count["neither"] else "0"


def explained(nodes: list[dict[str, Any]]) -> str:
    """Differences of single nodes by operator."""
    by_operator: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        by_operator.setdefault(node["operator"], []).append(node)
    parts = []
    for operator, group in by_operator.items():
        different = sum(node["different"] for node in group)
        largest = max(node["largest"] for node in group)
        elements = sum(node["elements"] for node in group)
        parts.append(f"{operator} differs in {different:,} elements of nodes with {elements:,}, by up to {largest}")
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
