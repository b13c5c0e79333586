"""Listing valid combinations without visiting the invalid ones one by one.

Knobs are bound one after the other, for many partial configs at once, and every constraint is checked as soon as the
last knob it needs is bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmasched.space.constraint import BoundConstraint

# Partial configs that are extended at once: bounds the memory, not the result.
CHUNK = 1 << 14


def binding_order(sizes: Sequence[int], constraints: Sequence[BoundConstraint]) -> tuple[list[int], int]:
    """The order in which knobs are bound, such that constraints apply early, and how many of them any constraint needs.

    Greedy: next come the unbound knobs of the constraint that multiplies the partial configs least. Knobs that no
    constraint needs are last.
    """
    order: list[int] = []
    waiting = [set(c.columns.tolist()) for c in constraints]
    while waiting := [needs - set(order) for needs in waiting if needs - set(order)]:
        cheapest = min(waiting, key=lambda needs: (np.prod([sizes[i] for i in needs], dtype=object), sorted(needs)))
        order += sorted(cheapest)
    constrained = len(order)
    return order + [i for i in range(len(sizes)) if i not in order], constrained


def valid_combinations(
    sizes: Sequence[int], constraints: Sequence[BoundConstraint], depth: int | None = None
) -> Iterator[np.ndarray]:
    """All combinations of indices below `sizes` that meet `constraints`, as chunks int16[n, len(sizes)].

    `depth` stops after that many knobs of the binding order; the other columns stay 0.
    """
    order, _ = binding_order(sizes, constraints)
    depth = len(sizes) if depth is None else depth
    ready: list[list[BoundConstraint]] = [[] for _ in range(len(sizes) + 1)]
    for c in constraints:
        needs = set(c.columns.tolist())
        ready[next(k for k in range(len(sizes) + 1) if needs <= set(order[:k]))].append(c)
    rows = np.zeros((1, len(sizes)), np.int16)
    for c in ready[0]:
        rows = rows[c.mask(rows)]
    # Depth first over chunks: the stack holds (knobs bound, partial configs), so memory stays bounded.
    stack = [(0, rows)]
    while stack:
        bound, rows = stack.pop()
        if not len(rows):
            continue
        if bound == depth:
            yield rows
            continue
        if len(rows) > CHUNK:
            stack += [(bound, rows[i : i + CHUNK]) for i in range(0, len(rows), CHUNK)][::-1]
            continue
        column = order[bound]
        rows = np.repeat(rows, sizes[column], axis=0)
        rows[:, column] = np.tile(np.arange(sizes[column], dtype=np.int16), len(rows) // sizes[column])
        for c in ready[bound + 1]:
            rows = rows[c.mask(rows)]
        stack.append((bound + 1, rows))


def count_combinations(sizes: Sequence[int], constraints: Sequence[BoundConstraint]) -> int:
    """How many combinations `valid_combinations` lists; knobs that no constraint needs just multiply."""
    order, constrained = binding_order(sizes, constraints)
    free = int(np.prod([sizes[i] for i in order[constrained:]], dtype=object)) if constrained < len(sizes) else 1
    return free * sum(len(rows) for rows in valid_combinations(sizes, constraints, constrained))
