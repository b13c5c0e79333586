"""The table of modelled cycles, from figures that are made up."""

import argparse
import json

import bench_arm
import pytest

from mmasched.compare.arm import modelled
from mmasched.compare.arm.peers import arm_peers
from mmasched.compare.arm.root import ArmPython
from mmasched.errors import BadInput, Missing
from mmasched.hardware import from_catalog
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


A53, A55 = from_catalog("arm/cortex-a53"), from_catalog("arm/cortex-a55")
RELEASES = {"ncnn-direct": "1.0", "ncnn-winograd": "1.0", "onnxruntime": "1.23"}


def earlier(path, monkeypatch):
    """A run with one shape that ncnn's Winograd does not compute."""
    monkeypatch.setattr(bench_arm, "model_name", lambda: "llvm-mca 1")
    figures = {"cycles": 7.0, "version": "1.0", "model": "llvm-mca 1"}
    peers = {"ncnn-direct": figures, "ncnn-winograd": None, "onnxruntime": {**figures, "version": "1.22"}}
    rows = [{"shape": "a", "peers": peers}]
    path.write_text(json.dumps({"options": {"target": "arm/cortex-a53"}, "results": rows}), encoding="utf-8")
    return path, peers


def test_peers_are_known_where_core_release_and_model_are_the_same(tmp_path, monkeypatch):
    path, peers = earlier(tmp_path / "run.json", monkeypatch)
    ncnn = arm_peers("ncnn")
    found = bench_arm.known_peers(path, ncnn, A53, RELEASES)
    assert found == {"a": {name: peers[name] for name in ("ncnn-direct", "ncnn-winograd")}}
    assert bench_arm.known_peers(path, ncnn, A55, RELEASES) == {}
    assert bench_arm.known_peers(path, arm_peers(), A53, RELEASES) == {}  # another release of one of them
    assert bench_arm.known_peers(None, ncnn, A53, RELEASES) == {}
    monkeypatch.setattr(bench_arm, "model_name", lambda: "llvm-mca 2")
    assert bench_arm.known_peers(path, ncnn, A53, RELEASES) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"options": {"target": "arm/cortex-a53"}, "results": [{}]}'])
def test_a_file_that_is_no_run(tmp_path, text):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="no JSON of an earlier run"):
        bench_arm.known_peers(tmp_path / "x.json", arm_peers("ncnn"), A53, RELEASES)


def test_releases_are_those_installed(tmp_path):
    (tmp_path / "python").touch()
    (tmp_path / "site" / "ncnn-1.0.3.dist-info").mkdir(parents=True)
    assert ArmPython(tmp_path).version("ncnn") == "1.0.3"
    with pytest.raises(Missing, match="arm64_root.sh"):
        ArmPython(tmp_path).version("onnxruntime")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_shipped_schedules_need_no_log(monkeypatch, bits):
    monkeypatch.setattr(bench_arm, "own_figures", lambda problem, config, tuned, runner: tuned)
    arguments = argparse.Namespace(trials=0, log=None)
    problem = bench_arm.narrowed(Conv2d.from_key(bench_arm.REFERENCE), bits)
    assert bench_arm._ours(problem, A53, None, arguments) is True
    assert bench_arm._ours(problem, A55, None, arguments) is True
