"""Replay what a GPU did with single instructions in the emulator, and compare bit by bit.

    python tools/gpu_replay.py out/gpu/fragments-sm_90.npz

The file is that of tools/gpu_fragments.py, which says what it holds. Each case's kernel runs under emulation on the
same operands. Exit status 1 where a word differs or an instruction that the GPU has is unknown to the emulator.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.cudaemu import EmulationError, TensorMap, emulate
from mmasched.errors import BadInput, MmaschedError
from mmasched.templates.cuda.program import Launch

SCHEMA = 1
KERNEL = "one"
MAP_TYPE = "struct __align__(64) Map { unsigned char bytes[128]; };\n"
UNWRITTEN = 0xA5A5A5A5  # what gpu_fragments.py fills the output with


@dataclass(frozen=True)
class Result:
    """One case. differing: words unlike the GPU's, of `words`; problem: why it could not be replayed, "" if it was."""

    name: str
    differing: int = 0
    words: int = 0
    problem: str = ""

    @property
    def same(self) -> bool:
        """Whether the emulator does what the GPU did."""
        return not self.problem and self.differing == 0


def main(words: list[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="only instructions whose name has TEXT")
    arguments = parser.parse_args(words)
    try:
        manifest, arrays = read(arguments.file)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{manifest['kind']} on {manifest['board']} (sm_{manifest['capability']}), replayed under emulation")
    results = []
    for result in replayed(manifest, arrays, arguments.only):
        results.append(result)
        if not result.same:
            print(
                f"{result.name}: {result.problem or f'{result.differing} of {result.words} words differ'}", flush=True
            )
    unmeasured = [case["name"] for case in manifest["cases"] if case["error"] is not None]
    for name in unmeasured:
        print(f"{name}: not in the file, the GPU host failed on it")
    print(f"{sum(result.same for result in results)} of {len(results)} instructions are the same")
    return 0 if results and all(result.same for result in results) else 1


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The manifest and the arrays of a file. Raises BadInput for one that gpu_fragments.py did not write."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        manifest = json.loads(str(arrays.pop("manifest")))
        schema = manifest["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is no file of tools/gpu_fragments.py ({error})") from None
    if schema != SCHEMA:
        raise BadInput(f"{path} has schema {schema}, this tool reads {SCHEMA}: use the version that wrote it")
    return manifest, arrays


def replayed(manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray], only: str = "") -> Iterator[Result]:
    """The measured cases whose name has a text, one after the other."""
    for number, case in enumerate(manifest["cases"]):
        if case["error"] is None and only in case["name"]:
            part = {name: arrays[f"{name}/{number}"] for name in ("in", "out", "source")}
            yield replay(case, part, manifest["capability"], arrays.get("tensor"))


def replay(case: Mapping[str, Any], part: Mapping[str, np.ndarray], capability: int, tensor: Any) -> Result:
    """One case: `part` has its operands, what the GPU gave, and the kernel."""
    given, measured = np.ascontiguousarray(part["in"]), part["out"]
    out = np.full(measured.shape, UNWRITTEN, np.uint32)
    buffers: dict[str, Any] = {"in": given, "out": out}
    try:
        if case["tensor_map"] is not None:
            buffers["tensor"] = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
            buffers["map"] = tensor_map(case["tensor_map"], tensor.shape)
        launch = Launch(KERNEL, given.shape[0], case["threads"], 0)
        emulate(translatable(str(part["source"])), (launch,), buffers, architecture(capability), races=False)
    except (EmulationError, MmaschedError) as error:
        return Result(case["name"], words=measured.size, problem=f"{type(error).__name__}: {error}")
    return Result(case["name"], int(np.count_nonzero(out != measured)), measured.size)


def translatable(source: str) -> str:
    """The kernel with the map's parameter typed as in generated code, by which the emulator knows it."""
    return source.replace(MAP_TYPE, "").replace(
        "const __grid_constant__ Map map", "const __grid_constant__ CUtensorMap map"
    )


def tensor_map(fields: Mapping[str, Any], shape: tuple[int, ...]) -> TensorMap:
    """What gpu_fragments.py encoded over a tensor of bytes [images, rows, columns, channels]."""
    images, rows, columns, channels = shape
    swizzle = fields["swizzle"] if fields["swizzle"] == "none" else f"{fields['swizzle']}B"
    shared = {"element_strides": tuple(fields["steps"]), "swizzle": swizzle}
    if fields["kind"] == "tiled":
        shared["box"] = tuple(fields["box"])
    else:
        shared.update(lower=tuple(fields["lower"]), upper=tuple(fields["upper"]), channels=fields["channels"],
                      pixels=fields["pixels"])  # fmt: skip
    strides = (channels, channels * columns, channels * columns * rows)
    return TensorMap("tensor", 1, (channels, columns, rows, images), strides, **shared)


def architecture(capability: int) -> str:
    """sm_90a for 90, as the kernels are compiled."""
    return f"sm_{capability}a" if capability == 90 else f"sm_{capability}"


if __name__ == "__main__":
    sys.exit(main())
