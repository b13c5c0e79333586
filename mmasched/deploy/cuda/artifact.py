"""A network for a GPU as one file: a zip of CUDA C, machine code, packed constants, and JSON that says how to run them.

Nothing in it is unpickled or evaluated on the host; the kernels are code for the GPU architecture that it names.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.deploy import artifact as common
from mmasched.deploy.compiled import Port
from mmasched.deploy.cuda.compiled import CompiledCudaNetwork
from mmasched.deploy.cuda.network import Call, CudaLayout, Kernels, Region
from mmasched.deploy.cuda.places import Place
from mmasched.deploy.steps import HostStep
from mmasched.errors import BadInput
from mmasched.network import graph as g
from mmasched.problem import Conv2d
from mmasched.templates.cuda.program import Launch


def save(network: CompiledCudaNetwork, path: str | Path) -> None:
    """Write the artifact. Raises BadInput for a path that cannot be written."""
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    manifest = {"schema": common.SCHEMA, **_to_json(network, arrays)}
    partial = path.with_name(path.name + ".partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(common.MANIFEST, json.dumps(manifest, indent=1))
            archive.writestr(common.BLOB, common.npy(network.blob))
            archive.writestr(common.ARRAYS, common.npz(arrays))
            for i, one in enumerate(network.kernels):
                archive.writestr(_source(i), one.text)
                if one.image is not None:
                    archive.writestr(_image(i), one.image)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise BadInput(f"the artifact {path} cannot be written: {error.strerror or error}") from error


def read(
    manifest: Mapping[str, Any], files: Mapping[str, bytes], arrays: dict[str, np.ndarray], blob: np.ndarray
) -> CompiledCudaNetwork:
    """The network of an opened artifact. Raises one of artifact.DAMAGE for contents that do not fit together."""
    kernels = [
        Kernels(
            files[_source(i)].decode(), tuple(Launch(*one) for one in raw["launches"]),
            {name: tuple(buffers) for name, buffers in raw["parameters"].items()}, files.get(_image(i)),
            raw["resources"],
        )
        for i, raw in enumerate(manifest["kernels"])
    ]  # fmt: skip
    layout = _layout(manifest, arrays)
    if blob.dtype != np.uint32 or blob.nbytes != layout.sizes["blob"]:
        raise ValueError("the packed constants are of another size")
    return CompiledCudaNetwork(layout, kernels, blob)


def _source(number: int) -> str:
    return f"kernels/{number}.cu"


def _image(number: int) -> str:
    return f"kernels/{number}.cubin"


def _to_json(network: CompiledCudaNetwork, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    layout = network.layout
    sequence = []
    for item in layout.sequence:
        if isinstance(item, HostStep):
            node = common.node_to_json(item.operator, arrays)
            sequence.append({"node": node, "tensor": common.encode(item.tensor, arrays)})
        else:
            sequence.append({"calls": [dataclasses.asdict(call) for call in item]})
    kernels = [
        {"launches": [dataclasses.astuple(launch) for launch in one.launches], "parameters": one.parameters,
         "resources": one.resources}
        for one in network.kernels
    ]  # fmt: skip
    return {
        "name": layout.name, "target": layout.target, "kernels": kernels, "sequence": sequence,
        "inputs": [dataclasses.asdict(p) for p in layout.inputs],
        "outputs": [dataclasses.asdict(p) for p in layout.outputs],
        "places": {name: dataclasses.asdict(place) for name, place in layout.places.items()},
        "offsets": layout.offsets, "shapes": layout.shapes, "sizes": layout.sizes,
        "constants": {name: common.encode(value, arrays) for name, value in layout.constants.items()},
        "untuned": [problem.key for problem in layout.untuned],
    }  # fmt: skip


def _layout(raw: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> CudaLayout:
    def port(fields: Mapping[str, Any]) -> Port:
        return Port(fields["name"], tuple(fields["shape"]), fields["dtype"])

    def call(fields: Mapping[str, Any]) -> Call:
        regions = {name: Region(**region) for name, region in fields["arguments"].items()}
        return Call(int(fields["kernels"]), regions, fields["label"], fields["node"])

    sequence: list[tuple[Call, ...] | HostStep] = []
    for item in raw["sequence"]:
        if "calls" in item:
            sequence.append(tuple(map(call, item["calls"])))
        else:
            tensor = g.Tensor(**common.decode(item["tensor"], arrays))
            sequence.append(HostStep(common.node_from_json(item["node"], arrays), tensor))
    return CudaLayout(
        name=raw["name"], target=raw["target"], inputs=tuple(map(port, raw["inputs"])),
        outputs=tuple(map(port, raw["outputs"])), sequence=tuple(sequence),
        places={name: Place(tuple(p["shape"]), p["dtype"], p["kind"]) for name, p in raw["places"].items()},
        offsets=raw["offsets"], shapes={name: tuple(shape) for name, shape in raw["shapes"].items()},
        sizes=raw["sizes"], constants={name: common.decode(value, arrays) for name, value in raw["constants"].items()},
        untuned=tuple(Conv2d.from_key(key) for key in raw["untuned"]),
    )  # fmt: skip
