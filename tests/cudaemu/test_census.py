"""Every PTX form that TVM can emit in the families the kernels use is either emulated or refused by name."""

from mmasched.cudaemu import UnknownInstruction
from mmasched.cudaemu.asm_statement import asm_statements
from mmasched.cudaemu.instructions import rule_for
from mmasched.cudaemu.lowering import lower

FAMILIES = ("mma", "ldmatrix", "stmatrix", "cp", "wgmma", "mbarrier", "bar", "barrier", "fence", "setmaxnreg", "elect")
# Entries of TVM's table all of whose forms have to be emulated.
WHOLE = {
    *("mma_int", "ldmatrix", "stmatrix", "cp_async_ca", "cp_async_ca_src_size", "cp_async_ca_ignore_src"),
    *("cp_async_cg", "cp_async_cg_src_size", "cp_async_cg_ignore_src", "cp_async_commit_group", "cp_async_wait_all"),
    *("cp_async_wait_group", "cp_async_bulk_commit_group", "cp_async_bulk_wait_group", "cp_async_bulk_prefetch"),
    *("cp_async_bulk_tensor_prefetch", "bar_sync", "bar_sync_count", "bar_arrive", "bar_red_popc", "bar_red_pred"),
    *("bar_red_popc_count", "bar_red_pred_count", "barrier_sync", "barrier_sync_count", "barrier_arrive"),
    *("bar_warp_sync", "barrier_cluster_arrive", "barrier_cluster_wait", "elect_sync", "fence", "fence_mbarrier_init"),
    *("mbarrier_arrive", "mbarrier_arrive_nocount", "mbarrier_arrive_drop", "mbarrier_arrive_expect_tx"),
    *("mbarrier_expect_tx", "mbarrier_complete_tx", "mbarrier_inval", "mbarrier_arrive_state", "mbarrier_test_wait"),
    *("mbarrier_try_wait", "mbarrier_try_wait_hint", "wgmma_fp8_ss", "wgmma_fp8_rs", "wgmma_int_ss", "wgmma_int_rs"),
    *("wgmma_b1_ss", "wgmma_b1_rs", "wgmma_fence", "wgmma_commit_group", "wgmma_wait_group", "setmaxnreg"),
}
# Of these entries the forms with one of the words are refused: clusters of several blocks, limits that no kernel here
# has, other shapes of tiles, other phases and layouts of mbarriers, 16-bit floats.
PARTLY = {
    "cp_async_bulk_g2s_cta": ("ignore_oob", "relaxed"),
    "cp_async_bulk_g2s_cluster": ("multicast", "ignore_oob", "relaxed"),
    "cp_async_bulk_s2g": ("cp_mask", "relaxed"),
    "cp_async_bulk_tensor_g2s_cta": ("cta_group", "gather4"),
    "cp_async_bulk_tensor_g2s_cluster": ("multicast", "cta_group", "gather4"),
    "cp_async_bulk_tensor_s2g": ("scatter4",),
    "mbarrier_init": ("layout::v1",),
    "mbarrier_try_wait_parity": ("phase_type::conditional",),
    "mbarrier_try_wait_parity_no_hint": ("phase_type::conditional",),
    "mbarrier_test_wait_parity": ("phase_type::conditional",),
    "fence_proxy": ("fence.proxy.alias",),
    "mma": ("f16", "tf32", "m16n8k16.row.col.f32.e"),
}
MOST = 100  # forms of one entry


def forms(table, render, name):
    """(opcode, text of the helper) of an entry's forms, evenly chosen where there are very many."""
    entry = table.TABLE[name]
    every = table.variants(entry)
    for tokens in every[:: max(1, len(every) // MOST)]:
        opcode, _, text = render(entry, tokens, False, None, table.imm_combos(entry)[0], frozenset())
        yield opcode, text


def test_what_tvm_can_emit_is_emulated_or_refused():
    from tvm.backend.cuda.ptx import table
    from tvm.backend.cuda.ptx.render import render_variant

    rule = rule_for("sm_90a")
    refused: dict[str, list[str]] = {}
    emulated: dict[str, int] = {}
    for name, entry in table.TABLE.items():
        if (getattr(entry, "mnemonic", None) or name).partition(".")[0] not in FAMILIES:
            continue
        for opcode, text in forms(table, render_variant, name):
            try:
                for serial, statement in enumerate(asm_statements(text)):
                    lower(statement, rule, serial)
                emulated[name] = emulated.get(name, 0) + 1
            except UnknownInstruction:
                refused.setdefault(name, []).append(opcode)
    assert {name for name in WHOLE | set(PARTLY) if name not in table.TABLE} == set(), "TVM has renamed them"
    assert {name: refused[name] for name in WHOLE if name in refused} == {}
    assert all(emulated.get(name) for name in WHOLE | set(PARTLY))
    for name, words in PARTLY.items():
        strange = [opcode for opcode in refused[name] if not any(word in opcode for word in words)]
        assert strange == [], name
