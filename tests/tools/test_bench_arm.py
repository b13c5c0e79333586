"""The table of modelled cycles, from figures that are made up."""

import argparse

import bench_arm
import pytest

from mmasched.compare.arm import modelled
from mmasched.errors import BadInput
from mmasched.problem import Conv2d


def row(ncnn, onnxruntime, ours):
    peers = {"ncnn": ncnn and {"cycles": ncnn}, "onnxruntime": {"cycles": onnxruntime}}
    return {"shape": "s", "peers": peers, "ours": {8: ours and {"cycles": ours, "tuned": True}}}


def test_gains_are_against_the_best_peer():
    rows = [row(400.0, 200.0, 100.0), row(None, 800.0, 100.0), row(100.0, 200.0, None)]
    assert modelled.best_peer(rows[0]) == 200.0 and modelled.best_peer(rows[1]) == 800.0
    assert modelled.summary(rows, [8]) == {8: pytest.approx(4.0)}
    assert modelled.summary(rows[2:], [8]) == {}


def test_shapes_are_distinct_and_narrowed():
    shapes = bench_arm.distinct(["resnet50", "mobilenet_v2"], None)
    assert len({shape.key for shape in shapes}) == len(shapes) >= 30
    assert all(shape.input_signed and shape.output_signed and not shape.residual for shape in shapes)
    assert all(shape.input_zero_point == 0 and shape.requantize.zero_point == 0 for shape in shapes)
    assert any(shape.key == bench_arm.REFERENCE for shape in shapes)
    four = bench_arm.narrowed(Conv2d.from_key(bench_arm.REFERENCE), 4)
    assert (four.input_bits, four.weight_bits, four.output_bits, four.input_signed) == (4, 4, 8, False)
    with pytest.raises(BadInput, match="nothing"):
        bench_arm.distinct(["resnet50"], "nothing")


def test_trials_need_a_log():
    arguments = argparse.Namespace(trials=3, log=None)
    with pytest.raises(BadInput, match="--log"):
        bench_arm.bench(arguments, argparse.Namespace())
