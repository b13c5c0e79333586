"""Operands and expected results of a problem, kept for the many candidates that are verified on them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from mmasched.problem import Conv2d, fp8, random_operands, reference, worst_case_operands

KEPT_BYTES = 512 << 20


@dataclass(frozen=True)
class OperandSet:
    """``operands`` are the keyword arguments x, w, bias, residual; ``expected`` is the exact NHWC result."""

    name: str
    operands: dict[str, np.ndarray | None]
    expected: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.expected.nbytes + sum(array.nbytes for array in self.operands.values() if array is not None)


_kept: OrderedDict[tuple[Conv2d, int, bool], list[OperandSet]] = OrderedDict()


def operand_sets(problem: Conv2d, seed: int = 0, thorough: bool = False) -> list[OperandSet]:
    """Worst-case sets, then random operands over the full range, each with its exact result.

    Not thorough: only the worst cases of the most negative and the most positive accumulation. The sets of the problems
    used last are kept, up to ``KEPT_BYTES``.
    """
    identity = (problem, seed, thorough)
    if identity not in _kept:
        _kept[identity] = _make(problem, seed, thorough)
        while len(_kept) > 1 and sum(case.nbytes for sets in _kept.values() for case in sets) > KEPT_BYTES:
            _kept.popitem(last=False)
    _kept.move_to_end(identity)
    return _kept[identity]


def _make(problem: Conv2d, seed: int, thorough: bool) -> list[OperandSet]:
    worst = list(worst_case_operands(problem))
    if not thorough:
        products = [_product(problem, operands) for operands in worst]
        worst = [worst[number] for number in sorted({int(np.argmin(products)), int(np.argmax(products))})]
    named = [(f"on worst-case operands: {_describe(operands)}", operands) for operands in worst]
    named.append((f"on random operands of seed {seed}", random_operands(problem, seed)))
    return [OperandSet(name, operands, reference(problem, **operands)) for name, operands in named]


def _product(problem: Conv2d, operands: dict[str, np.ndarray | None]) -> float:
    """What every tap of a worst case adds to the accumulator."""
    x, w = operands["x"].flat[0], operands["w"].flat[0]
    if problem.is_fp8:
        return float(fp8.decode(x, problem.operand_type) * fp8.decode(w, problem.operand_type))
    return (int(x) - problem.input_zero_point) * (int(w) - problem.weight_zero_point)


def _describe(operands: dict[str, np.ndarray | None]) -> str:
    return f"all x = {operands['x'].flat[0]}, all w = {operands['w'].flat[0]}"
