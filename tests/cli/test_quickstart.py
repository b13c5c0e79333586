"""tools/quickstart.py on a part of the tiny network: all of its stages, seconds instead of minutes."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).resolve().parents[2] / "tools" / "quickstart.py"


@pytest.fixture
def quickstart(monkeypatch):
    pytest.importorskip("onnxruntime", reason="the quick start needs onnxruntime: pip install mmasched[quickstart]")
    spec = importlib.util.spec_from_file_location("quickstart", QUICKSTART)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "quickstart", module)
    spec.loader.exec_module(module)
    network_of = module.network_of

    def part(text):
        whole = network_of(text)
        return type(whole)(whole.name, whole.layers[:2], whole.names[:2])

    monkeypatch.setattr(module, "network_of", part)
    monkeypatch.setattr(module, "QUICK_TRIALS", 2)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["quickstart.py", *map(str, arguments)])
        return module.main()

    return call


def test_all_stages(quickstart, tmp_path, capsys):
    arguments = ["--quick", "--network", "tiny", "--threads", 1, "--folder", tmp_path / "q", "--json", tmp_path / "j"]
    assert quickstart(*arguments) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^\[(\d)/6\]", out, re.M) == list("123456")
    assert "exact: all 10 outputs are those of ONNX Runtime" in out
    assert "every problem agrees with the exact reference" in out
    assert re.search(r"^3x3 3->16 @20 s2 +1 .*x +\d+ +\d+%$", out, re.M)
    assert re.search(r"^whole network, floats in and out .*x ", out, re.M)
    for name in ("tiny.onnx", "tiny.jsonl", "tiny.mma"):
        assert (tmp_path / "q" / name).exists() and str(tmp_path / "q" / name) in out
    report = json.loads((tmp_path / "j").read_text())
    assert len(report["rows"]) == 2 and report["exact"] and report["trials"] == 4
    assert set(report["network_seconds"]) == {"untuned", "tuned", "onnxruntime"}
    assert report["peak_operations_per_second"] > 1e9


def test_a_second_run_tries_nothing(quickstart, tmp_path, capsys):
    module = sys.modules["quickstart"]
    chip = module.hardware("native")
    model = module.make_model("tiny", tmp_path)
    network = module.network_of(str(model))
    arguments = (network, chip, 1, tmp_path / "tiny.jsonl", True)
    assert module.tune(*arguments) == 4
    before = (tmp_path / "tiny.jsonl").read_bytes()
    capsys.readouterr()
    assert module.tune(*arguments) == 4
    assert (tmp_path / "tiny.jsonl").read_bytes() == before
    assert "nothing is left to try" in capsys.readouterr().out


def test_wrong_input_is_one_sentence(quickstart, tmp_path, capsys):
    assert quickstart("--network", "tinny", "--folder", tmp_path / "q") == 2
    assert "tiny" in capsys.readouterr().err
    assert quickstart("--threads", 4096, "--folder", tmp_path / "q") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: threads") and error.count("\n") == 1
    (tmp_path / "file").write_text("")
    assert quickstart("--folder", tmp_path / "file") == 2
    assert "file" in capsys.readouterr().err


def test_help():
    done = subprocess.run([sys.executable, QUICKSTART, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for option in ("--quick", "--json", "--threads", "--log", "--plot"):
        assert option in done.stdout
