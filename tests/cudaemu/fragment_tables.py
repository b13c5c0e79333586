"""Which element of which operand each lane's register holds, from the PTX ISA manual's formulas for mma fragments.

Written from the manual and from nothing else: g is the manual's groupID (lane / 4), t its threadID_in_group
(lane % 4), i the index of an element in the lane's fragment; elements fill a register from the low bits up.
"""

# Row and column of element i; A's and C's by (m, n, k), B's column is always g.
C8 = (lambda g, t, i: g, lambda g, t, i: t * 2 + i)
C16 = (lambda g, t, i: g if i < 2 else g + 8, lambda g, t, i: t * 2 + (i & 1))

A_FRAGMENTS = {
    (8, 8, 16): (lambda g, t, i: g, lambda g, t, i: t * 4 + i),
    (16, 8, 16): (lambda g, t, i: g if i < 4 else g + 8, lambda g, t, i: t * 4 + (i & 3)),
    (16, 8, 32, 8): (
        lambda g, t, i: g if i < 4 or 8 <= i < 12 else g + 8,
        lambda g, t, i: t * 4 + (i & 3) if i < 8 else t * 4 + (i & 3) + 16,
    ),
    (8, 8, 32): (lambda g, t, i: g, lambda g, t, i: t * 8 + i),
    (16, 8, 32, 4): (lambda g, t, i: g if i < 8 else g + 8, lambda g, t, i: t * 8 + (i & 7)),
    (16, 8, 64): (
        lambda g, t, i: g if i < 8 or 16 <= i < 24 else g + 8,
        lambda g, t, i: t * 8 + (i & 7) if i < 16 else t * 8 + (i & 7) + 32,
    ),
    (8, 8, 128): (lambda g, t, i: g, lambda g, t, i: t * 32 + i),
    (16, 8, 128): (lambda g, t, i: g if i < 32 else g + 8, lambda g, t, i: t * 32 + (i & 31)),
    (16, 8, 256): (
        lambda g, t, i: g if i < 32 or 64 <= i < 96 else g + 8,
        lambda g, t, i: t * 32 + (i & 31) if i < 64 else t * 32 + (i & 31) + 128,
    ),
}
B_FRAGMENTS = {
    (8, 8, 16): lambda g, t, i: t * 4 + i,
    (16, 8, 16): lambda g, t, i: t * 4 + i,
    (16, 8, 32, 8): lambda g, t, i: t * 4 + (i & 3) if i < 4 else t * 4 + (i & 3) + 16,
    (8, 8, 32): lambda g, t, i: t * 8 + i,
    (16, 8, 32, 4): lambda g, t, i: t * 8 + (i & 7),
    (16, 8, 64): lambda g, t, i: t * 8 + (i & 7) if i < 8 else t * 8 + (i & 7) + 32,
    (8, 8, 128): lambda g, t, i: t * 32 + i,
    (16, 8, 128): lambda g, t, i: t * 32 + i,
    (16, 8, 256): lambda g, t, i: t * 32 + (i & 31) if i < 32 else t * 32 + (i & 31) + 128,
}


def key(m, n, k, bits):
    """m16n8k32 exists for two widths."""
    return (m, n, k, bits) if (m, n, k) == (16, 8, 32) else (m, n, k)


def a_words(matrix, n, bits):
    """A's registers, [register][lane], of a matrix [m, k] of unsigned bit patterns."""
    m, k = matrix.shape
    row, column = A_FRAGMENTS[key(m, n, k, bits)]
    return _words(m * k // 32, bits, lambda g, t, i: matrix[row(g, t, i), column(g, t, i)])


def b_words(matrix, m, bits):
    """B's registers of a matrix [k, n]."""
    k, n = matrix.shape
    row = B_FRAGMENTS[key(m, n, k, bits)]
    return _words(k * n // 32, bits, lambda g, t, i: matrix[row(g, t, i), g])


def c_elements(m):
    """(row, column) of each accumulator, [i][lane]."""
    row, column = C16 if m == 16 else C8
    return [
        [(row(lane // 4, lane % 4, i), column(lane // 4, lane % 4, i)) for lane in range(32)] for i in range(m // 4)
    ]


def _words(elements, bits, pick):
    per_word = 32 // bits
    return [
        [
            sum(int(pick(lane // 4, lane % 4, r * per_word + e)) << (e * bits) for e in range(per_word))
            for lane in range(32)
        ]
        for r in range(elements // per_word)
    ]
