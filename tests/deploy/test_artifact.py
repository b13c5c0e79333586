"""Compiled networks as files: what was saved is what is loaded, and everything else is refused in a sentence."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mmasched
from mmasched.deploy import CompiledNetwork, compile, load
from mmasched.deploy.artifact import CPU_SCHEMA, SCHEMA
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import runs_here
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture

TINY = architecture("tiny")


@pytest.fixture(scope="module")
def artifact(quantized, compiled, tmp_path_factory):
    """(path, the network that was saved there)."""
    network = compiled(quantized(TINY), "native", 1)
    path = tmp_path_factory.mktemp("artifacts") / "tiny.mma"
    network.save(path)
    return path, network


@pytest.fixture
def changed(artifact, tmp_path):
    """changed(member=function) is a copy of the artifact with the bytes of a member passed through the function."""

    def make(**functions):
        path = tmp_path / "changed.mma"
        with zipfile.ZipFile(artifact[0]) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                function = functions.get(Path(name).stem, lambda data: data)
                content = function(source.read(name))
                if content is not None:
                    target.writestr(name, content)
        return path

    return make


def with_fields(**fields):
    return lambda data: json.dumps({**json.loads(data), **fields}).encode()


def same_runs(network, loaded, feeds):
    expected = {name: array.copy() for name, array in network.run(feeds).items()}
    for _ in range(2):
        got = loaded.run(feeds)
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array)
            assert got[name].dtype == array.dtype


def as_dictionary(layout):
    fields = {f.name: getattr(layout, f.name) for f in dataclasses.fields(layout)}
    del fields["sequence"], fields["constants"]  # nodes and arrays do not compare
    fields["untuned"] = tuple(problem.key for problem in fields["untuned"])  # values of scales are not kept
    return fields


@pytest.mark.parametrize(("target", "threads", "activation"), [
    ("native", 1, "u8"), ("native", 2, "s8"), ("x86/avx2", 1, "s8"), ("x86/avx2", 2, "u8"),
])  # fmt: skip
def test_loaded_runs_equal(quantized, compiled, tmp_path, target, threads, activation):
    if threads > len(mmasched.measure.affinity.available_cores()):
        pytest.skip("this process may use one core only")
    network = compiled(quantized(TINY, "QDQ", activation), target, threads)
    network.save(tmp_path / "tiny.mma")
    loaded = mmasched.load(str(tmp_path / "tiny.mma"))
    assert isinstance(loaded, CompiledNetwork)
    assert as_dictionary(loaded.layout) == as_dictionary(network.layout)
    assert loaded.inputs == network.inputs and loaded.outputs == network.outputs
    same_runs(network, loaded, random_feed({"input": (1, 3, 20, 20)}, 8))


def test_host_steps_constants_and_aliases_survive(model, tmp_path):
    x = model.requantized(model.input("x", 1, 8, 9, 9))
    y = model.requantized(model.conv(x, 8, 8), 0.2)
    constant = model.dequantize(np.full((1, 4, 9, 9), 7, model.dtype), 0.1, 3)
    joined = model.requantized(model.node("Concat", y, constant, axis=1), 0.2)
    soft = model.requantized(model.node("Softmax", joined, axis=1), 1 / 255, np.iinfo(model.dtype).min)
    pooled = model.requantized(model.node("GlobalAveragePool", model.requantized(model.conv(soft, 16, 12), 0.02)), 0.01)
    flat = model.requantized(model.node("Flatten", pooled), 0.01)
    parts = model.node("Mul", flat, np.linspace(0, 1, 16, dtype=np.float32))
    q = model.quantize(model.node("Gemm", flat, model.weights(12, 16), transB=1), 0.002, 5, output="q")
    model.output(parts, model.node("Transpose", parts, perm=[1, 0])).output(q, dtype=model.dtype)
    network = compile(model.save(tmp_path / "model.onnx"), threads=1)
    assert any("NumPy" in label for label in network.layout.labels)
    network.save(tmp_path / "model.mma")
    loaded = load(tmp_path / "model.mma")
    for seed in (1, 2):
        same_runs(network, loaded, model.feeds(seed))


def test_a_loaded_network_can_be_saved(artifact, tmp_path):
    path, network = artifact
    load(path).save(tmp_path / "again.mma")
    same_runs(network, load(tmp_path / "again.mma"), random_feed({"input": (1, 3, 20, 20)}, 8))


def test_another_process_runs_it(artifact, tmp_path):
    """Without the model, from another folder."""
    path, network = artifact
    feeds = random_feed({"input": (1, 3, 20, 20)}, 9)
    np.savez(tmp_path / "feeds.npz", **feeds)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import mmasched, numpy as np\n"
        "np.savez('results.npz', **mmasched.load(sys.argv[2]).run(dict(np.load('feeds.npz'))))"
    )
    root = str(Path(mmasched.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, root, str(path)], cwd=tmp_path, check=True, timeout=120)
    with np.load(tmp_path / "results.npz") as results:
        for name, array in network.run(feeds).items():
            np.testing.assert_array_equal(results[name], array)


def test_the_artifact_needs_nothing_unpickled(artifact):
    with zipfile.ZipFile(artifact[0]) as archive:
        assert json.loads(archive.read("manifest.json"))["schema"] == CPU_SCHEMA
        np.load(io.BytesIO(archive.read("weights.npy")), allow_pickle=False)
        arrays = np.load(io.BytesIO(archive.read("arrays.npz")), allow_pickle=False)
        assert all(array.dtype != object for array in arrays.values())


# ---- what is refused


def pickled(data):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], object), allow_pickle=True)
    return buffer.getvalue()


CHANGES = {
    "manifest is a list": {"manifest": lambda data: b"[1]"},
    "manifest is no JSON": {"manifest": lambda data: b"{"},
    "manifest is absent": {"manifest": lambda data: None},
    "manifest without a field": {"manifest": lambda data: data.replace(b'"places"', b'"spaces"')},
    "schema is a text": {"manifest": with_fields(schema="one")},
    "schema is absent": {"manifest": lambda data: data.replace(b'"schema"', b'"shema"')},
    "target is unknown": {"manifest": with_fields(target="x86/none")},
    "problem is no key": {"manifest": with_fields(untuned=["conv2d"])},
    "entry is unknown": {"manifest": with_fields(sequence=[{"entry": "nowhere", "io": []}])},
    "node is unknown": {"manifest": with_fields(sequence=[{"node": {"type": "Nothing", "fields": {}}, "tensor": {}}])},
    "library is absent": {"network": lambda data: None},
    "library is no library": {"network": lambda data: b"not a library " * 10},
    "weights are cut": {"weights": lambda data: data[: len(data) // 2]},
    "weights are empty": {"weights": lambda data: b""},
    "weights are pickled": {"weights": pickled},
    "weights are absent": {"weights": lambda data: None},
    "arrays are garbage": {"arrays": lambda data: b"garbage"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_damage_is_said(changed, change):
    path = changed(**CHANGES[change])
    with pytest.raises(BadInput, match="changed.mma is no artifact of mmasched, or a damaged one: compile the model"):
        load(path)


@pytest.mark.parametrize("damage", ["empty", "half", "a flipped byte", "text", "an ONNX model"])
def test_damaged_files_are_said(artifact, quantized, tmp_path, damage):
    data = bytearray(artifact[0].read_bytes())
    if damage == "a flipped byte":
        data[len(data) // 2] ^= 255
    data = {
        "empty": b"", "half": data[: len(data) // 2], "a flipped byte": data, "text": b"hello\n" * 1000,
        "an ONNX model": quantized(TINY).read_bytes(),
    }[damage]  # fmt: skip
    path = tmp_path / "damaged.mma"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"damaged\.mma is no artifact of mmasched, or a damaged one"):
        load(path)


def test_a_newer_schema_names_the_remedy(changed):
    """Even where it has not the members of today."""
    path = changed(manifest=with_fields(schema=SCHEMA + 1), weights=lambda data: None)
    with pytest.raises(BadInput, match=f"artifact schema {SCHEMA + 1}, this version reads up to {SCHEMA}: update"):
        load(path)


def test_another_machines_artifact_is_not_loaded(changed):
    with pytest.raises(Unsupported, match="compiled for arm/cortex-a53, whose instructions this machine lacks"):
        load(changed(manifest=with_fields(target="arm/cortex-a53")))


@pytest.mark.parametrize("target", ["x86/amx", "x86/avx512-vnni", "x86/avx-vnni"])
def test_an_artifact_for_a_missing_tier_is_not_loaded(quantized, tmp_path, target):
    """Compiling for another machine is fine: only running needs its instructions."""
    if runs_here(target):
        pytest.skip(f"this CPU has the instructions of {target}")
    network = compile(quantized(TINY), target, threads=1)
    network.save(tmp_path / "tiny.mma")
    with pytest.raises(Unsupported, match=f"compiled for {target}"):
        load(tmp_path / "tiny.mma")


@pytest.mark.parametrize("path", ["absent.mma", "."])
def test_a_missing_file_is_named(tmp_path, path):
    with pytest.raises(Missing, match="there is no artifact .*: make one with mmasched compile"):
        load(tmp_path / path)


def test_where_nothing_can_be_written(artifact, tmp_path):
    _, network = artifact
    with pytest.raises(BadInput, match="the artifact .*absent.* cannot be written: No such file"):
        network.save(tmp_path / "absent" / "tiny.mma")
    (tmp_path / "folder.mma").mkdir()
    with pytest.raises(BadInput, match=r"folder\.mma cannot be written: Is a directory"):
        network.save(tmp_path / "folder.mma")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mma"]  # nothing half written stays behind


def test_saving_replaces_at_once(artifact, tmp_path):
    _, network = artifact
    path = tmp_path / "tiny.mma"
    path.write_bytes(b"old")
    network.save(path)
    load(path)
    assert [found.name for found in tmp_path.iterdir()] == ["tiny.mma"]


def test_without_a_linker(artifact, quantized, tmp_path, monkeypatch):
    network = compile(quantized(TINY), threads=1)

    class Module:
        def export_library(self, path):
            raise RuntimeError("g++: not found")

    monkeypatch.setattr(network, "module", Module())
    with pytest.raises(Missing, match="install a C\\+\\+ compiler"):
        network.save(tmp_path / "tiny.mma")
    assert not list(tmp_path.iterdir())
