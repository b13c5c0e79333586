"""The data files of this folder: one TOML file per family of chips."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FAMILIES = ("x86", "arm", "cuda")


@cache
def family_table(family: str) -> dict[str, Any]:
    """The parsed data file of a family; callers must not change it."""
    path = Path(__file__).with_name(f"{family}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def chips(family: str) -> dict[str, dict[str, Any]]:
    """The chips of a family by name, in the order of the file."""
    return {chip["name"]: chip for chip in family_table(family)["chip"]}


def target_names() -> list[str]:
    """Every `family/chip`, in the order of the files."""
    return [f"{family}/{name}" for family in FAMILIES for name in chips(family)]
