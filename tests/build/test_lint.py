"""The lint on listings as the assembler's disassembler prints them."""

import pytest

from mmasched.build.disassembly import Code, Instruction, Loop, parse
from mmasched.build.lint import beyond_tier, complaints, hot_loop, is_move, lint

LISTING = """
kernel.o:     file format elf64-littleaarch64

0000000000000000 <main_compute_>:
       0:	mov	x9, #0x20                  	// #32
       4:	ldr	q0, [x0], #16
       8:	cbz	x9, 1c <main_compute_+0x1c>
       c:	smlal	v4.8h, v0.8b, v1.8b
      10:	smlal2	v5.8h, v0.16b, v1.16b
      14:	subs	x9, x9, #0x1
      18:	b.ne	c <main_compute_+0xc>  // b.any
      1c:	str	q4, [sp, #32]
      20:	ldr	q6, [sp, #48]
      24:	mov	v7.16b, v6.16b
      28:	mla	v4.16b, v7.16b, v3.16b
      2c:	cbnz	w3, 1c <main_compute_+0x1c>
      30:	sub	x8, x8, #0x1
      34:	cbnz	x8, 4 <main_compute_+0x4>
      38:	ret
"""
CODE = Code(tuple(parse(LISTING)))


def test_instructions_and_innermost_loops():
    assert len(CODE.instructions) == 15
    assert CODE.instructions[3] == Instruction(0xC, "smlal", "v4.8h, v0.8b, v1.8b")
    assert CODE.instructions[6].branch_target == 0xC and CODE.instructions[2].branch_target == 0x1C
    assert CODE.instructions[-1].branch_target is None
    assert CODE.loops == (Loop(0xC, 0x18), Loop(0x1C, 0x2C))
    moved = CODE.moved(0x400000)
    assert moved.loops == (Loop(0x40000C, 0x400018), Loop(0x40001C, 0x40002C))
    assert [i.mnemonic for i in moved.inside(moved.loops[0])] == ["smlal", "smlal2", "subs", "b.ne"]


def test_the_hot_loop_by_vector_instructions_or_by_counts():
    assert hot_loop(CODE) == Loop(0x1C, 0x2C)
    assert hot_loop(CODE, lambda start, end: 1000 if start == 0xC else 10) == Loop(0xC, 0x18)
    assert hot_loop(Code(())) is None


def test_a_clean_and_a_dirty_loop():
    clean = lint(CODE, Loop(0xC, 0x18), ("smlal",))
    assert clean["instructions"] == 4 and clean["mix"]["smlal2"] == 1
    assert (clean["stack"], clean["moves"], clean["missing"]) == (0, 0, []) and complaints(clean) == []
    dirty = lint(CODE, Loop(0x1C, 0x2C), ("mla", "sdot"))
    assert (dirty["stack"], dirty["moves"], dirty["missing"]) == (2, 1, ["sdot"])
    assert complaints(dirty) == [
        "no sdot in the kernel", "2 stack accesses in the hot loop", "1 register moves in the hot loop",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mnemonic", "operands", "expected"),
    [
        ("mov", "v0.16b, v1.16b", True),
        ("mov", "v0.s[1], v1.s[0]", True),
        ("mov", "v0.s[1], w3", True),
        ("mov", "w3, v0.s[1]", True),
        ("umov", "w3, v0.h[1]", True),
        ("fmov", "w3, s0", True),
        ("fmov", "v0.4s, #1.0", False),
        ("mov", "x3, x4", False),
        ("mov", "w3, #0x10", False),
        ("dup", "v0.16b, w3", False),
        ("ldr", "q0, [x0]", False),
        ("orr", "v0.16b, v1.16b, v2.16b", False),
    ],
)
def test_moves(mnemonic, operands, expected):
    assert is_move(Instruction(0, mnemonic, operands)) is expected


def test_instructions_that_a_chip_lacks():
    def code(*lines):
        return Code(tuple(Instruction(4 * i, *line) for i, line in enumerate(lines)))

    dot = code(("sdot", "v0.4s, v1.16b, v2.4b[0]"), ("mla", "v0.8h, v1.8h, v2.8h"))
    matrix = code(("smmla", "v0.4s, v1.16b, v2.16b"), ("usdot", "v0.4s, v1.16b, v2.16b"))
    scalable = code(("add", "z0.b, p0/m, z0.b, z1.b"), ("ptrue", "p0.b"))
    assert beyond_tier(dot, ["neon"]) == ["sdot"] and beyond_tier(dot, ["neon", "dotprod"]) == []
    assert beyond_tier(matrix, ["neon", "dotprod"]) == ["smmla", "usdot"]
    assert beyond_tier(matrix, ["neon", "dotprod", "i8mm"]) == []
    fields = code(("bfi", "w1, w2, #3, #4"), ("bfxil", "w1, w2, #3, #4"), ("bfdot", "v0.2s, v1.4h, v2.4h"))
    assert beyond_tier(fields, ["neon"]) == ["bfdot"]
    assert beyond_tier(scalable, ["neon", "dotprod", "i8mm"]) == ["add", "ptrue"]
