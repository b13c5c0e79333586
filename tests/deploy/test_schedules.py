"""Which record a convolution gets."""

from __future__ import annotations

from mmasched.deploy.schedules import kin, other_sign
from mmasched.problem import Conv2d


def test_the_twin_differs_in_the_sign_of_activations_alone() -> None:
    key = "conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u+zp/w8s:-127..127/y8u/channel"
    twin = key.replace("x8u", "x8s").replace("y8u", "y8s")
    assert other_sign(key) == twin and other_sign(twin) == key
    problem, other = Conv2d.from_key(key), Conv2d.from_key(twin)
    assert other.input_signed and other.output_signed and not problem.input_signed
    assert (other.weight_shape, other.input_shape) == (problem.weight_shape, problem.input_shape)


def test_kin_share_shape_bits_and_epilogue() -> None:
    key = "conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u/w8s:-127..127/y8u/channel"
    signed = "conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8s+zp/w8s/y8s+zp/tensor"
    assert kin(key) == kin(signed)
    others = [
        key + "/residual-add",
        key.replace("x8u", "x4u"),
        key.replace("/n1/", "/n2/"),
        key.replace("/y8u/channel", "/y32s"),
    ]
    assert all(kin(other) != kin(key) for other in others)
    assert kin(key + "/residual") == kin(signed + "/residual+zp")
