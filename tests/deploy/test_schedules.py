"""Which record a convolution gets."""

from __future__ import annotations

from mmasched.deploy.schedules import kin


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
