"""Faults: a change of a kernel's text or launch and the kind of error that has to come of it.

"WrongValues" means that every rule is kept, as it would be on the chip, and the result differs from the reference.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mutation:
    """Replaces `old` (which has to occur; every occurrence) by `new`, or changes fields of the launch."""

    name: str
    expected: str
    old: str = ""
    new: str = ""
    launch: dict = field(default_factory=dict)


SWIZZLE = "((chunk ^ ((row >> 1) & 3)) * 16)"
WAIT = "    tvm_builtin_ptx_wait_group_1();\n    __syncthreads();\n"

GEMM = (
    Mutation("no wait for copies", "Race", WAIT, "    __syncthreads();\n"),
    Mutation("no barrier after the wait", "Race", WAIT, "    tvm_builtin_ptx_wait_group_1();\n"),
    Mutation("barrier before the wait", "Race", WAIT, "    __syncthreads();\n    tvm_builtin_ptx_wait_group_1();\n"),
    Mutation("waits for one group too few", "Race", "cp.async.wait_group 1;", "cp.async.wait_group 2;"),
    Mutation("no commit in the main loop", "Race", "    tvm_builtin_ptx_commit();\n    int stage", "    int stage"),
    Mutation("no commit in the prologue", "Race", "    }\n    tvm_builtin_ptx_commit();\n  }", "    }\n  }"),
    Mutation("a warp-wide barrier for a block-wide one", "Uninitialised", "__syncthreads();", "__syncwarp();"),
    Mutation("barrier in part of the warps", "Race", "__syncthreads();", "if (tx < 96) __syncthreads();"),
    Mutation("barrier for a warp too many", "Deadlock", "__syncthreads();", 'asm volatile("bar.sync 0, 160;");'),
    Mutation("barrier for a warp too few", "Uninitialised", "__syncthreads();", 'asm volatile("bar.sync 0, 96;");'),
    Mutation("barrier for half a warp", "BadOperand", "__syncthreads();", 'asm volatile("bar.sync 0, 80;");'),
    Mutation("barrier in part of a warp", "Divergence", "__syncthreads();", "if (tx != 5) __syncthreads();"),
    Mutation("one stage too few", "Race", "#define STAGES 3", "#define STAGES 2"),
    Mutation(
        "stage of the copies off by one", "Race", "((k + STAGES - 1) % STAGES) * 8192", "((k + STAGES) % STAGES) * 8192"
    ),
    Mutation("stage of the loads off by one", "Race", "(k % STAGES) * 8192", "((k + 1) % STAGES) * 8192"),
    Mutation(
        "no swizzle when A is read",
        "WrongValues",
        f"[stage + (row * 64) + {SWIZZLE}]",
        "[stage + (row * 64) + (chunk * 16)]",
    ),
    Mutation(
        "swizzle by another bit when A is read",
        "WrongValues",
        f"[stage + (row * 64) + {SWIZZLE}]",
        "[stage + (row * 64) + ((chunk ^ (row & 3)) * 16)]",
    ),
    Mutation(
        "swizzle leaves the row",
        "Misaligned",
        f"[stage + (row * 64) + {SWIZZLE}]",
        "[stage + (row * 64) + ((chunk ^ ((row >> 1) & 3)) * 24)]",
    ),
    Mutation(
        "fragments of A in another order",
        "WrongValues",
        "int chunk = (s * 2) + (lane >> 4);",
        "int chunk = (s * 2) + ((lane >> 3) & 1);",
    ),
    Mutation(
        "fragments of B in another order",
        "WrongValues",
        "a_ptr[i * 4 + 3], b_ptr[j * 2], b_ptr[j * 2 + 1],",
        "a_ptr[i * 4 + 3], b_ptr[j * 2 + 1], b_ptr[j * 2],",
    ),
    Mutation(
        "registers of A swapped",
        "WrongValues",
        "a_ptr[i * 4 + 1], a_ptr[i * 4 + 2], a_ptr[i * 4 + 3], b_ptr",
        "a_ptr[i * 4 + 2], a_ptr[i * 4 + 1], a_ptr[i * 4 + 3], b_ptr",
    ),
    Mutation("unsigned for signed", "WrongValues", "s32.s8.s8.s32", "s32.u8.s8.s32"),
    Mutation(
        "accumulators of C not carried on",
        "WrongValues",
        "acc_ptr[c], acc_ptr[c + 1], acc_ptr[c + 2], acc_ptr[c + 3]);",
        "0u, 0u, 0u, 0u);",
    ),
    Mutation("transposed ldmatrix", "WrongValues", "m8n8.x4.shared", "m8n8.x4.trans.shared"),
    Mutation("one row beyond M is read", "OutOfBounds", "(block_m + row) < M_SIZE", "(block_m + row) < M_SIZE + 1"),
    Mutation("one row beyond M is stored", "OutOfBounds", "if (row < M_SIZE)", "if (row < M_SIZE + 1)"),
    Mutation(
        "input read one element further",
        "Misaligned",
        "(k * 16) + (chunk * 4)])), (((block_m",
        "(k * 16) + (chunk * 4) + 1])), (((block_m",
    ),
    Mutation(
        "weights read one slice further",
        "OutOfBounds",
        "((k + STAGES - 1) * 16) + (chunk * 4)])));",
        "((k + STAGES) * 16) + (chunk * 4)])));",
    ),
    Mutation("zero fill of 12 bytes", "WrongValues", "(uint)16 : (uint)0", "(uint)12 : (uint)0"),
    Mutation("source larger than the copy", "BadOperand", "(uint)16 : (uint)0", "(uint)20 : (uint)0"),
    Mutation("shared memory too small by 16 bytes", "OutOfBounds", launch={"shared_bytes": 3 * 8192 - 16}),
    Mutation("a block too few", "WrongValues", launch={"grid": 3}),
    Mutation("more threads than the launch bound", "LaunchFailure", launch={"block": 160}),
    Mutation("fewer warps than the tile needs", "Uninitialised", launch={"block": 96}),
    Mutation("blocks write the same tile", "Race", "(((int)blockIdx.x) % 2) * 64", "0"),
    Mutation(
        "output stored at an odd word",
        "Misaligned",
        "(lane & 3) * 2);\n        if (row",
        "(lane & 3) * 2) + 1;\n        if (row",
    ),
    Mutation(
        "one lane leaves early",
        "Divergence",
        "  for (int i = 0; i < 32; ++i) {",
        "  if (tx == 77) return;\n  for (int i = 0; i < 32; ++i) {",
    ),
    Mutation("an instruction nobody knows", "UnknownInstruction", "cp.async.commit_group;", "cp.async.commit_groups;"),
    Mutation("a cache level that copies 16 bytes only", "UnknownInstruction", "[%0], [%1], 16;", "[%0], [%1], 8;"),
    Mutation("a loop that does not end", "Hang", "i < 32; ++i) {", "i < 32; i += 0) {"),
)

CONV = (
    Mutation("a block too many", "OutOfBounds", launch={"grid": 3}),
    Mutation(
        "no barrier after the loads", "Race", "  __syncthreads();\n  for (int i = 0; i < 4", "  for (int i = 0; i < 4"
    ),
    Mutation(
        "no barrier before the tile is reused",
        "Race",
        "  __syncthreads();\n  for (int i = 0; i < 4; ++i) {\n    float",
        "  for (int i = 0; i < 4; ++i) {\n    float",
    ),
    Mutation("no __syncwarp before the wide store", "Race", "  __syncwarp();\n", ""),
    Mutation("halo not loaded at the bottom", "Uninitialised", "if (tx < 60)", "if (tx < 50)"),
    Mutation("halo one column to the right", "WrongValues", "int column = (tx % 10) - 1;", "int column = (tx % 10);"),
    Mutation("halo not padded on the right", "OutOfBounds", "(column < 8)", "(column < 9)"),
    Mutation("halo not padded at the top", "OutOfBounds", "((0 <= row) && (row < 8))", "(row < 8)"),
    Mutation("pitch of the halo tile", "WrongValues", "(tap / 3)) * 10)", "(tap / 3)) * 8)"),
    Mutation(
        "taps transposed",
        "WrongValues",
        "(tap / 3)) * 10) + ((lane & 7) + (tap % 3))",
        "(tap % 3)) * 10) + ((lane & 7) + (tap / 3))",
    ),
    Mutation("weights beyond the last tap", "OutOfBounds", "+ tx) < 72", "+ tx) < 73"),
    Mutation("last weight not loaded", "Uninitialised", "+ tx) < 72", "+ tx) < 71"),
    Mutation("one tap too many", "OutOfBounds", "tap < 9", "tap < 10"),
    Mutation("ldmatrix at an odd address", "Misaligned", "((lane & 7) * 16)", "((lane & 7) * 16) + 8"),
    Mutation("truncation for rounding", "WrongValues", "__float2int_rn", "__float2int_rz"),
    Mutation("no clamp", "WrongValues", "max(min(value, 127), -128)", "value"),
    Mutation(
        "scales of the neighbouring channel",
        "WrongValues",
        "c_ptr[((lane & 3) * 2) + (i & 1)]",
        "c_ptr[((lane & 3) * 2) + 1 - (i & 1)]",
    ),
    Mutation("output written one vector further", "OutOfBounds", "(lane * 4)))) =", "(lane * 4)) + 4)) ="),
    Mutation(
        "an instruction that the chip lacks",
        "UnavailableInstruction",
        "mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%4, %5};",
        "cp.async.commit_group;",
    ),
)

LOAD_A = "tvm_builtin_ptx_tensor_load(base + (stage * 16384), (&(x_map)), k * 128, block_m, full + (stage * 8));"
STORE = (
    "tvm_builtin_ptx_bulk_commit();\n        tvm_builtin_ptx_bulk_wait_read();\n",
    "tvm_builtin_ptx_bulk_commit();\n",
)
WGMMA_WAIT = "      tvm_builtin_ptx_wgmma_wait_0();\n"
RELEASE = "      if (lane == 0) {\n        tvm_builtin_ptx_arrive(empty + (stage * 8));\n      }\n"
HOPPER = (
    Mutation("no fence after mbarrier.init", "MissingFence", "    tvm_builtin_ptx_fence_mbarrier_init();\n", ""),
    Mutation("no barrier after mbarrier.init", "Race", "  __syncthreads();\n  if (tx < 128)", "  if (tx < 128)"),
    Mutation("fewer bytes expected", "Race", "(stage * 8), 16384u)", "(stage * 8), 8192u)"),
    Mutation("more bytes expected", "Deadlock", "(stage * 8), 16384u)", "(stage * 8), 16400u)"),
    Mutation(
        "no bytes expected",
        "Race",
        "mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;",
        "mbarrier.arrive.shared.b64 _, [%0];",
    ),
    Mutation(
        "consumer waits with the other parity",
        "Uninitialised",
        "(uint)((k / STAGES) & 1));",
        "(uint)(((k / STAGES) & 1) ^ 1));",
    ),
    Mutation(
        "producer waits with the other parity",
        "Deadlock",
        "(uint)(((k / STAGES) & 1) ^ 1));",
        "(uint)((k / STAGES) & 1));",
    ),
    Mutation(
        "consumer does not wait",
        "Uninitialised",
        "      tvm_builtin_ptx_wait(full + (stage * 8), (uint)((k / STAGES) & 1));\n",
        "",
    ),
    Mutation(
        "producer does not wait",
        "BarrierMisuse",
        "          tvm_builtin_ptx_wait(empty + (stage * 8), (uint)(((k / STAGES) & 1) ^ 1));\n",
        "",
    ),
    Mutation("waits try once", "Uninitialised", "@P1 bra DONE;\\nbra LAB_WAIT;\\nDONE:", "DONE:"),
    Mutation("one arrival too few is waited for", "Race", "empty + (s * 8), 4u)", "empty + (s * 8), 3u)"),
    Mutation("one arrival too many is waited for", "Deadlock", "empty + (s * 8), 4u)", "empty + (s * 8), 5u)"),
    Mutation(
        "every lane arrives",
        "Deadlock",
        "      if (lane == 0) {\n        tvm_builtin_ptx_arrive(",
        "      {\n        tvm_builtin_ptx_arrive(",
    ),
    Mutation(
        "arrival before the wait for wgmma",
        "Race",
        WGMMA_WAIT + RELEASE,
        RELEASE + WGMMA_WAIT,
    ),
    Mutation("no arrival", "Deadlock", "        tvm_builtin_ptx_arrive(empty + (stage * 8));\n", ""),
    Mutation("no wgmma.fence", "MissingFence", "      tvm_builtin_ptx_wgmma_fence();\n", ""),
    Mutation("wgmma is not waited for", "BarrierMisuse", "      tvm_builtin_ptx_wgmma_wait_0();\n", ""),
    Mutation("wgmma is not committed", "BarrierMisuse", "      tvm_builtin_ptx_wgmma_commit();\n", ""),
    Mutation(
        "wgmma is waited for one group too late", "Race", "wait_group.sync.aligned 0;", "wait_group.sync.aligned 1;"
    ),
    Mutation(
        "a warp has a descriptor of its own",
        "Divergence",
        "b_desc + (s * 2),",
        "b_desc + (warp == 2 ? 0 : s * 2),",
    ),
    Mutation(
        "a warp waits twice", "Divergence", WGMMA_WAIT, WGMMA_WAIT + WGMMA_WAIT.replace("tvm", "if (warp == 1) tvm")
    ),
    Mutation(
        "bytes cleared before they are loaded, without a fence",
        "MissingFence",
        "  __syncthreads();\n  if (tx < 128)",
        "  ((uint*)(smem_ptr + (base - tvm_builtin_cuda_cvta_generic_to_shared(smem_ptr))))[tx] = 0u;\n"
        "  __syncthreads();\n  if (tx < 128)",
    ),
    Mutation("accumulators start with garbage", "WrongValues", "(uint)((k + s) > 0)", "1u"),
    Mutation("accumulators start again in each slice", "WrongValues", "(uint)((k + s) > 0)", "(uint)(s > 0)"),
    Mutation(
        "swizzle of the descriptor",
        "WrongValues",
        "uint64_t a_desc = (((uint64_t)1 << 62)",
        "uint64_t a_desc = (((uint64_t)2 << 62)",
    ),
    Mutation(
        "stride of the descriptor",
        "WrongValues",
        "uint64_t b_desc = (((uint64_t)1 << 62) | ((uint64_t)64 << 32)",
        "uint64_t b_desc = (((uint64_t)1 << 62) | ((uint64_t)32 << 32)",
    ),
    Mutation("step of the descriptor along k", "WrongValues", "a_desc + (s * 2), b_desc", "a_desc + s, b_desc"),
    Mutation("tiles not aligned to the swizzle", "Misaligned", "  base = (base + 1023u) & ~1023u;\n", ""),
    Mutation(
        "box and swizzle apart",
        "Misaligned",
        "  base = (base + 1023u) & ~1023u;\n",
        "  base = (base + 127u) & ~127u;\n",
    ),
    Mutation("coordinates exchanged", "WrongValues", LOAD_A, LOAD_A.replace("k * 128, block_m", "block_m, k * 128")),
    Mutation(
        "a tile is loaded into the other one's place",
        "Race",
        "(stage * 16384) + 8192, (&(w_map))",
        "(stage * 16384), (&(w_map))",
    ),
    Mutation(
        "a tile reaches into the next stage",
        "Race",
        "(stage * 16384) + 8192, (&(w_map))",
        "(stage * 16384) + 12288, (&(w_map))",
    ),
    Mutation("a tensor map of another rank", "UnknownInstruction", "tensor.2d.shared", "tensor.3d.shared"),
    Mutation("no fence before the store", "MissingFence", "    tvm_builtin_ptx_fence_proxy_async();\n", ""),
    Mutation(
        "fence for global memory alone", "MissingFence", "fence.proxy.async.shared::cta;", "fence.proxy.async.global;"
    ),
    Mutation("no barrier before the store", "Race", "    tvm_builtin_ptx_bar_sync(1u, 128u);\n", ""),
    Mutation("the named barrier counts the producers too", "Deadlock", "bar_sync(1u, 128u)", "bar_sync(1u, 256u)"),
    Mutation("the store is not waited for", "BarrierMisuse", *STORE),
    Mutation("the store is not committed", "BarrierMisuse", "        tvm_builtin_ptx_bulk_commit();\n", ""),
    Mutation("blocks store the same tile", "Race", "block_n, block_m, out", "0, block_m, out"),
    Mutation("shared memory too small", "OutOfBounds", launch={"shared_bytes": 1024 + 2 * 16384 + 16384 - 64}),
    Mutation("registers in another unit", "UnknownInstruction", "aligned.u32 40;", "aligned.u32 41;"),
)
