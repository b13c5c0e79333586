"""Space files: the knobs of a template as TOML data, its constraints by name.

    template = "x86_gemm"
    constraints = ["accumulators_fit"]      # implemented in Python beside the template

    [[knob]]
    name = "tile_m"
    type = "ordered"                        # ordered, choice or flag
    values = [1, 2, 4, 8]                   # a flag needs none
    doc = "Rows of the register tile."

Nothing in a space file is ever evaluated.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmasched.data import data_dir
from mmasched.errors import BadInput, MmaschedError, nearest
from mmasched.space.constraint import Check
from mmasched.space.knob import Choice, Flag, Knob, Ordered
from mmasched.space.search_space import SearchSpace

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KNOB_TYPES: dict[str, type[Knob]] = {"ordered": Ordered, "choice": Choice, "flag": Flag}
FILE_FIELDS = ("template", "doc", "constraints", "knob")
KNOB_FIELDS = ("name", "type", "values", "doc")


def space_dir() -> Path:
    """The folder of the space files that come with the project."""
    return data_dir("search_spaces")


def load_space(path_or_name: str | Path, constraints: Mapping[str, Check], problem: Any, hardware: Any) -> SearchSpace:
    """The search space that a TOML file describes, for `problem` on `hardware`.

    `path_or_name` is a path (a Path, or a string that ends in ".toml" or has a separator) or the bare name of a file in
    `space_dir()`. `constraints` maps the names that the file may use to checks. Raises BadInput, naming file, line
    where known, field and remedy, for a missing or malformed file and for unknown constraints.
    """
    path = _find(path_or_name)
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a text file: {error}") from error
    _known_fields(str(path), table, FILE_FIELDS)
    template = table.get("template")
    if not isinstance(template, str) or not template:
        raise BadInput(f'{path}: field "template" must be a template\'s name, like template = "x86_gemm"')
    names = table.get("constraints", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f'{path}: field "constraints" must be a list of names, not {names!r}')
    for name in names:
        if name not in constraints:
            hint = nearest(name, constraints)
            raise BadInput(f'{path}: field "constraints": {template} has no constraint {name!r}; {hint}')
    knobs = table.get("knob")
    if not isinstance(knobs, list) or not knobs:
        raise BadInput(f"{path}: there are no knobs: describe each under a [[knob]] heading")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*knob\s*\]\]", line)]
    built = [
        _knob(f"{path}:{lines[i]}" if len(lines) == len(knobs) else str(path), i, knob) for i, knob in enumerate(knobs)
    ]
    try:
        return SearchSpace(template, built, {name: constraints[name] for name in names}, problem, hardware)
    except MmaschedError as error:
        raise type(error)(f"{path}: {error}") from error


def _find(path_or_name: str | Path) -> Path:
    text = str(path_or_name)
    if isinstance(path_or_name, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        path = Path(path_or_name)
        if not path.is_file():
            raise BadInput(f"there is no space file {path}; check the path")
        return path
    path = space_dir() / f"{text}.toml"
    if not path.is_file():
        known = [file.stem for file in space_dir().glob("*.toml")]
        raise BadInput(f"there is no search space {text!r}; {nearest(text, known)}")
    return path


def _known_fields(where: str, table: Mapping[str, Any], fields: Iterable[str]) -> None:
    for field in table:
        if field not in fields:
            # TOML gives every key to the heading above it.
            hint = "move it above the first [[knob]]" if field in FILE_FIELDS else nearest(field, fields)
            raise BadInput(f"{where}: unknown field {field!r}; {hint}")


def _knob(where: str, number: int, table: Any) -> Knob:
    if not isinstance(table, dict):
        raise BadInput(f"{where}: knob {number + 1} must be a table under a [[knob]] heading, not {table!r}")
    where = f"{where}: knob {table.get('name', number + 1)!r}"
    _known_fields(where, table, KNOB_FIELDS)
    for field in ("name", "type"):
        if not isinstance(table.get(field), str):
            raise BadInput(f'{where}: field "{field}" is missing or not a string')
    kind = KNOB_TYPES.get(table["type"])
    if kind is None:
        hint = nearest(table["type"], KNOB_TYPES)
        raise BadInput(f'{where}: field "type": {table["type"]!r} is no knob type; {hint}')
    if kind is not Flag and "values" not in table:
        raise BadInput(f'{where}: field "values" is missing: list the values to choose from')
    doc = table.get("doc", "")
    if not isinstance(doc, str):
        raise BadInput(f'{where}: field "doc" must be a string, not {doc!r}')
    values = table.get("values", (False, True))
    if not isinstance(values, list | tuple):
        raise BadInput(f'{where}: field "values" must be a list, not {values!r}')
    try:
        return kind(table["name"], tuple(values), doc)
    except MmaschedError as error:
        raise BadInput(f"{where}: {error}") from error
