"""Packed activations on their way to a board and back; the board itself is a stand-in."""

from types import SimpleNamespace

import numpy as np
import tvm

from mmasched.hardware import hardware
from mmasched.measure.remote.candidate import RemoteCandidate
from mmasched.problem import Conv2d, Requantize, pack_bits, random_operands, reference
from mmasched.templates import default_config, generate


class Device:
    """A loaded module whose entry takes note of its input and writes the packed reference."""

    def __init__(self, expected: np.ndarray):
        self.expected, self.given = expected, None

    def __getitem__(self, name: str):
        return self.run

    def run(self, x, w, c, r, y, ws) -> None:
        self.given = x.numpy(), r.numpy()
        y.copyfrom(self.expected)


def test_operands_and_outputs_travel_packed() -> None:
    problem = Conv2d(1, 4, 5, 13, 11, 1, input_bits=2, weight_bits=2, output_bits=4, output_signed=True,
                     requantize=Requantize(0.05, residual_scale=0.5), residual=True, activations="packed")  # fmt: skip
    chip = hardware("arm/cortex-a72")
    case = random_operands(problem, 3)
    expected = reference(problem, **case)
    device = Device(pack_bits(expected, 4).view(np.uint8).reshape(-1))
    program = generate(problem, default_config(problem, chip), chip)
    candidate = RemoteCandidate(problem, program, SimpleNamespace(cpu=tvm.cpu), device, 1)
    candidate.load_operands(**case)
    np.testing.assert_array_equal(candidate.run(), expected)
    for given, (name, bits) in zip(device.given, (("x", 2), ("residual", 4)), strict=True):
        np.testing.assert_array_equal(given, pack_bits(case[name], bits).view(np.uint8).reshape(-1))
