"""Runs commands in this process, and one real tuning of a tiny network that many tests look at."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmasched.cli.app import run


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def mmasched(tmp_path, monkeypatch, capsys):
    """mmasched("tune", "tiny", ...) -> Result, in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call


@pytest.fixture
def complains(mmasched):
    """complains("a", "b")("tune", ...) -> Result: exit status 2, one sentence with "a" and "b", no traceback."""

    def about(*words):
        def call(*arguments):
            result = mmasched(*arguments)
            assert result.status == 2, (result.out, result.err)
            assert result.err.startswith("error: ") and result.err.count("\n") == 1, result.err
            assert "Traceback" not in result.out + result.err
            for word in words:
                assert word in result.err, (word, result.err)
            return result

        return call

    return about


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The tiny network, quantized."""
    pytest.importorskip("onnxruntime", reason="making a quantized model needs onnxruntime: pip install onnxruntime")
    from mmasched.network import quantize
    from mmasched.network.onnx_models import float_model

    folder = tmp_path_factory.mktemp("model")
    return quantize(float_model("tiny", folder / "float.onnx"), folder / "tiny.onnx")


TUNE = ("--threads", "1", "--trials", "12", "--strategy", "random")


@dataclass(frozen=True)
class Tuned:
    """A model, the log of tuning it on one thread, and what that printed."""

    model: Path
    log: Path
    result: Result


@pytest.fixture(scope="session")
def tuned(model, tmp_path_factory):
    """`mmasched tune` for real: 12 trials of 9 problems."""
    import contextlib
    import io

    log = tmp_path_factory.mktemp("tuned") / "tiny.jsonl"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(["tune", str(model), "--log", str(log), *TUNE])
    return Tuned(model, log, Result(status, out.getvalue(), err.getvalue()))


@pytest.fixture
def log(tuned, tmp_path):
    """A copy of the log that a test may spoil."""
    return Path(shutil.copy(tuned.log, tmp_path / "copy.jsonl"))
