"""Reading machine code: listings in nvdisasm's form, with loops whose extent is known."""

from __future__ import annotations

from mmasched.build.cuda.report import instruction_report
from mmasched.build.cuda.sass import Instruction, families, hot_loop, opcodes, parse

LISTING = """
\t.section\t.text.main_kernel,"ax",@progbits
main_kernel:
.text.main_kernel:
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
        /*0010*/              @!P0 LDGSTS.E.BYPASS.128 [R11+0x200], [R8.64] ;
.L_x_0:
        /*0020*/                   LDGSTS.E.BYPASS.128 [R11], [R6.64] ;
.L_x_1:
        /*0030*/                   LDSM.16.M88.4 R8, [R2] ;
        /*0040*/                   IMMA.16832.S8.S8 R8, R12.ROW, R16.COL, R8 ;
        /*0050*/                   IMMA.16832.S8.S8.SAT R8, R12.ROW, R16.COL, R8 ;
        /*0060*/                   @!UPT UIADD3 URZ, URZ, URZ, URZ ;
        /*0070*/               @P1 BRA `(.L_x_1) ;
        /*0080*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0090*/              @!P2 BRA `(.L_x_0) ;
.L_x_2:
        /*00a0*/                   STG.E [R6.64], R8 ;
        /*00b0*/              @UP3 BRA `(.L_x_2) ;
        /*00c0*/                   EXIT ;
.L_x_3:
        /*00d0*/                   BRA `(.L_x_3);
        /*00e0*/                   NOP;
\t.section\t.text.main_kernel_1,"ax",@progbits
.text.main_kernel_1:
        /*0000*/                   LDL.64 R2, [R1] ;
.L_x_0:
        /*0010*/                   EXIT ;
"""


def test_kernels_instructions_and_targets():
    kernels = parse(LISTING)
    assert list(kernels) == ["main_kernel", "main_kernel_1"]
    assert len(kernels["main_kernel"]) == 15
    assert kernels["main_kernel"][1] == Instruction(0x10, "LDGSTS.E.BYPASS.128")
    assert [one.target for one in kernels["main_kernel"] if one.family == "BRA"] == [0x30, 0x20, 0xA0, 0xD0]
    assert [one.opcode for one in kernels["main_kernel_1"]] == ["LDL.64", "EXIT"]


def test_the_hot_loop_is_the_innermost_one_with_matrix_instructions():
    loop = hot_loop(parse(LISTING)["main_kernel"])
    assert [one.address for one in loop] == [0x30, 0x40, 0x50, 0x60, 0x70]


def test_of_two_inner_loops_the_one_with_more_matrix_instructions_counts():
    code = [Instruction(16 * place, "IMMA.16832.S8.S8") for place in range(6)]
    code[1] = Instruction(0x10, "BRA", 0x00)
    code[5] = Instruction(0x50, "BRA", 0x20)
    assert hot_loop(code)[0].address == 0x20


def test_no_loop_with_matrix_instructions():
    assert hot_loop(parse(LISTING)["main_kernel_1"]) == ()
    assert "hot_loop" not in instruction_report({"k": (Instruction(0, "IMMA.16832.S8.S8"),)})


def test_counts():
    code = parse(LISTING)["main_kernel"]
    assert families(code) == {"BAR": 1, "BRA": 4, "IMAD": 1, "IMMA": 2, "LDGSTS": 2, "LDSM": 1, "STG": 1}
    assert opcodes(code)["IMMA.16832.S8.S8.SAT"] == 1
    report = instruction_report(parse(LISTING))
    assert report["hot_loop"] == {"instructions": 5, "BRA": 1, "IMMA": 2, "LDSM": 1}
    assert report["mma"] == {"IMMA.16832.S8.S8": 1, "IMMA.16832.S8.S8.SAT": 1}
    assert report["sass"]["LDL"] == 1
