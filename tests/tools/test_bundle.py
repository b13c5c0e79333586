"""tools/bundle.py on small wheels made here; nothing is downloaded."""

import json
import subprocess
import sys
import zipfile

import bundle
import pytest


@pytest.fixture
def wheels(tmp_path):
    """Wheels with the names that matter and little in them."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    contents = {
        "apache_tvm-0.27.0-py3-none-any": {
            "tvm/__init__.py": "x = 1\n", "tvm/lib/libtvm_compiler.so": "compiler" * 1000,
            "tvm/lib/libtvm_runtime.so": "runtime", "tvm/3rdparty/cutlass/include/cute.hpp": "header",
            "apache_tvm-0.27.0.dist-info/METADATA": "Name: apache-tvm\n"},
        "xgboost_cpu-3.0-py3-none-any": {"xgboost/__init__.py": "", "xgboost_cpu-3.0.data/scripts/run": "#!"},
        "some_data-1.0-py3-none-any": {"some_data-1.0.data/purelib/some_data.py": "y = 2\n", "a/tests/test_a.py": ""},
        "numpy-2.0-py3-none-any": {"numpy/__init__.py": ""},
    }  # fmt: skip
    for name, files in contents.items():
        with zipfile.ZipFile(folder / f"{name}.whl", "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
    return folder


def run(monkeypatch, *words) -> int:
    monkeypatch.setattr(sys, "argv", ["bundle.py", *map(str, words)])
    return bundle.main()


def unpack(out, into, *parts) -> subprocess.CompletedProcess:
    command = [sys.executable, str(out / "unpack.py"), "--into", str(into), *map(str, parts)]
    return subprocess.run(command, capture_output=True, text=True)


def test_parts_come_one_at_a_time_and_give_everything_back(wheels, tmp_path, monkeypatch) -> None:
    out, into = tmp_path / "out", tmp_path / "host"
    words = ("--out", out, "--wheels", wheels, "--part-mib", 0.05, "--preset", 0, "--have", "numpy")
    assert run(monkeypatch, *words) == 0
    manifest = json.loads((out / "bundle.json").read_text())
    names = [part["name"] for part in manifest["parts"]]
    assert len(names) > 2 and all(part["bytes"] <= 0.05 * 2**20 for part in manifest["parts"])
    assert set(manifest["packages"]) == {"apache-tvm", "xgboost-cpu", "some-data"}
    first = unpack(out, into, out / names[1])
    assert first.returncode == 3 and names[0] in first.stdout and not (into / "site").exists()
    second = unpack(out, into, *(out / name for name in names if name != names[1]))
    assert second.returncode == 0 and second.stdout == f"export PYTHONPATH={into / 'site'}\n"
    site = into / "site"
    assert (site / "tvm/lib/libtvm_compiler.so").read_text() == "compiler" * 1000
    assert (site / "some_data.py").read_text() == "y = 2\n"
    for absent in ("tvm/3rdparty", "a/tests", "numpy", "xgboost_cpu-3.0.data"):
        assert not (site / absent).exists()
    assert (site / "mmasched/_data/search_spaces").is_dir() and not list(site.rglob("__pycache__"))
    code = "import mmasched; print(mmasched.__file__, len(mmasched.network('resnet50').layers))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(site)}, text=True,
                           capture_output=True)  # fmt: skip
    assert found.stdout.split() == [str(site / "mmasched/__init__.py"), "24"]
    again = unpack(out, into)
    assert again.returncode == 0 and not (into / "parts").exists()


def test_a_damaged_part_is_refused(wheels, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, "--out", out, "--wheels", wheels, "--preset", 0) == 0
    (part,) = out.glob("bundle.tar.xz.*")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    done = unpack(out, tmp_path / "host")
    assert done.returncode == 1 and "bundle.tar.xz.00 is damaged" in done.stderr
    stranger = tmp_path / "stranger"
    stranger.write_text("")
    assert "is no part of this bundle" in unpack(out, tmp_path / "host", stranger).stderr


def test_runtime_only_leaves_the_compiler_out_and_takes_kernels(wheels, tmp_path, monkeypatch) -> None:
    out, kernels = tmp_path / "out", tmp_path / "best"
    kernels.mkdir()
    (kernels / "conv.so").write_text("kernel")
    words = ("--out", out, "--wheels", wheels, "--runtime-only", "--kernels", kernels, "--preset", 0)
    assert run(monkeypatch, *words) == 0
    assert unpack(out, tmp_path / "host").returncode == 0
    site = tmp_path / "host" / "site"
    assert (site / "tvm/lib/libtvm_runtime.so").is_file() and not (site / "tvm/lib/libtvm_compiler.so").exists()
    assert (site / "kernels/best/conv.so").read_text() == "kernel" and not (site / "xgboost").exists()


def test_the_host_says_what_it_has(tmp_path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("Package  Version\n------- ----\nscikit_learn 1.2\nnumpy==2.1\nonnx @ file\n")
    assert {"scikit-learn", "numpy", "onnx"} <= bundle.listed(path)


def test_requirements_are_those_of_the_package() -> None:
    wanted = bundle.requirements(False)
    assert "apache-tvm-ffi==0.1.14.post1" in wanted and any(line.startswith("numpy") for line in wanted)
    assert {line.split("=")[0].split(">")[0] for line in bundle.requirements(True)} == {
        "apache-tvm", "apache-tvm-ffi", "filelock", "numpy", "psutil"}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--part-mib", "0"], "give a size above 0"),
        (["--with", "cuddn"], "--with cuddn is unknown"),
        (["--kernels", "/no/such"], "/no/such does not exist"),
        (["--have-file", "/no/such"], "/no/such does not exist"),
    ],
)
def test_bad_words(words, reason, tmp_path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "--out", tmp_path / "out", "--wheels", tmp_path, *words) == 2
    assert reason in capsys.readouterr().err


def test_a_missing_wheel(tmp_path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, "--out", tmp_path / "out", "--wheels", tmp_path) == 2
    assert "no wheel of apache-tvm" in capsys.readouterr().err


def test_what_pip_cannot_find_is_said(tmp_path, monkeypatch, capsys) -> None:
    failed = subprocess.CompletedProcess(
        [], 1, "", "WARNING: x\nERROR: No matching distribution found for apache-tvm\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert run(monkeypatch, "--out", tmp_path / "out") == 2
    assert "pip cannot download for Python 3.12: ERROR: No matching" in capsys.readouterr().err
