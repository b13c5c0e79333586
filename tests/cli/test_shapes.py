"""Problems as people type them."""

import pytest

from mmasched.cli.shapes import problem_of
from mmasched.network import network
from mmasched.problem import Conv2d

PLAIN = "conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u/w8s:-127..127/y8u/channel"


@pytest.mark.parametrize(
    "text, key",
    [
        ("h56w56/i64o64/k3/p1", PLAIN),
        ("k3/p1/i64o64/h56", PLAIN),
        ("h56w40/i64o32/k1x3/s2", "conv2d/n1/h56w40/i64o32/k1x3/s2x2/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel"),
        ("n4/h9/i8o8/k3/d2/g8", "conv2d/n4/h9w9/i8o8/k3x3/s1x1/p0.0.0.0/d2x2/g8/x8u/w8s:-127..127/y8u/channel"),
        ("h9/i8o8/k3/x4s/w2u/y4u/tensor", "conv2d/n1/h9w9/i8o8/k3x3/s1x1/p0.0.0.0/d1x1/g1/x4s/w2u/y4u/tensor"),
        ("h9/i8o8/k1/y32s", "conv2d/n1/h9w9/i8o8/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y32s"),
        ("h9/i8o8/k1/w8s/residual", "conv2d/n1/h9w9/i8o8/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s/y8u/channel/residual"),
    ],
)
def test_what_is_left_out_is_ordinary(text, key):
    assert problem_of(text).key == key
    assert problem_of(text) == Conv2d.from_key(key)


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "tiny"])
def test_every_key_is_itself(name):
    for problem in network(name).problems:
        assert problem_of(problem.key).key == problem.key
