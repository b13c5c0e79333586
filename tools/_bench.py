"""What the benchmarks share: the machine, the versions, the JSON file, and a few figures."""

from __future__ import annotations

import argparse
import json
import math
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from mmasched import __version__
from mmasched.cli.inputs import check_output
from mmasched.errors import BadInput, MmaschedError
from mmasched.hardware import hardware
from mmasched.measure.affinity import available_cores
from mmasched.report.console import console
from mmasched.report.format import number_of, size

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
SCHEMA = 1
# Other processes that take more than this share of one core spoil what is measured, on several cores above all.
TOLERATED_LOAD = 0.1
PACKAGES = ("numpy", "apache-tvm", "apache-tvm-ffi", "onnx", "onnxruntime", "xgboost-cpu")


def parser(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help=defaults.get("quick", "fewer and shorter measurements"))
    made.add_argument("--json", type=Path, metavar="FILE", help="write every number to FILE as well")
    return made


def names(text: str) -> list[str]:
    """ "a,b" as ["a", "b"]."""
    return [part.strip() for part in text.split(",") if part.strip()]


def counts(text: str) -> list[int]:
    """ "1,2" as [1, 2]; raises ValueError, which argparse reports, for anything else."""
    return sorted({int(part) for part in text.split(",")})


def usable_threads(wanted: Iterable[int]) -> list[int]:
    """Those thread counts that this process has cores for; says which are left out. Raises BadInput if none is left."""
    available = len(available_cores())
    usable = [threads for threads in wanted if 1 <= threads <= available]
    for threads in set(wanted) - set(usable):
        print(f"{number_of(threads, 'core')}: skipped, this process may use {available}")
    if not usable:
        raise BadInput(f"no thread count is left: this process may use {available}")
    return usable


@dataclass
class Report:
    """One run of a benchmark: what was measured on, with which command and versions, and all results.

    kind is "measured" where every time was taken on the machine named and nothing is modelled or emulated; what else it
    says is said of the results as well. figures: what stands at the top level of the JSON file besides.
    """

    tool: str
    command: str
    results: list[Any] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    kind: str = "measured"
    figures: dict[str, Any] = field(default_factory=dict)
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        self._start = time.monotonic()
        self.machine, self.versions = machine(), versions()
        self.load_before = busy_cores()

    def head(self) -> None:
        """Prints what the numbers belong to."""
        about = self.machine
        print(f"machine   {about['name']} ({about['chip']}), native target {about['target']}, "
              f"{number_of(about['cores'], 'core')} for this process, L2 {size(about['l2'])}, "
              f"Linux {about['kernel']}")  # fmt: skip
        print(f"command   {self.command}")
        print("versions  " + ", ".join(f"{name} {version}" for name, version in self.versions.items()))
        if self.load_before > TOLERATED_LOAD:
            print(f"warning: other processes keep {self.load_before:.1f} cores busy; the times below are too long")
        print(flush=True)

    def save(self) -> None:
        """Writes the JSON file if one was asked for, replacing what was there; called again whenever there is more."""
        if self.path is None:
            return
        body = {
            "schema": SCHEMA, "tool": self.tool, "command": self.command, "kind": self.kind, "started": self.started,
            "seconds": round(time.monotonic() - self._start, 1), "machine": self.machine, "versions": self.versions,
            "load_before": round(self.load_before, 2), "options": self.options, "results": self.results,
            "summary": self.summary, **self.figures,
        }  # fmt: skip
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text(json.dumps(_plain(body), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(self.path)


def run(
    made: argparse.ArgumentParser,
    bench: Callable[[argparse.Namespace, Report], int],
    given: Sequence[str] | None = None,
    kind: str = "measured",
) -> int:
    """Parses the command line and runs a benchmark; an error of the user's becomes one sentence and exit status 2.

    given: the arguments, those of the process by default. kind: see Report. Ctrl-C ends with status 130.
    """
    arguments = made.parse_args(given)
    try:
        if arguments.json:
            if arguments.json.resolve().parent == OUT:
                OUT.mkdir(exist_ok=True)  # Not in a fresh checkout.
            check_output(arguments.json, "file")
        tool = Path(sys.argv[0])
        shown = {key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()}
        command = shlex.join(["python", f"tools/{tool.name}", *(sys.argv[1:] if given is None else given)])
        report = Report(tool.stem, command, options=shown, path=arguments.json, kind=kind)
        report.head()
        status = bench(arguments, report)
        report.save()
        return status
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: what is kept from run to run is not lost", file=sys.stderr)
        return 130


def machine() -> dict[str, Any]:
    """What the numbers are measured on; cache sizes in bytes."""
    chip = hardware("native")
    return {
        "name": chip.name, "chip": chip.chip, "target": str(chip.target), "features": sorted(chip.features),
        "cores": len(available_cores()), "l1d": chip.l1d, "l2": chip.l2, "l3": chip.l3,
        "kernel": platform.release(), "notes": list(chip.notes),
    }  # fmt: skip


def versions() -> dict[str, str]:
    """mmasched with its revision, Python and the packages in use here (peers' own versions are in the results)."""
    found = {"mmasched": __version__ + _revision(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _revision() -> str:
    """ "+abc1234" in a checkout, "*" added when package or tools differ from it."""
    try:
        git = ["git", "-C", str(ROOT)]
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10)
        changed = subprocess.run([*git, "status", "--porcelain", "mmasched", "tools", "search_spaces"],
                                 capture_output=True, text=True, timeout=10)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if commit.returncode != 0:
        return ""
    return f"+{commit.stdout.strip()}{'*' if changed.stdout.strip() else ''}"


def busy_cores() -> float:
    """How many cores' worth of time other processes take now."""
    return psutil.cpu_percent(interval=0.5) / 100 * (psutil.cpu_count() or 1)


def geometric_mean(values: Iterable[float]) -> float | None:
    """None for no values."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def show(table: Any, title: str, kind: str = "measured") -> None:
    """Prints a table under its title, which says whether what it shows was measured."""
    out = console()
    out.print(f"\n{title}; {kind}\n")
    out.print(table)


def _plain(value: Any) -> Any:
    """JSON types only: numbers that are none (nan) become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
