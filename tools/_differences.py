"""Counting where arrays differ, element by element, against two references of which either will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmasched.network import Graph
from mmasched.network import graph as g
from mmasched.network.evaluate import check_feeds, compute

# At most so many elements may match neither reference, and none by more than one quantum.
TOLERATED, QUANTUM = 1e-3, 1


@dataclass(frozen=True)
class Count:
    """Elements in all, equal to the optimized and to the unoptimized result, equal to neither, and of those the largest
    distance to the nearer one, in quanta of the tensor."""

    elements: int = 0
    optimized: int = 0
    unoptimized: int = 0
    neither: int = 0
    largest: int = 0

    @classmethod
    def of(cls, got: np.ndarray, optimized: np.ndarray, unoptimized: np.ndarray, quantum: Any = 1) -> Count:
        """Counts one tensor; quantum: what one step is worth, a scalar or one value per channel (axis 1)."""
        assert got.shape == optimized.shape == unoptimized.shape
        quantum = np.asarray(quantum, np.float64)
        if quantum.ndim:
            quantum = quantum.reshape([-1 if axis == 1 else 1 for axis in range(got.ndim)])
        distances = [np.abs(got.astype(np.float64) - other.astype(np.float64)) / quantum
                     for other in (optimized, unoptimized)]  # fmt: skip
        nearer = np.minimum(*distances)
        equal = [int(np.count_nonzero(distance == 0)) for distance in distances]
        largest = int(np.ceil(nearer.max(initial=0) - 1e-3))
        return cls(got.size, *equal, int(np.count_nonzero(nearer)), largest)

    def __add__(self, other: Count) -> Count:
        sums = (a + b for a, b in zip(list(asdict(self).values())[:-1], list(asdict(other).values())[:-1], strict=True))
        return Count(*sums, max(self.largest, other.largest))

    @property
    def acceptable(self) -> bool:
        """Whether what matches neither is rare and small enough."""
        return self.neither <= TOLERATED * self.elements and self.largest <= QUANTUM


def total(counts: Iterable[Count]) -> Count:
    """The sum."""
    result = Count()
    for count in counts:
        result = result + count
    return result


def layer_by_layer(
    graph: Graph, feeds: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """The nodes whose output is not `theirs` when they get *their* inputs, so that no difference is inherited.

    theirs: arrays by tensor name; where one is lacking ours goes on.
    """
    values = {**graph.constants, **check_feeds(graph, feeds)}
    found = []
    for node in graph.nodes:
        made = compute(node, graph.tensors[node.output], *(values[name] if name else None for name in node.inputs))
        values[node.output] = made
        expected = theirs.get(node.output)
        if expected is None or made.dtype.name not in ("uint8", "int8"):
            continue
        count = Count.of(made, expected, expected)
        if count.neither:
            found.append({"node": node.name, "operator": type(node).__name__, "output": node.output,
                          "elements": count.elements, "different": count.neither,
                          "largest": count.largest})  # fmt: skip
        values[node.output] = expected
    return found


def output_quantum(graph: Graph, name: str) -> Any:
    """What one step of a network output is worth: its scale where it is dequantized, else 1."""
    node = next(node for node in graph.nodes if node.output == name)
    return node.scale if isinstance(node, g.Dequantize) else 1
