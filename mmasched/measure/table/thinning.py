"""Spaces small enough to be measured whole: values are left out of ordered knobs, whatever their promise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.errors import BadInput
from mmasched.space import Knob, Ordered, SearchSpace, Space, UnionSpace

# Valid configs are counted one by one only where a sample says that they are not this many times too many.
FAR = 4
SAMPLE = 20_000

KnobValues = dict[str, dict[str, list]]
"""template -> knob -> values"""


@dataclass(frozen=True)
class Thinned(Ordered):
    """An ordered knob without some of its values; those that stay are encoded as before, for other problems' models."""

    full: tuple = ()

    def _encodings(self) -> np.ndarray:
        places = [self.full.index(value) for value in self.values]
        return np.array(places)[:, None] / max(1, len(self.full) - 1)


def members(space: Space) -> tuple[SearchSpace, ...]:
    """The spaces of single templates that a space consists of. Raises BadInput for one that has none."""
    found = getattr(space, "members", (space,))
    if not all(isinstance(member, SearchSpace) for member in found):
        raise BadInput(f"{space!r} is no space of templates: give what templates.space_for returns")
    return tuple(found)


def knob_values(space: Space) -> KnobValues:
    """The values of every knob of every template of a space."""
    return {member.template: {knob.name: list(knob.values) for knob in member.knobs} for member in members(space)}


def narrowed(space: Space, values: Mapping[str, Mapping[str, Sequence[Any]]]) -> Space:
    """The space with the templates and knob values given alone, their order kept.

    Raises BadInput when the space lacks a template, knob or value of them: it has changed since they were noted.
    """
    own = {member.template: member for member in members(space)}
    found = []
    for template, knobs in values.items():
        if template not in own:
            raise BadInput(f"the space has no template {template!r} any more: the table was made for another version")
        member = own[template]
        if set(knobs) != {knob.name for knob in member.knobs}:
            raise BadInput(f"template {template!r} has other knobs now: the table was made for another version")
        for knob in member.knobs:
            for value in knobs[knob.name]:
                knob.index(value)  # Raises BadInput for a value that is gone.
        kept = [_narrowed_knob(knob, tuple(knobs[knob.name])) for knob in member.knobs]
        found.append(SearchSpace(template, kept, member.constraints, member.problem, member.hardware))
    if not found:
        raise BadInput("a space needs at least one template")
    return united(found)


def united(found: Sequence[SearchSpace]) -> Space:
    """The space of one template as it is, those of several as one: what ``members`` takes apart."""
    return found[0] if len(found) == 1 else UnionSpace(found)


def _narrowed_knob(knob: Knob, values: tuple) -> Knob:
    if isinstance(knob, Ordered):
        return Thinned(knob.name, values, knob.doc, getattr(knob, "full", knob.values))
    return type(knob)(knob.name, values, knob.doc)


def thinned(space: Space, least: int = 5000, most: int = 6000, fewer: Mapping[str, int] | None = None) -> Space:
    """The space with values left out of ordered knobs until it has at most ``most`` valid configs, at least ``least``.

    Again and again the largest template's ordered knob with most values loses the inner value closest, as a ratio, to
    its neighbours; the first and the last value always stay. Knobs in ``fewer`` come before all others, until they have
    as many values as it says; of one that is held at 1 the first stays. No measurement or model has a say. A smaller
    space is returned as it is; one where every step would overshoot ends above ``most``.
    """
    values, fewer = knob_values(space), fewer or {}
    while True:
        parts = members(space)
        counts = {part.template: count_or_estimate(part, most) for part in parts}
        total = sum(counts.values())
        if total <= most:
            return space
        for smaller in _smaller(parts, counts, values, fewer):
            candidate = narrowed(space, smaller)
            if sum(count_or_estimate(part, most) for part in members(candidate)) >= least:
                space, values = candidate, smaller
                break
        else:
            return space


def count_or_estimate(space: SearchSpace, most: int) -> int:
    """How many configs are valid; an estimate from a fixed sample where that is far above ``most``."""
    rows = space.raw_rows(np.random.default_rng(0), SAMPLE)
    estimate = int(space.valid_mask(rows).mean() * space.drawn_size)
    return estimate if estimate > FAR * most else space.count_valid()


def _smaller(
    parts: Sequence[SearchSpace], counts: Mapping[str, int], values: KnobValues, fewer: Mapping[str, int]
) -> Iterator[KnobValues]:
    """The value lists after each possible removal, preferred ones first."""
    for part in sorted(parts, key=lambda part: (-counts[part.template], part.template)):
        ordered = [knob for knob in part.knobs if isinstance(knob, Ordered)]
        early = {knob.name: len(knob.values) > fewer.get(knob.name, len(knob.values)) for knob in ordered}
        ordered = [knob for knob in ordered if early[knob.name] or len(knob.values) > 2]
        for knob in sorted(ordered, key=lambda knob: (not early[knob.name], -len(knob.values), knob.name)):
            kept = list(knob.values)
            kept.pop(closest(kept))
            yield {**values, part.template: {**values[part.template], knob.name: kept}}


def closest(values: Sequence[Any]) -> int:
    """The index of the inner value whose neighbours are closest to each other; in texts, whichever is in the middle.

    Of two values the last.
    """
    if len(values) == 2 or not all(isinstance(value, int) for value in values):
        return len(values) // 2
    position = [math.log2(1 + abs(value)) for value in values]
    return min(range(1, len(values) - 1), key=lambda i: abs(position[i + 1] - position[i - 1]))
