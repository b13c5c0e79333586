"""Interleaved loops: what stands in a register is what an instruction means to read, and places are found."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmasched.templates.arm.bitserial import SCHEME as BITS
from mmasched.templates.arm.inline import arrange, inline_loop
from mmasched.templates.arm.loop_bodies import ElementShape, LoopShape
from mmasched.templates.arm.registry import SCHEMES

ALL = {**SCHEMES, "bitserial": BITS}


@st.composite
def shapes(draw) -> LoopShape | ElementShape:
    if draw(st.booleans()):
        rows, vectors, bits = draw(st.integers(1, 10)), draw(st.integers(1, 8)), draw(st.sampled_from([16, 32]))
        if rows * (vectors + 1) + -(-vectors * 16 // bits) > 32:
            rows = vectors = 1
        return ElementShape(rows, vectors, bits, 32)
    scheme = ALL[draw(st.sampled_from(list(ALL)))]
    unroll = draw(st.sampled_from([1, 2, 4, 8]))
    lanes = unroll * scheme.group == 16 and scheme.pixels_per_row == 1 and draw(st.booleans())
    at_once = draw(st.integers(0, unroll)) if scheme.drain_assembly else 0
    rows, vectors = draw(st.integers(1, 8)), draw(st.sampled_from([1, 2, 3, 4, 6, 8]))
    shape = LoopShape(scheme, rows, vectors, unroll, lanes, at_once, 32)
    return shape if shape.fits else LoopShape(scheme, 2, 2, unroll, lanes, at_once, 32)


def test_small_tiles_that_fit_have_a_layout() -> None:
    tiles = [(1, 1), (1, 2), (2, 1), (1, 3), (3, 1)]
    fitting = 0
    for scheme in ALL.values():
        for (rows, vectors), unroll in itertools.product(tiles, [1, 2, 4, 8]):
            by_lane = unroll * scheme.group == 16 and scheme.pixels_per_row == 1
            for lanes in {False, by_lane}:
                shape = LoopShape(scheme, rows, vectors, unroll, lanes, 0, 32)
                fitting += shape.fits
                assert not shape.fits or arrange(shape) is not None, shape
    assert fitting > 60


@given(shapes())
@settings(max_examples=60, deadline=None)
def test_registers_hold_what_is_read(shape) -> None:
    """Steps through two turns and the last: every operand is there, loaded for this very turn, from its own address."""
    layout, _ = arrange(shape)
    body, length = layout.body, len(layout.body.computes)
    loads = {load.name: load for load in body.loads}
    assert set(layout.registers.values()) <= set(range(shape.registers - shape.accumulators))
    events = [(slot + turn * length, 1, name, turn) for name, slot in layout.slots.items() for turn in range(3)]
    events += [(turn * length + i, 0, i, turn) for turn in range(3) for i in range(length)]
    held: dict[int, tuple[str, int]] = {}
    order = {load.name: number for number, load in enumerate(body.loads)}
    for _, kind, what, turn in sorted(events, key=lambda event: (*event[:2], order.get(event[2], 0))):
        if kind:
            source = loads[what].source
            assert source is None or held[layout.registers[source]] == (source, turn)
            for name in loads[what].names:
                held[layout.registers[name]] = (name, turn)
        else:
            for name in body.computes[what].reads:
                assert held[layout.registers[name]] == (name, turn)


@given(shapes(), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_lines_say_the_same(shape, turns: int) -> None:
    """Every load of every turn stands once in the code, moving pointers included, and nothing is loaded beyond."""
    layout, _ = arrange(shape)
    lines = [*layout.ahead(), *(line for turn in range(turns) for line in layout.turn(last=turn == turns - 1))]
    for load in layout.body.loads:
        first = load.texts[0].replace("{offset}", "")
        stem = first.split("#")[0]
        assert sum(line.startswith(stem) for line in lines) >= turns
        if load.step:
            moved = sum(line == f"add {{{load.pointer}}}, {{{load.pointer}}}, #{load.step}" for line in lines)
            same = sum(other.pointer == load.pointer and bool(other.step) for other in layout.body.loads)
            assert moved == same * turns
    computed = sum(line in {compute.text for compute in layout.body.computes} for line in lines)
    assert computed == turns * len(layout.body.computes)


@given(shapes())
@settings(max_examples=30, deadline=None)
def test_a_fresh_turn_writes_accumulators_before_it_reads_them(shape) -> None:
    """Without narrow sums that end within a turn, the first turn of a fresh loop needs nothing in its accumulators."""
    layout, _ = arrange(shape)
    written: set[str] = set()
    for line in layout.turn(last=True, fresh=True):
        name, *operands = re.split(r"[ ,]+", line)
        target = re.match(r"\{(c\d+)\}", operands[0])
        if target is None:
            continue
        adds = name.startswith(("mla", "smlal", "sdot", "smmla", "sadalp")) or operands[0] in operands[1:]
        if adds and target[1] not in written:
            # Sums of 32 bits start at the bias, so those loops are never fresh.
            assert name in ("sdot", "smmla", "sadalp")
        written.add(target[1])
    assert written == {f"c{k}" for k in range(shape.accumulators)}


@pytest.mark.parametrize("name, rows, vectors, unroll, lanes, at_once", [
    ("neon_smlal", 4, 4, 8, True, 0), ("neon_smlal", 3, 8, 4, False, 0), ("neon_smlal", 2, 8, 8, False, 2),
    ("neon_mla", 4, 4, 4, True, 0), ("neon_sdot", 8, 2, 4, True, 0), ("neon_smmla", 4, 2, 2, False, 0),
    ("bitserial", 4, 4, 4, True, 0),
])  # fmt: skip
def test_usual_tiles_wait_for_nothing_much(name, rows, vectors, unroll, lanes, at_once) -> None:
    """Loads lie far enough ahead of nearly all of their uses."""
    shape = LoopShape(ALL[name], rows, vectors, unroll, lanes, at_once, 32)
    assert shape.fits
    layout, _ = arrange(shape)
    assert layout.late <= len(layout.body.computes) / 4


def test_code_names_its_operands() -> None:
    loop = inline_loop(ElementShape(2, 2, 16, 32), 3)
    assert re.fullmatch(r"mmasched_loop_[0-9a-f]{16}", loop.name)
    assert loop.name in loop.code
    assert not re.search(r"\{[a-z]\d", loop.code)
    assert loop.code.count("mla") == 2 * 4 * 8  # the turn and its copy without loads
    fresh = inline_loop(ElementShape(2, 2, 16, 32), 3, fresh=True).code
    assert fresh.count("mla") == 3 * 4 * 8 - 4 and fresh.count("mul ") == 4
    assert "load <16 x i8>" not in fresh and "load <16 x i8>" in loop.code
