"""Changes of order between NHWC and NCHW."""

import numpy as np
import pytest

from mmasched.templates.x86.glue import Flatten


def random(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1, 64, 4, 4), (2, 37, 5, 7), (1, 3, 6, 5), (1, 40, 3, 3), (2, 16, 2, 19)], ids=str)
def test_flatten(machine, setting, shape):
    layout, threads = setting
    x = random(shape)
    image = machine.place(shape, x, **layout)
    flat = machine.flat(size=x.size, dtype="uint8", at_end=layout["at_end"])
    y = machine.run(Flatten(shape, image.plane), {"x": image, "y": flat}, threads)
    np.testing.assert_array_equal(y, x.reshape(-1))
    image = machine.place(shape, **layout)
    flat = machine.flat(x, dtype="uint8", at_end=layout["at_end"])
    y = machine.run(Flatten(shape, image.plane, inverse=True), {"x": flat, "y": image}, threads)
    np.testing.assert_array_equal(y, x)
