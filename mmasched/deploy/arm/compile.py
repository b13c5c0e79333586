"""A fused network to object code for an Arm core, and from there to files for a board."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from mmasched.build.toolchain import cross_tool
from mmasched.deploy.arm import source
from mmasched.deploy.arm.link import link
from mmasched.deploy.compiled import Layout, Port
from mmasched.errors import Unsupported
from mmasched.problem import Conv2d


@dataclass(frozen=True, eq=False)
class CompiledArmNetwork:
    """A network for another machine: it can be saved, and run by what was saved.

    untuned: problems for which no record was found, so that a default schedule runs.
    """

    layout: Layout
    module: tvm.runtime.Module
    blob: np.ndarray

    @property
    def untuned(self) -> tuple[Conv2d, ...]:
        """The problems that run a default schedule."""
        return self.layout.untuned

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What it takes."""
        return self.layout.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What it gives."""
        return self.layout.outputs

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raises Unsupported: this machine has none of the target's instructions."""
        lacking = f"the network was compiled for {self.layout.target}, whose instructions this machine lacks"
        raise Unsupported(f"{lacking}: save it and run it there, or from C under qemu-aarch64")

    def files(self) -> dict[str, bytes]:
        """The shared library and, where C can run the network alone, its header and an example (source.FILES)."""
        texts = source.texts(self.layout, self.blob.size)
        with tempfile.TemporaryDirectory(prefix="mmasched-") as folder:
            library = link(Path(folder), self.module, self.blob, texts)
            found = {source.LIBRARY: library.read_bytes()}
        return found | {name: text.encode() for name, text in texts.items() if name in (source.HEADER, source.EXAMPLE)}

    def save(self, path: str | Path) -> None:
        """Write the artifact: a zip with the library, the weights, and header and example in C.

        Raises BadInput for a path that cannot be written, Missing without a cross compiler.
        """
        from mmasched.deploy.artifact import write

        write(self.layout, self.blob, self.files(), Path(path))


def checked(chip: Any) -> None:
    """Raises Missing where nothing can be linked for the chip."""
    cross_tool(chip.target.family, "gcc")
