import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory) -> str:
    """The path of a driver library whose memory is the host's and whose kernels do nothing."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc (Debian: apt-get install gcc)")
    path = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    source = ROOT / "tests" / "compare" / "cuda" / "fake_driver.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", str(path), str(source)], check=True)
    return str(path)
