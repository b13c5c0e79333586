"""tools/gpu_cudnn.py on a NumPy model of cuDNN and a PyTorch whose device is the host."""

import importlib.util
import json
import sys
from pathlib import Path

import gpu_cudnn
import pytest
from _gpu_cudnn_table import table

from mmasched.compare.cuda import cudnn_graph, torch_device

HELPERS = Path(__file__).resolve().parents[1] / "compare" / "cuda"


def helper(name: str):
    specification = importlib.util.spec_from_file_location(name, HELPERS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def faked(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch", reason="torch is missing: pip install torch")
    fake = helper("fake_cudnn")
    host = helper("host_torch").HostTorch(torch, monkeypatch)
    monkeypatch.setattr(torch_device, "torch_with_gpu", lambda: host)
    monkeypatch.setattr(torch_device, "MOST_SETS", 2)
    monkeypatch.setattr(cudnn_graph, "cudnn_module", lambda: fake)
    monkeypatch.setattr(gpu_cudnn, "SAMPLE_SECONDS", 1e-5)
    monkeypatch.setattr(gpu_cudnn, "ROUNDS", 2)
    monkeypatch.setattr(gpu_cudnn, "kernel_names", lambda *_: ["kernel"])
    return tmp_path / "cudnn.jsonl"


def arguments(*words) -> None:
    sys.argv = ["gpu_cudnn.py", *map(str, words)]


def test_plans_are_checked_timed_and_kept(faked, capsys) -> None:
    words = ("--out", faked, "--batches", "1", "--layers", "22,20", "--forms", "s8,s8-bare,f16,e4m3")
    arguments(*words)
    assert gpu_cudnn.main() == 0
    rows = [json.loads(line) for line in faked.read_text().splitlines()]
    plans = [row for row in rows if row["what"] == "plan"]
    by_name = {(row["form"], row["plan"]): row for row in plans if "/h7w7/i2048" in row["problem"]}
    assert by_name["s8", "eng4_k24=1"]["agreement"] == {"elements": 49 * 512, "wrong": 0, "largest": 0, "right": True}
    assert not by_name["s8", "eng8_wrong"]["agreement"]["right"]
    assert by_name["s8", "eng9_broken"]["error"].startswith("eng9_broken cannot be built")
    assert by_name["f16", "eng0"]["agreement"]["right"] and by_name["s8-bare", "eng0"]["agreement"]["right"]
    done = {row["form"]: row for row in rows if row["what"] == "form"}
    assert set(done["s8"]["rotation"]) == {"eng4_k24=1", "eng0"} and done["e4m3"]["error"].endswith("no fp8 here")
    printed = capsys.readouterr().out
    assert "1x1 2048->512 @7" in printed and "1x1 512->2048 @7 +r" in printed and "cuDNN 9.12.0" in printed
    first = faked.read_text()
    arguments(*words)
    assert gpu_cudnn.main() == 0 and faked.read_text() == first


def test_the_time_limit(faked, capsys) -> None:
    arguments("--out", faked, "--limit-seconds", "0")
    assert gpu_cudnn.main() == 0
    assert "the time is over" in capsys.readouterr().out and not faked.exists()


def test_shares_cover_the_work_once(faked) -> None:
    arguments("--out", faked, "--batches", "1", "--forms", "s8", "--layers", "22,23", "--share", "1,2")
    assert gpu_cudnn.main() == 0
    problems = {json.loads(line)["problem"] for line in faked.read_text().splitlines()}
    assert len(problems) == 1 and "k3x3" in problems.pop()


def test_unknown_form(capsys, tmp_path) -> None:
    arguments("--out", tmp_path / "x", "--forms", "s9")
    assert gpu_cudnn.main() == 2 and "there is no form 's9'" in capsys.readouterr().err


def test_one_sentence_without_torch(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    arguments("--out", tmp_path / "x")
    assert gpu_cudnn.main() == 2
    assert "pip install torch" in capsys.readouterr().err


def test_table_of_recorded_lines() -> None:
    key = next(problem.key for problem, _ in gpu_cudnn.distinct("resnet50", 1))
    common = {"what": "plan", "problem": key, "board": "B", "cudnn": "9", "tops": 12.0}
    rows = [
        {**common, "form": "s8", "plan": "eng1", "seconds": 2e-5, "agreement": {"right": True}},
        {**common, "form": "s8", "plan": "eng2", "seconds": 1e-5, "agreement": {"right": False}},
        {**common, "form": "s8-float", "plan": "eng3", "seconds": 1.5e-5, "agreement": {"right": True}},
        {**common, "form": "s8", "plan": "eng4", "error": "no"},
    ]
    text = table(rows, "resnet50", [1])
    (line,) = (line for line in text.splitlines() if "7x7" in line)
    assert "20.0" in line and "15.0" in line and "eng3" in line and "10.0" not in line
    assert "1 plans or forms failed" in text
    assert table([], "resnet50", [1]) == "nothing was measured yet"
