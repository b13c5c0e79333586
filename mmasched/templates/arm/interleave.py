"""Loops of vector instructions in an order of ours: loads slipped between multiplications, ahead of their use.

In-order cores start one vector instruction and one load a cycle if they stand next to each other and nothing waits.
A compiler orders a loop's body by itself, so that its first loads have nothing to hide behind; here the body is laid
out on a circle: a load goes some instructions ahead of the first use of its register, into the turn before if need be,
and registers are handed out as arcs of that circle. The first turn's early loads come before the loop, and the last
turn has a copy without loads for a next one. Source of the method: Lam, "Software pipelining" (PLDI 1988).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

AHEAD = 9
"""Instructions between a load and its first use where registers allow: a load's latency, and room to dual-issue."""
ENOUGH = 5
FARTHEST = 40


@dataclass(frozen=True)
class Compute:
    """One vector instruction. text: with `{name}` for registers; reads: the loaded operands among them.

    first: what stands for it in a first turn that finds nothing in its accumulator; "" for no instruction at all.
    """

    text: str
    reads: tuple[str, ...] = ()
    first: str | None = None


@dataclass(frozen=True)
class Load:
    """What fills an operand: instructions with `{name}` for registers and `{offset}` for the offset.

    pointer: the register that they load from. step: bytes by which it is moved right behind them; 0 for loads at an
    offset from a pointer that moves once a turn. source: the operand that it is copied from instead of memory. other: a
    second operand that the same instruction loads.
    """

    name: str
    texts: tuple[str, ...]
    pointer: str
    offset: int = 0
    step: int = 0
    source: str | None = None
    other: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The operands that it fills."""
        return (self.name,) if self.other is None else (self.name, self.other)


@dataclass(frozen=True)
class Body:
    """One turn of a loop. turn: bytes by which pointers of loads without a step move each turn."""

    computes: tuple[Compute, ...]
    loads: tuple[Load, ...]
    turn: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """A body with a place for every load: `slots` counts compute instructions, negative ones of the turn before.

    registers: operand to number. late: cycles that uses wait for loads that found no earlier place.
    """

    body: Body
    slots: dict[str, int]
    registers: dict[str, int]
    late: int

    def turn(self, *, last: bool, fresh: bool = False) -> Iterator[str]:
        """Lines of a turn, `{name}` still in them.

        last: without the loads of a turn that does not come. fresh: of a first turn that fills the accumulators.
        """
        at: dict[int, list[tuple[int, Load]]] = {}
        length = len(self.body.computes)
        for load in self.body.loads:
            slot = self.slots[load.name]
            if slot >= 0:
                at.setdefault(slot, []).append((0, load))
            elif not last:
                at.setdefault(slot + length, []).append((1, load))
        for number, compute in enumerate(self.body.computes):
            text = compute.text if compute.first is None or not fresh else compute.first
            if text:
                yield text
            for ahead, load in at.get(number, ()):
                yield from self._lines(load, ahead)

    def ahead(self) -> Iterator[str]:
        """Lines before the first turn."""
        early = [load for load in self.body.loads if self.slots[load.name] < 0]
        for load in sorted(early, key=lambda load: self.slots[load.name]):
            yield from self._lines(load, 0)

    def _lines(self, load: Load, ahead: int) -> Iterator[str]:
        offset = load.offset + ahead * self.body.turn.get(load.pointer, 0)
        for text in load.texts:
            yield text.replace("{offset}", str(offset))
        if load.step:
            yield f"add {{{load.pointer}}}, {{{load.pointer}}}, #{load.step}"


def lay_out(body: Body, registers: int) -> Layout | None:
    """Places and registers for all loads of a body; None where so few registers cannot hold its operands.

    The farther ahead loads go, the more registers they take, so less far is tried as well.
    """
    found = []
    for ahead in (AHEAD, 6, 4, 2):
        layout = _Placing(body, registers).place(ahead)
        if layout is not None:
            found.append(layout)
            if not layout.late:
                break
    return min(found, key=lambda layout: layout.late, default=None)


class _Placing:
    """The circle while loads are placed on it."""

    def __init__(self, body: Body, registers: int):
        self.body, self.length = body, len(body.computes)
        self.taken = [[False] * self.length for _ in range(registers)]
        self.crowd = [0] * self.length
        self.uses: dict[str, list[int]] = {}
        for number, compute in enumerate(body.computes):
            for name in compute.reads:
                self.uses.setdefault(name, []).append(number)
        self.slots: dict[str, int] = {}
        self.registers: dict[str, int] = {}
        self.ends: dict[str, tuple[int, int]] = {}  # first and last slot of pointers that move with their loads
        self.late = 0

    def place(self, ahead: int) -> Layout | None:
        """All loads, copies first: where they stand tells when what they copy has to be there."""
        copies = [load for load in self.body.loads if load.source]
        for load in sorted(copies, key=lambda load: self.uses[load.name][0]):
            if not self._place(load, ahead):
                return None
            slot = self.slots[load.name]
            self.uses.setdefault(load.source, []).extend((slot, slot + 1))  # which may be read last in its slot
        others = [load for load in self.body.loads if not load.source]
        for load in sorted(others, key=self._first):
            if not self._place(load, ahead):
                return None
        return Layout(self.body, self.slots, self.registers, self.late)

    def _first(self, load: Load) -> int:
        return min(min(self.uses[name]) for name in load.names)

    def _place(self, load: Load, ahead: int) -> bool:
        first = self._first(load)
        for crowded in range(4):
            for distance in _distances(ahead, crowded):
                slot = first - distance
                registers = self._free(load, slot, crowded)
                if registers:
                    self._take(load, slot, registers)
                    self.late += max(ENOUGH - distance, 0) + self.crowd[slot % self.length] - len(load.texts)
                    return True
        return False

    def _free(self, load: Load, slot: int, crowded: int) -> list[int]:
        """Registers for a load at a slot; none where it cannot stand there."""
        length = self.length
        if self.crowd[slot % length] > crowded or slot < -length:
            return []
        if load.step and load.pointer in self.ends:
            low, high = self.ends[load.pointer]
            if not high < slot < low + length:
                return []
        chosen: list[int] = []
        for name in load.names:
            last = max(self.uses[name])
            arc = [i % length for i in range(slot, last)]
            free = [
                r for r, taken in enumerate(self.taken) if r not in chosen and not any(taken[i] for i in arc)
            ]  # fmt: skip
            if not free or last - slot > length:
                return []
            chosen.append(_tightest(free, self.taken, slot, length))
        return chosen

    def _take(self, load: Load, slot: int, registers: Sequence[int]) -> None:
        for name, register in zip(load.names, registers, strict=True):
            for i in range(slot, max(self.uses[name])):
                self.taken[register][i % self.length] = True
            self.registers[name] = register
        self.crowd[slot % self.length] += len(load.texts)
        self.slots[load.name] = slot
        if load.step:
            self.ends[load.pointer] = (self.ends.get(load.pointer, (slot,))[0], slot)


def _distances(ahead: int, crowded: int) -> Iterator[int]:
    """How far ahead to look for a place, best first; near places only for loads that share one."""
    nearest = min(ENOUGH, ahead)
    yield from range(ahead, nearest - 1, -1)
    yield from range(ahead + 1, FARTHEST)
    if crowded:
        yield from range(nearest - 1, 0, -1)


def _tightest(free: Sequence[int], taken: Sequence[Sequence[bool]], slot: int, length: int) -> int:
    """The free register that was in use most shortly before, so that long gaps stay whole."""

    def gap(register: int) -> int:
        return next((d for d in range(1, length) if taken[register][(slot - d) % length]), length)

    return min(free, key=gap)
