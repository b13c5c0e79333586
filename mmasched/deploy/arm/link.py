"""Object code, weights and C around them to one shared library."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import tvm

from mmasched.build.compile import BuildError
from mmasched.build.toolchain import cross_tool
from mmasched.deploy.arm.source import LIBRARY, RUNTIME

WEIGHTS = """
  .section .rodata
  .global network_weights
  .hidden network_weights
  .balign 64
network_weights:
  .incbin "weights.bin"
"""


def link(folder: Path, module: tvm.runtime.Module, blob: np.ndarray, texts: dict[str, str]) -> Path:
    """Write everything into `folder` and link it; the library's path.

    Raises Missing without a cross compiler, BuildError with the compiler's complaint.
    """
    module.write_to_file(str(folder / "kernels.o"), "o")
    inputs = ["kernels.o"]
    if texts:
        blob.tofile(folder / "weights.bin")
        (folder / "weights.S").write_text(WEIGHTS)
        for name, text in texts.items():
            (folder / name).write_text(text)
        (folder / RUNTIME.name).write_text(RUNTIME.read_text())
        inputs += ["weights.S", "network.c"]
    command = [cross_tool("arm", "gcc"), "-shared", "-fPIC", "-O2", "-Wall", "-o", LIBRARY, *inputs, "-lpthread", "-lm"]
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"the library could not be linked: {done.stderr.strip().splitlines()[-1]}")
    return folder / LIBRARY
