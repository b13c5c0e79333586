"""The commands that only look: log, networks, space, verify, compare, doctor."""

import csv
import json
import re

import pytest

from mmasched.hardware import detect
from mmasched.log import Log, best_record, matching
from mmasched.network import network

SMALL = "h5w5/i16o13/k1"


def test_log_show_counts_what_is_in_the_log(mmasched, log):
    result = mmasched("log", "show", log)
    records = Log(log).records()
    assert result.status == 0 and f"{len(records)} records" in result.out
    assert result.out.count(detect().chip) == 9
    assert "the last run ended at" in result.out
    lines = mmasched("log", "show", log, "--json", "--outcome", "correct").out.splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["correct"] * len(lines) and lines
    newest = mmasched("log", "show", log, "--last", "2").out
    assert newest.count(records[-1].time[:17]) >= 1 and records[-1].template in newest


def test_log_best_is_what_the_log_room_says(mmasched, log):
    records = Log(log).records()
    problems = dict.fromkeys(record.problem for record in records)
    expected = [best_record(matching(records, problem)).to_dict() for problem in problems]
    lines = mmasched("log", "best", log, "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(json.dumps(values)) for values in expected]
    assert "9 of 9 have a correct schedule" in mmasched("log", "best", log).out


def test_log_validate(mmasched, complains, log):
    assert mmasched("log", "validate", log).out.endswith("records, all well\n")
    log.write_text(log.read_text() + "oops\n" + log.read_text().splitlines()[0] + "\n")
    bad = log.read_text().splitlines().index("oops") + 1
    result = complains("2 faults")("log", "validate", log)
    assert f"copy.jsonl:{bad}: not JSON" in result.out
    assert f"copy.jsonl:{bad + 1}: the config was already tried in line 1" in result.out


def test_log_merge_adds_what_is_new_once(mmasched, log, tmp_path):
    lines = log.read_text().splitlines()
    assert f"{len(lines)} lines added" in mmasched("log", "merge", "all.jsonl", log, log).out
    assert "0 lines added" in mmasched("log", "merge", "all.jsonl", log).out
    assert Log(tmp_path / "all.jsonl").records() == Log(log).records()


def test_log_export(mmasched, log, tmp_path):
    records = Log(log).records()
    assert mmasched("log", "export", log).status == 0
    with open(tmp_path / "copy.csv", newline="") as file:
        assert [row["problem"] for row in csv.DictReader(file)] == [record.problem for record in records]
    assert mmasched("log", "export", log, "-o", "t4.json", "--format", "t4").status == 0
    assert len(json.loads((tmp_path / "t4.json").read_text())["results"]) == len(records)


def test_networks(mmasched, model):
    listed = mmasched("networks").out
    for name in ("resnet18", "resnet50", "vgg16", "inception_v3", "densenet121", "mobilenet_v2", "yolo"):
        assert re.search(rf"^{name} +\d+ +\d+ +[\d.]+$", listed, re.M)
    keys = mmasched("networks", "tiny", "--keys").out.split()
    assert keys == [problem.key for problem in network("tiny").problems]
    assert all(key in mmasched("networks", "tiny").out for key in keys)
    assert "n4/" in mmasched("networks", "tiny", "--keys", "--batch", "4").out
    # A model's fully connected layer runs as a convolution, and so is tuned as one.
    assert "fc" in mmasched("networks", model).out


def test_space_of_templates(mmasched):
    assert "x86_gemm" in mmasched("space").out
    result = mmasched("space", "x86_gemm")
    assert "tile_w" in result.out and "combinations before the constraints" in result.out


def test_space_of_a_problem_counts_valid_configs(mmasched):
    from mmasched.cli.shapes import problem_of
    from mmasched.templates import space_for

    result = mmasched("space", SMALL, "--target", "x86/avx2", "--threads", "1")
    space = space_for(problem_of(SMALL), detect("x86/avx2"), 1)
    assert f"{space.count_valid():,} valid configs of {space.size:,} combinations" in result.out
    assert "default: x86_gemm" in result.out


def test_verify_says_correct(mmasched):
    result = mmasched("verify", SMALL, "--target", "x86/avx2", "--seed", "3")
    assert result.status == 0 and result.out.startswith("correct\nx86_gemm ")


def test_verify_a_config_that_breaks_a_constraint(mmasched, log):
    record = Log(log).records()[0]
    result = mmasched("verify", record.problem, "--config", record.to_line())
    # Recorded with one thread: valid for any number of them, or refused with the constraint's name.
    assert result.out.startswith("correct") or (result.status == 2 and "not in the space" in result.err)
    config = {"template": "x86_gemm", "config": {"tile_w": 4}}
    result = mmasched("verify", SMALL, "--config", json.dumps(config))
    assert result.status == 2 and result.err.startswith("error: --config is not in the space of ")


def test_compare_with_what_is_here(mmasched):
    pytest.importorskip("onnxruntime", reason="a peer is needed: pip install onnxruntime")
    result = mmasched("compare", SMALL, "--threads", "1", "--rounds", "1", "--peers", "onnxruntime")
    assert result.status == 0, result.err
    assert re.search(r"^mmasched +\S+ .* exact", result.out, re.M)
    assert re.search(r"^onnxruntime +\S+ .* exact", result.out, re.M)
    assert "1 of 1 problems are untuned" in result.out


def test_compare_names_what_is_missing(mmasched):
    import importlib.util

    absent = [name for name, module in (("onednn", "torch"), ("openvino", "openvino"))
              if importlib.util.find_spec(module) is None]  # fmt: skip
    if not absent:
        pytest.skip("torch and openvino are both installed")
    result = mmasched("compare", SMALL, "--threads", "1", "--rounds", "1", "--peers", ",".join(absent))
    assert result.status == 0
    for name in absent:
        assert re.search(rf"^not measured: {name} is missing .*pip install", result.out, re.M)


def test_doctor_names_the_chip_and_the_remedies(mmasched):
    result = mmasched("doctor")
    chip = detect()
    assert result.status == 0
    for text in (chip.chip, str(chip.target), *chip.features, "compilers", "runners", "peers", "apache-tvm: 0.27"):
        assert text in result.out
    for name in ("onnxruntime", "onednn", "openvino"):
        assert re.search(rf"^ [ -] {name}: ", result.out, re.M)
