"""What users name on the command line becomes networks, problems, configs, arrays and paths."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput, Missing, nearest


def network_of(text: str, batch: int | None = None) -> Any:
    """The Network that a user names: an ONNX file, a built-in name or a single problem.

    Fully connected layers of an ONNX model are in it, as the 1x1 convolutions that the compiled network runs.
    """
    from mmasched.network import Network, load_network, network
    from mmasched.network.tables import ARCHITECTURES

    if text.endswith(".onnx") or os.path.isfile(text):
        found = load_network(text, batch, linear=True)
        if not found.layers:
            raise BadInput(f"{text} has no convolutions to tune")
        return replace(found, name=Path(text).stem)
    if text in ARCHITECTURES:
        return network(text, batch=1 if batch is None else batch)
    if "/" in text:
        from mmasched.cli.shapes import problem_of

        return Network.of("problem", [("convolution", problem_of(text))])
    raise BadInput(
        f"there is no network {text!r}: give a quantized .onnx file or a built-in name; {nearest(text, ARCHITECTURES)}"
    )


def config_of(text: str | None) -> Any:
    """The Config in a JSON text: {"template": ..., "config": {...}}, as a line of a log has it. None stays None."""
    from mmasched.space import Config

    if text is None:
        return None
    example = '{"template": "x86_gemm", "config": {"tile_w": 4, ...}}, as `mmasched log best --json` prints it'
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise BadInput(f"--config is not JSON ({error}): write {example}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("config"), dict) or not isinstance(raw.get("template"), str):
        raise BadInput(f"--config has no template and config: write {example}")
    return Config.from_dict(raw["template"], raw["config"])


def check_output(path: Path, what: str) -> None:
    """Raises BadInput where a file could not be written at the end of long work."""
    folder = path.parent
    if path.is_dir():
        reason = "it is a folder; name a file"
    elif not folder.exists():
        reason = f"there is no folder {folder}; make it first"
    elif not folder.is_dir():
        reason = f"{folder} is not a folder; choose another path"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        reason = "permission denied; choose another path or make it writable"
    else:
        return
    raise BadInput(f"can't write the {what} {path}: {reason}")


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file by name."""
    import zlib
    from zipfile import BadZipFile

    import numpy as np

    if not path.is_file():
        raise Missing(f"there is no input {path}: save one with numpy.savez({str(path)!r}, NAME=array)")
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("it holds a single array without a name")
        with archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise BadInput(f"{path} is no .npz file of arrays ({error}): save it with numpy.savez") from None


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz file at exactly this path."""
    import numpy as np

    try:
        with open(path, "wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise BadInput(f"can't write the output {path}: {error.strerror or error}; choose another path") from None


def random_feeds(ports: Any, seed: int = 0) -> dict[str, Any]:
    """Random arrays for the inputs of a compiled network: normal floats, integers over their whole range."""
    import numpy as np

    random = np.random.default_rng(seed)
    feeds = {}
    for port in ports:
        kind = np.dtype(port.dtype)
        if kind.kind == "f":
            feeds[port.name] = random.standard_normal(port.shape).astype(kind)
        elif kind.kind == "b":
            feeds[port.name] = random.integers(0, 2, port.shape).astype(kind)
        else:
            limits = np.iinfo(kind)
            feeds[port.name] = random.integers(limits.min, limits.max, port.shape, kind, endpoint=True)
    return feeds


def command_line(name: str, *arguments: str, **options: Any) -> str:
    """A command to copy: None options are left out, underscores become dashes, everything is quoted for the shell."""
    import shlex

    words = ["mmasched", name, *arguments]
    for option, value in options.items():
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    return shlex.join(words)


def result_rows(path: Path | None, checked: Callable[[Any], Any], what: str) -> list[Any]:
    """The JSON lines of an earlier run as `checked` returns them, none where there is no file.

    checked: raises ValueError, KeyError, TypeError or AttributeError for a line of another kind. A torn last line is
    cut off the file. Raises BadInput, saying that it is no `what`, for another malformed line.
    """
    if path is None or not path.is_file():
        return []
    found, text = [], path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(text, 1):
        try:
            found.append(checked(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            if number == len(text) and not line.endswith("\n"):
                path.write_text("".join(text[:-1]), encoding="utf-8")
                break
            raise BadInput(f"{path}:{number} is no {what}: move the file away") from None
    return found
