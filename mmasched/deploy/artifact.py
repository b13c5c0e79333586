"""A compiled network as one file: a zip of the shared library, the weights, and JSON that says how to run them.

Nothing in it is unpickled or evaluated; the library is machine code for the chip it names.
"""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from mmasched.build.candidate import prepare_machine
from mmasched.deploy.compiled import CompiledNetwork, Layout, Port, Stretch
from mmasched.deploy.steps import HostStep
from mmasched.deploy.storage import Place
from mmasched.errors import BadInput, Missing, MmaschedError, Unsupported
from mmasched.hardware import hardware, runs_here
from mmasched.network import graph as g
from mmasched.problem import Conv2d

if TYPE_CHECKING:
    from mmasched.deploy.cuda.compiled import CompiledCudaNetwork

SCHEMA = 2
CPU_SCHEMA = 1  # of networks for CPUs; those for GPUs are of the newest (see cuda/artifact.py)
# What reading bytes that are no artifact, or a damaged one, raises (RuntimeError: TVM's, for a broken library).
DAMAGE = (zipfile.BadZipFile, LookupError, AttributeError, TypeError, ValueError, EOFError, RuntimeError)
LIBRARY, BLOB, MANIFEST, ARRAYS = "network.so", "weights.npy", "manifest.json", "arrays.npz"


def save(network: CompiledNetwork, path: str | Path) -> None:
    """Write the artifact. Raises BadInput for a path that cannot be written, Missing without a linker."""
    path = Path(path)
    write(network.layout, network.blob, {LIBRARY: network.library or _linked(network, path)}, path)


def write(layout: Layout, blob: np.ndarray, files: dict[str, bytes], path: Path) -> None:
    """Write an artifact with the library and other files as they are. Raises BadInput where `path` can't be written."""
    arrays: dict[str, np.ndarray] = {}
    manifest = {"schema": CPU_SCHEMA, **_layout_to_json(layout, arrays)}
    # Written beside the goal and moved there, so that a crash leaves no half artifact.
    partial = path.with_name(path.name + ".partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
            archive.writestr(BLOB, npy(blob))
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
            archive.writestr(ARRAYS, npz(arrays))
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise BadInput(f"the artifact {path} cannot be written: {error.strerror or error}") from error


def _linked(network: CompiledNetwork, path: Path) -> bytes:
    """The shared library of a network that was compiled in this process."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / LIBRARY
        try:
            network.module.export_library(str(library))
        except Exception as error:
            raise Missing(
                f"no shared library could be linked for {path}: install a C++ compiler (apt install g++)"
            ) from error
        return library.read_bytes()


def load(path: str | Path) -> CompiledNetwork | CompiledCudaNetwork:
    """Read an artifact that `CompiledNetwork.save` or `CompiledCudaNetwork.save` wrote; the latter loads without a GPU.

    Raises Missing if the file is absent, BadInput if it is no artifact or of a newer schema, Unsupported if it was
    compiled for instructions that this machine does not have.
    """
    path = Path(path)
    if not path.is_file():
        raise Missing(f"there is no artifact {path}: make one with mmasched compile MODEL.onnx -o {path}")
    damaged = BadInput(f"{path} is no artifact of mmasched, or a damaged one: compile the model again")
    try:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(files[MANIFEST])
        schema = int(manifest["schema"])
    except OSError as error:
        raise BadInput(f"the artifact {path} cannot be read: {error.strerror or error}") from error
    except DAMAGE as error:
        raise damaged from error
    if schema > SCHEMA:
        raise BadInput(f"{path} has artifact schema {schema}, this version reads up to {SCHEMA}: update mmasched")
    try:
        arrays = dict(np.load(io.BytesIO(files[ARRAYS]), allow_pickle=False))
        blob = np.load(io.BytesIO(files[BLOB]), allow_pickle=False)
        if schema > CPU_SCHEMA:
            from mmasched.deploy.cuda.artifact import read

            return read(manifest, files, arrays, blob)
        library = files[LIBRARY]
        layout = _layout_from_json(manifest, arrays)
        fits = runs_here(layout.target)
    except (MmaschedError, *DAMAGE) as error:
        raise damaged from error
    if not fits:
        raise Unsupported(
            f"{path} was compiled for {layout.target}, whose instructions this machine lacks: compile it for native"
        )
    prepare_machine(hardware(layout.target), layout.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / LIBRARY
            file.write_bytes(library)
            module = tvm.runtime.load_module(str(file))
        return CompiledNetwork(layout, module, blob, library)
    except DAMAGE as error:
        raise damaged from error


def npy(array: np.ndarray) -> bytes:
    """An array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Arrays as the bytes of a .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


# ---- JSON


def _layout_to_json(layout: Layout, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    sequence = []
    for item in layout.sequence:
        if isinstance(item, Stretch):
            sequence.append({"entry": item.entry, "io": item.io})
        else:
            sequence.append({"node": node_to_json(item.operator, arrays), "tensor": encode(item.tensor, arrays)})
    return {
        "name": layout.name, "target": layout.target, "chip": layout.chip, "threads": layout.threads,
        "inputs": [dataclasses.asdict(p) for p in layout.inputs],
        "outputs": [dataclasses.asdict(p) for p in layout.outputs],
        "sequence": sequence,
        "places": {name: dataclasses.asdict(place) for name, place in layout.places.items()},
        "shapes": layout.shapes, "dtypes": layout.dtypes, "offsets": layout.offsets,
        "arena_bytes": layout.arena_bytes, "direct": sorted(layout.direct),
        "constants": {name: encode(value, arrays) for name, value in layout.constants.items()},
        "untuned": [problem.key for problem in layout.untuned], "labels": layout.labels,
    }  # fmt: skip


def _layout_from_json(raw: dict[str, Any], arrays: dict[str, np.ndarray]) -> Layout:
    def port(fields: dict[str, Any]) -> Port:
        return Port(fields["name"], tuple(fields["shape"]), fields["dtype"])

    sequence: list[Stretch | HostStep] = []
    for item in raw["sequence"]:
        if "entry" in item:
            sequence.append(Stretch(item["entry"], tuple(item["io"])))
        else:
            tensor = g.Tensor(**decode(item["tensor"], arrays))
            sequence.append(HostStep(node_from_json(item["node"], arrays), tensor))
    return Layout(
        name=raw["name"], target=raw["target"], chip=raw["chip"], threads=int(raw["threads"]),
        inputs=tuple(map(port, raw["inputs"])), outputs=tuple(map(port, raw["outputs"])), sequence=tuple(sequence),
        places={name: Place(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
                for name, fields in raw["places"].items()},
        shapes={name: tuple(shape) for name, shape in raw["shapes"].items()}, dtypes=raw["dtypes"],
        offsets=raw["offsets"], arena_bytes=int(raw["arena_bytes"]), direct=frozenset(raw["direct"]),
        constants={name: decode(value, arrays) for name, value in raw["constants"].items()},
        untuned=tuple(Conv2d.from_key(key) for key in raw["untuned"]), labels=tuple(raw["labels"]),
    )  # fmt: skip


def encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for what nodes hold: arrays go to `arrays`, tuples are marked so that they come back as tuples."""
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"array": key}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {"tuple": [encode(v, arrays) for v in value]}
    if isinstance(value, list):
        return [encode(v, arrays) for v in value]
    if isinstance(value, dict):
        return {"dict": {str(k): encode(v, arrays) for k, v in value.items()}}
    if dataclasses.is_dataclass(value):
        return {"dict": {f.name: encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise Unsupported(f"an artifact cannot hold {type(value).__name__} values")


def decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What `encode` was given."""
    if isinstance(value, list):
        return [decode(v, arrays) for v in value]
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        if kind == "array":
            return arrays[inner]
        if kind == "tuple":
            return tuple(decode(v, arrays) for v in inner)
        return {name: decode(v, arrays) for name, v in inner.items()}
    return value


def node_to_json(node: g.Node, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A node by its kind's name and its fields."""
    return {"type": type(node).__name__, "fields": encode(node, arrays)}


def node_from_json(raw: dict[str, Any], arrays: dict[str, np.ndarray]) -> g.Node:
    """What `node_to_json` was given."""
    kinds = {kind.__name__: kind for kind in g.Node.__subclasses__()}
    return kinds[raw["type"]](**decode(raw["fields"], arrays))
