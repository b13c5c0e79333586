"""Whatever a user gets wrong: one sentence that names the thing and the remedy, status 2, no traceback."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

KEY = "conv2d/n1/h5w5/i16o16/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u/w8s:-127..127/y8u/channel"


# Names and numbers


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["tune", "resnet19"], ["'resnet19'", "resnet18", ".onnx"]),
        (["networks", "resnet5"], ["'resnet5'", "resnet50"]),
        (["compare", "mobilenet"], ["'mobilenet'", "mobilenet_v2"]),
        (["tune", "tiny", "--target", "x86/avx3"], ["'x86/avx3'", "x86/avx2"]),
        (["compile", "tiny.onnx", "--target", "x68/avx2"], ["'x68/avx2'", "x86/avx2"]),
        (["verify", KEY, "--target", "cuda/sm_88"], ["'cuda/sm_88'", "cuda/sm_89"]),
        (["space", KEY, "--target", "arm/cortex-a54"], ["'arm/cortex-a54'", "arm/cortex-a53"]),
        (["tune", "tiny", "--strategy", "anealing"], ["'anealing'", "annealing"]),
        (["tune", "tiny", "--strategy", "random:speed=3"], ["'speed'"]),
        (["tune", "tiny", "--effort", "quik"], ["'quik'", "quick"]),
        (["tune", "tiny", "--runner", "lokal"], ["'lokal'", "local"]),
        (["tune", "tiny", "--runner", "replay:absent.jsonl"], ["absent.jsonl"]),
        (["tune", "tiny", "--rpc", "localhost:9190"], ["--device-key", "go together"]),
        (["tune", "tiny", "--device-key", "rpi4"], ["--rpc HOST:PORT", "go together"]),
        (["tune", "tiny", "--rpc", "h:1", "--device-key", "k", "--runner", "local"], ["leave one out"]),
        (["tune", "tiny", "--rpc", "nonsense", "--device-key", "k"], ["HOST:PORT/KEY", "nonsense"]),
        (["tune", "tiny", "--target", "cuda/sm_80"], ["cuda/sm_80", "can't be measured", "runner"]),
        (["tune", "tiny", "--trials", "0"], ["trials", "at least 1", "not 0"]),
        (["tune", "tiny", "--trials", "-3"], ["trials", "at least 1"]),
        (["tune", "tiny", "--trials", "many"], ["--trials", "mmasched tune --help"]),
        (["tune", "tiny", "--trials", "2.5"], ["--trials"]),
        (["tune", "tiny", "--seed", "-1"], ["seed", "at least 0"]),
        (["tune", "tiny", "--threads", "0"], ["threads", "not 0"]),
        (["tune", "tiny", "--threads", "9999"], ["threads", "9999"]),
        (["networks", "tiny", "--batch", "0"], ["batch is 0", "at least 1"]),
        (["compare", "tiny", "--peers", "onednm"], ["'onednm'", "onednn"]),
        (["compare", KEY, "--rounds", "0"], ["--rounds is 0", "at least 1"]),
        (["compare", KEY, "--python", "/no/python"], ["/no/python"]),
        (["space", "x86_gem"], ["'x86_gem'", "x86_gemm"]),
        (["tune", "tiny", "--trails", "3"], ["--trails", "--trials"]),
        (["tuen"], ["tuen", "mmasched --help"]),
        (["tune"], ["NETWORK", "mmasched tune --help"]),
        (["compile"], ["MODEL.onnx", "mmasched compile --help"]),
        (["run", "a.mma"], ["--input", "mmasched run --help"]),
    ],
)
def test_wrong_names_and_numbers(complains, tmp_path, arguments, words):
    complains(*words)(*arguments)
    assert not list(tmp_path.glob("*.jsonl"))


# Problems


@pytest.mark.parametrize(
    "problem, words",
    [
        ("h5w5/i16o16/k3/x9u", ["'x9u'", "9 bits", "1 to 8"]),
        ("h5w5/i16o16/k3/w0s", ["'w0s'", "0 bits", "1 to 8"]),
        ("h5w5/i16o16/k3/y12u", ["'y12u'", "12 bits", "y32s"]),
        (KEY.replace("x8u", "x16s"), ["'x16s'", "16 bits"]),
        ("h5w5/i15o16/k3/g2", ["groups is 2", "in_channels=15", "common divisor"]),
        ("h5w5/i16o16/k9", ["kernel (9, 9)", "padding larger"]),
        ("h5w5/i16o16", ["the kernel, as k3"]),
        ("i16o16/k3", ["h56w56"]),
        ("h5w5/i16o16/k3/q7", ["'q7' means nothing", "h56w56/i64o64/k3/p1"]),
        ("h5w5/i16o16/k3/k1", ["'k3x3'", "'k1'", "leave one out"]),
        ("h5w5/i16o16/k3/pone", ["not a problem key"]),
        ("nonsense", ["'nonsense'"]),
    ],
)
def test_wrong_problems(complains, problem, words):
    complains(*words)("verify", problem)


@pytest.mark.parametrize("config", ["{", "[]", "{}", '{"template": "x86_gemm"}', '{"template": 3, "config": {}}'])
def test_a_config_that_is_none(complains, config):
    complains("--config", "log best --json")("verify", KEY, "--config", config)


def test_a_config_with_impossible_values(complains):
    complains("tile_w", "1.5")("verify", KEY, "--config", '{"template": "x86_gemm", "config": {"tile_w": 1.5}}')


# Models


@pytest.fixture(params=["tune", "compile", "networks"])
def reads_a_model(request):
    return request.param


def test_a_truncated_model(complains, model, tmp_path, reads_a_model):
    data = model.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(data[: len(data) // 2])
    complains("cut.onnx", "truncated", "again")(reads_a_model, "cut.onnx")


def test_a_file_that_is_no_model(complains, tmp_path, reads_a_model):
    (tmp_path / "notes.onnx").write_text("dear diary")
    complains("notes.onnx", "not an ONNX model")(reads_a_model, "notes.onnx")


def test_an_absent_model(complains, reads_a_model):
    complains("absent.onnx", "does not exist")(reads_a_model, "absent.onnx")


def test_a_folder_instead_of_a_model(complains, tmp_path, reads_a_model):
    (tmp_path / "folder").mkdir()
    complains("folder")(reads_a_model, "folder")


def test_a_float_model(complains, tmp_path, reads_a_model):
    from mmasched.network.onnx_models import float_model

    float_model("tiny", tmp_path / "float.onnx")
    complains("float.onnx is a float model", "quantize it first")(reads_a_model, "float.onnx")


def _save(path, nodes, shape):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]), helper.make_tensor("z", TensorProto.UINT8, [], [3])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


NODES = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"]),
]


def test_an_unsupported_operator(complains, tmp_path, reads_a_model):
    node = helper.make_node("FancyPool", ["f"], ["y"], name="the_pool", domain="acme")
    _save(tmp_path / "fancy.onnx", [*NODES, node], (1, 3, 8, 8))
    complains("FancyPool", "'the_pool'", "not supported")(reads_a_model, "fancy.onnx")


def test_dynamic_shapes(complains, tmp_path, reads_a_model):
    node = helper.make_node("Relu", ["f"], ["y"])
    _save(tmp_path / "dynamic.onnx", [*NODES, node], ("N", 3, 8, "W"))
    complains("dimension 0 ('N')", "dynamic", "batch")(reads_a_model, "dynamic.onnx")
    complains("dimension 3 ('W')", "fixed size")(reads_a_model, "dynamic.onnx", "--batch", "1")


def test_a_model_without_convolutions(complains, tmp_path):
    _save(tmp_path / "relu.onnx", [*NODES, helper.make_node("Relu", ["f"], ["y"])], (1, 3, 8, 8))
    complains("relu.onnx", "no convolutions")("tune", "relu.onnx")


# Logs


def _line(log, **changes):
    record = json.loads(log.read_text().splitlines()[0])
    return json.dumps({**record, **changes}) + "\n"


READERS = [
    ["tune", "tiny", "--log"],
    ["log", "show"],
    ["log", "best"],
    ["log", "export"],
    ["log", "merge", "new.jsonl"],
]


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_a_log_of_a_newer_schema(complains, log, command):
    log.write_text(log.read_text() + _line(log, schema=99))
    before = log.read_bytes()
    line = before.count(b"\n")
    complains(f"copy.jsonl:{line}", "schema 99", "upgrade")(*command, log)
    assert log.read_bytes() == before


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_a_log_with_a_broken_line(complains, log, command):
    log.write_text("what?\n" + log.read_text())
    before = log.read_bytes()
    complains("copy.jsonl:1", "not JSON")(*command, log)
    assert log.read_bytes() == before


def test_compile_refuses_such_logs_too(complains, model, log):
    log.write_text(_line(log, schema=99))
    complains("copy.jsonl:1", "schema 99", "upgrade")("compile", model, "-o", "x.mma", "--log", log)
    complains("absent.jsonl", "tune first")("compile", model, "-o", "x.mma", "--log", "absent.jsonl")


def test_a_log_of_another_chip_cannot_compile(complains, model, log, tmp_path):
    log.write_text(_line(log, chip="arm-41-d40"))
    command = ["compile", str(model), "-o", "x.mma", "--log", str(log), "--threads", "1"]
    complains("copy.jsonl", "arm-41-d40", f"mmasched tune {model} --threads 1 --log {log}")(*command)
    assert not (tmp_path / "x.mma").exists()


def test_tune_says_that_it_leaves_records_of_another_chip_aside(mmasched, log, tuned):
    log.write_text(log.read_text() + _line(log, chip="arm-41-d40"))
    before = log.read_bytes()
    result = mmasched("tune", tuned.model, "--log", log, "--threads", "1", "--trials", "12", "--strategy", "random")
    assert result.status == 0
    assert "note: records of arm-41-d40 in the log were left aside" in result.out
    assert log.read_bytes().startswith(before)


@pytest.mark.parametrize("command", ["show", "best", "validate", "export"])
def test_an_absent_log(complains, command):
    complains("absent.jsonl", "tune first")("log", command, "absent.jsonl")
    complains("mmasched.jsonl")("log", command)


def test_what_a_log_does_not_have(complains, log):
    complains("'corect'", "correct")("log", "show", log, "--outcome", "corect")
    complains("'intel'", "no records of chip")("log", "show", log, "--chip", "intel")
    complains("none of the")("log", "best", log, "--threads", "77")
    complains("'xls'", "csv")("log", "export", log, "--format", "xls")
    complains("--last is 0")("log", "show", log, "--last", "0")


# Paths


@pytest.fixture
def blocked(tmp_path):
    """A path that cannot be written even by root: below a file."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "below"


def test_paths_that_cannot_be_written(complains, blocked, model, log, tmp_path):
    complains("below.jsonl", "can't write", "another path")("tune", "tiny", "--log", f"{blocked}.jsonl")
    complains("can't write the log", "not a regular file")("tune", "tiny", "--log", tmp_path)
    complains("below", "can't write")("compile", model, "-o", blocked)
    complains("no folder nowhere", "make it first")("compile", model, "-o", "nowhere/x.mma")
    complains("it is a folder")("compile", model, "-o", tmp_path)
    complains("below", "can't write")("log", "export", log, "-o", blocked)
    complains("below", "can't write")("log", "merge", blocked, log)
    complains("below", "can't write the plot")("tune", "tiny", "--plot", blocked)
    np.savez(tmp_path / "x.npz", input=np.zeros(3))
    complains("below", "can't write the output")("run", "a.mma", "--input", "x.npz", "--output", blocked)


# Artifacts and arrays


def test_artifacts_that_are_none(complains, log):
    for command in (["bench"], ["run", "-i", "x.npz", "-o", "y.npz"]):
        np.savez("x.npz", input=np.zeros(3))
        complains("absent.mma", "mmasched compile")(command[0], "absent.mma", *command[1:])
        complains("copy.jsonl", "no artifact", "compile the model again")(command[0], log, *command[1:])


def test_arrays_that_are_none(complains, tmp_path):
    complains("absent.npz", "numpy.savez")("run", "a.mma", "-i", "absent.npz", "-o", "y.npz")
    (tmp_path / "text.npz").write_text("1 2 3")
    complains("text.npz", "numpy.savez")("run", "a.mma", "-i", "text.npz", "-o", "y.npz")
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    complains("torn.npz", "numpy.savez")("run", "a.mma", "-i", "torn.npz", "-o", "y.npz")
    np.save(tmp_path / "single.npy", np.zeros(3))
    complains("single.npy", "without a name")("run", "a.mma", "-i", "single.npy", "-o", "y.npz")


def test_bench_needs_something_to_do(complains):
    complains("--runs is 0")("bench", "a.mma", "--runs", "0")
    complains("--seconds is 0")("bench", "a.mma", "--seconds", "0")


def test_the_real_process_ends_the_same_way(tmp_path):
    command = [sys.executable, "-m", "mmasched", "tune", "resnet19"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
