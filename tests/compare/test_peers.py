"""Every peer computes what the reference says.  A peer that is not installed is skipped, with what to install."""

import dataclasses

import numpy as np
import pytest

from mmasched.compare import Peer, expressible, peer_names, peers
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.problem import Conv2d, random_operands, reference

EXACT = {"onnxruntime", "onnxruntime-gemm"}
KEYS = {
    "1x1": "conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel",
    "3x3 strided": "conv2d/n2/h11w9/i16o24/k3x3/s2x2/p1.1.1.1/d1x1/g1/x8u/w8s:-127..127/y8u+zp/channel",
    "input zero point": "conv2d/n1/h9w9/i16o16/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u+zp/w8s:-127..127/y8u+zp/tensor",
    "dilated groups": "conv2d/n1/h12w12/i32o32/k3x3/s1x1/p2.2.2.2/d2x2/g4/x8u/w8s:-127..127/y8u/channel",
    "depthwise": "conv2d/n1/h9w9/i32o32/k3x3/s1x1/p1.1.1.1/d1x1/g32/x8u+zp/w8s:-127..127/y8u+zp/channel",
    "uneven padding": "conv2d/n1/h9w9/i16o16/k3x3/s2x2/p0.0.1.1/d1x1/g1/x8u/w8s:-127..127/y8u/channel",
    "signed": "conv2d/n1/h9w9/i16o16/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8s/w8s:-127..127/y8s/channel",
    "full weights": "conv2d/n1/h9w9/i16o16/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u/w8s/y8u/channel",
    "quantized add": "conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u+zp/channel/residual-add",
    "residual": "conv2d/n1/h9w9/i32o48/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u+zp/channel/residual",
}


def installed(peer: Peer) -> Peer:
    if reason := peer.unavailable():
        pytest.skip(reason)
    return peer


def residual_outside(problem: Conv2d) -> Conv2d:
    add = dataclasses.replace(problem.requantize.add, residual_outer=True)
    return dataclasses.replace(problem, requantize=dataclasses.replace(problem.requantize, add=add))


@pytest.mark.parametrize("key", [*KEYS, "residual outside"])
@pytest.mark.parametrize("peer", peers(), ids=lambda peer: peer.name)
def test_peer_agrees_with_the_reference(peer: Peer, key: str) -> None:
    installed(peer)
    problem = expressible(Conv2d.from_key(KEYS.get(key, KEYS["quantized add"])))
    problem = residual_outside(problem) if key == "residual outside" else problem
    operands = random_operands(problem, 1)
    try:
        prepared = peer.prepare(problem, operands, 1)
    except Unsupported as reason:
        pytest.skip(str(reason))
    computed, remark = peer.computed(problem)
    assert bool(remark) == (computed != problem)
    expected = reference(computed, **operands).astype(int)
    operands.clear()  # What the library borrowed must be held by `prepared`.
    got = prepared.run()
    assert got.shape == problem.output_shape and got.dtype == problem.output_dtype
    difference = np.abs(got.astype(int) - expected)
    if peer.name in EXACT:
        assert difference.max() == 0
    else:
        assert difference.max() <= 1 and np.count_nonzero(difference) <= difference.size // 100
    assert prepared.time(2) > 0
    np.testing.assert_array_equal(prepared.run(), got)


@pytest.mark.parametrize("peer", peers(), ids=lambda peer: peer.name)
@pytest.mark.parametrize(
    ("change", "words"),
    [({"input_bits": 4}, "bits"), ({"weight_signed": False, "weight_range": None}, "unsigned")],
)
def test_what_a_peer_cannot_do_is_said(peer: Peer, change: dict, words: str) -> None:
    installed(peer)
    problem = dataclasses.replace(Conv2d.from_key(KEYS["1x1"]), **change)
    with pytest.raises(Unsupported, match=words):
        peer.prepare(problem, random_operands(problem), 1)


def test_clamp_and_raw_output_are_unsupported() -> None:
    problem = Conv2d.from_key(KEYS["1x1"])
    clamped = dataclasses.replace(problem, requantize=dataclasses.replace(problem.requantize, clamp=(0, 100)))
    raw = dataclasses.replace(problem, output_bits=32, requantize=None)
    for peer in peers():
        assert "100" in peer.unsupported(clamped)
        assert "32" in peer.unsupported(raw)


def test_missing_library_is_named_with_its_remedy() -> None:
    class Absent(type(peers(["onnxruntime"])[0])):
        modules = ("no_such_library_at_all",)
        install = "no-such-library"

    with pytest.raises(Missing, match="pip install no-such-library"):
        Absent().prepare(Conv2d.from_key(KEYS["1x1"]), {}, 1)


def test_unknown_peer_suggests_the_nearest() -> None:
    assert [peer.name for peer in peers()] == peer_names()
    with pytest.raises(BadInput, match="openvino"):
        peers(["openvin"])
