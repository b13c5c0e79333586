"""The wheel holds the whole package and its data and works outside the checkout; the public names load lazily."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA_FOLDERS = ("search_spaces", "tuning_logs")


def run_python(code: str, *paths: Path, cwd: Path) -> str:
    """Standard output of `code` in a fresh interpreter that looks for modules in `paths` first."""
    prefix = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n"
    done = subprocess.run([sys.executable, "-c", prefix + code], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that the checkout stays clean."""
    setuptools = pytest.importorskip("setuptools", reason="a wheel needs setuptools: pip install mmasched[test]")
    if tuple(int(part) for part in setuptools.__version__.split(".")[:2]) < (70, 1):
        pytest.skip(f"setuptools {setuptools.__version__} cannot build wheels alone: pip install mmasched[test]")
    source = tmp_path_factory.mktemp("source")
    for name in ("mmasched", *DATA_FOLDERS):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.lock"))
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(target)]
    done = subprocess.run([*command, "."], cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("mmasched-*.whl")
    return built


def test_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    patterns = configparser.ConfigParser()
    patterns.read(ROOT / "setup.cfg")
    suffixes = {".py", *(line.strip("* \n") for line in patterns["options.package_data"]["*"].split())}
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "mmasched").rglob("*")
        if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts and "_data" not in path.parts
    }
    expected |= {
        f"mmasched/_data/{path.relative_to(ROOT)}"
        for folder in DATA_FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }
    assert expected - held == set()
    assert not [name for name in held if name.startswith(("tests/", "tools/", "search_spaces/", "tuning_logs/"))]


def test_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "import mmasched, mmasched.data as d; print(mmasched.__file__); print(d.data_dir('search_spaces'))"
    module, spaces = run_python(code, site, cwd=tmp_path).splitlines()
    assert Path(module) == site / "mmasched" / "__init__.py"
    assert Path(spaces) == site / "mmasched" / "_data" / "search_spaces"
    shipped = {path.name for path in Path(spaces).rglob("*.toml")}
    assert shipped == {path.name for path in (ROOT / "search_spaces").rglob("*.toml")}


def test_wheel_declares_the_command_and_the_pins(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    assert "mmasched = mmasched.cli:main" in archive.read(entry_points).decode()
    declared = archive.read(metadata).decode()
    for line in ("apache-tvm==0.27.0", "apache-tvm-ffi==0.1.14.post1", "Requires-Python: >=3.10"):
        assert line in declared


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "mmasched").rglob("*.py") if "_data" not in path.parts}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_import_is_light() -> None:
    heavy = "[name for name in ('numpy', 'tvm', 'onnx', 'xgboost', 'typer') if name in sys.modules]"
    assert run_python(f"import mmasched; print({heavy})", ROOT, cwd=ROOT) == "[]"


def test_public_names_resolve() -> None:
    code = "import mmasched; print([n for n in mmasched.__all__ if not callable(getattr(mmasched, n))])"
    assert run_python(code, ROOT, cwd=ROOT) == "[]"


@pytest.mark.parametrize("name", ["tune", "network"])
def test_room_named_like_its_function_is_both(name: str) -> None:
    code = (
        "import inspect, mmasched\n"
        f"before = mmasched.{name}; import mmasched.{name} as room; from mmasched import {name}\n"
        f"assert before is room is {name} and callable(room)\n"
        f"assert inspect.signature(room) == inspect.signature(room.{name})"
    )
    run_python(code, ROOT, cwd=ROOT)


def test_unknown_public_name_is_an_attribute_error() -> None:
    code = "import mmasched\ntry: mmasched.nonsense\nexcept AttributeError as error: print(error)"
    assert "nonsense" in run_python(code, ROOT, cwd=ROOT)


@pytest.mark.parametrize("script", ["tools/test.sh", "tools/quickstart.sh", "tools/python.sh", ".ci/run"])
def test_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True, timeout=20)


def test_quickstart_names_what_is_missing(tmp_path: Path) -> None:
    """Without a C compiler, and without a Python, the script stops with a sentence about it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("quickstart.sh", "python.sh"):
        shutil.copy(ROOT / "tools" / name, tools)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname"):
        (programs / name).symlink_to(shutil.which(name))

    def stop() -> str:
        command = [str(programs / "bash"), str(tools / "quickstart.sh")]
        done = subprocess.run(command, env={"PATH": str(programs)}, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        return done.stderr

    assert "C compiler" in stop()
    (programs / "cc").symlink_to("/bin/true")
    assert "Python 3.10 or later" in stop()
