"""Warm start: what the log already knows of other problems on the same chip.

A search that starts from what sibling problems taught needs fewer trials. Those of the same family, where only sizes or
the number of threads differ, come first, the same problem on another number of threads among them; other kernels and
strides (3x3 for a 1x1 kernel) fill up what is missing, since they still know the chip and the template.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from mmasched.errors import MmaschedError, Unsupported
from mmasched.log import Record, matching, standing
from mmasched.measure import to_outcome
from mmasched.problem import Conv2d
from mmasched.search import Observation, PriorSample
from mmasched.tune.subject import Subject

MOST_SIBLINGS = 3
FEWEST_RECORDS = 8


def prior_for(subject: Subject, records: Iterable[Record], kind: str) -> list[PriorSample]:
    """What the nearest siblings with enough records on the same chip taught; empty when there are none."""
    from mmasched.search.prior import prior_samples  # Brings xgboost along.

    machine = subject.machine
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in matching(records, None, machine.target, machine.chip):
        if record.kind == kind and (record.problem, record.threads) != (subject.problem.key, machine.threads):
            groups.setdefault((record.problem, record.threads), []).append(record)
    enough = {key: group for key, group in groups.items() if len(group) >= FEWEST_RECORDS}
    known = [(_problem(key), threads, group) for (key, threads), group in enough.items()]
    siblings = [each for each in known if each[0] is not None and same_operands(each[0], subject.problem)]
    siblings.sort(key=lambda sibling: kinship(subject.problem, sibling[0], (machine.threads, sibling[1])))
    prior: list[PriorSample] = []
    for problem, threads, group in siblings[:MOST_SIBLINGS]:
        try:
            sibling = Subject.of(problem, replace(machine, threads=threads))
        except Unsupported:  # A log may hold what the templates of this version no longer serve.
            continue
        if sibling.space.dim == subject.space.dim:
            observations = [observation_of(record, problem) for record in standing(group).values()]
            prior += prior_samples(sibling.space, sibling.features, observations)
    return prior


def _problem(key: str) -> Conv2d | None:
    """The problem of a key; None for a key of another operator or version, which a log may well hold."""
    try:
        return Conv2d.from_key(key)
    except MmaschedError:
        return None


def observation_of(record: Record, problem: Conv2d) -> Observation:
    """A record as a strategy wants it."""
    outcome = to_outcome(record, problem)
    return Observation(outcome.config, outcome.status, outcome.cost if outcome.ok else None)


def kinship(own: Conv2d, other: Conv2d, threads: tuple[int, int] = (1, 1)) -> tuple[bool, float]:
    """What siblings are sorted by, least first: another family comes after the own, a far size after a near one."""
    return not same_family(own, other), distance(own, other, threads)


def same_operands(left: Conv2d, right: Conv2d) -> bool:
    """True when both multiply and store the same types, without which one can teach nothing of the other."""

    def operands(problem: Conv2d) -> tuple:
        return (
            *(problem.operand_type, problem.input_bits, problem.weight_bits, problem.output_bits, problem.input_signed),
            *(problem.activations, problem.is_depthwise),
        )

    return operands(left) == operands(right)


def same_family(left: Conv2d, right: Conv2d) -> bool:
    """True when the two differ in sizes only, so that what is fast for one may be fast for the other."""

    def window(problem: Conv2d) -> tuple:
        return problem.kernel, problem.stride, problem.dilation, problem.groups == 1

    return same_operands(left, right) and window(left) == window(right)


def distance(left: Conv2d, right: Conv2d, threads: tuple[int, int] = (1, 1)) -> float:
    """How much the sizes differ: doublings of pixels, input and output channels and threads, added up."""

    def sizes(problem: Conv2d) -> tuple[int, int, int]:
        pixels = problem.batch * problem.out_height * problem.out_width
        return pixels, problem.in_channels, problem.out_channels

    return sum(abs(math.log2(a / b)) for a, b in [*zip(sizes(left), sizes(right), strict=True), threads])
