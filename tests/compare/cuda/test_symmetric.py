import numpy as np
import pytest

import mmasched
from mmasched.compare.cuda.symmetric import beyond, is_rectified, symmetric
from mmasched.problem import Conv2d, Requantize, random_operands, reference


def test_the_shapes_of_a_network_stay() -> None:
    for problem, _ in mmasched.network("resnet50", batch=2).layers:
        made = symmetric(problem)
        assert (made.input_shape, made.weight_shape, made.output_shape) == (
            problem.input_shape, problem.weight_shape, problem.output_shape)  # fmt: skip
        assert made.macs == problem.macs and made.residual == problem.residual
        assert made.input_signed and made.output_signed and not made.input_zero_point
        assert beyond(made) is None and symmetric(made) == made
        assert is_rectified(made) == (problem.residual or problem.requantize.zero_point == 0)  # u8 outputs


def test_values() -> None:
    problem = Conv2d(1, 4, 4, 8, 8, 3, padding=1, input_zero_point=9, requantize=Requantize([0.01] * 8))
    made = symmetric(problem)
    operands = random_operands(made, 1)
    output = reference(made, **operands)
    assert output.dtype == np.int8 and output.min() == 0 and operands["x"].min() < 0


def test_fp8_stays() -> None:
    problem = Conv2d(1, 4, 4, 8, 8, 1, operand_type="fp8_e4m3", output_bits=32)
    assert symmetric(problem) is problem and "fp8" in beyond(problem)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight_bits": 4}, "8 and 4 bits"),
        ({"output_bits": 4}, "output has 4 bits"),
        ({"output_bits": 32, "requantize": None}, "raw accumulators"),
        ({"groups": 2}, "groups"),
        ({"requantize": Requantize(np.full((8, 2), 0.01))}, "per block"),
        ({"requantize": Requantize(0.01, clamp=(-3, 100))}, r"clamps to \(-3, 100\)"),
        ({"requantize": Requantize(0.01, zero_point=3)}, "zero points"),
        ({"input_signed": False}, "unsigned"),
    ],
)
def test_what_libraries_lack(changes, reason) -> None:
    fields = {"input_signed": True, "output_signed": True, "requantize": Requantize(0.01), **changes}
    with pytest.raises(AssertionError, match=reason):
        assert beyond(Conv2d(1, 4, 4, 8, 8, 1, **fields)) is None, beyond(Conv2d(1, 4, 4, 8, 8, 1, **fields))
    four = Conv2d(1, 4, 4, 8, 8, 1, input_signed=True, output_signed=True, requantize=Requantize(0.01), input_bits=4,
                  weight_bits=4, output_bits=4)  # fmt: skip
    assert beyond(four, (4, 8)) is None and "library 8" in beyond(four)
