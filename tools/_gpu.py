"""What the GPU scripts share: the checkout on the path, resumable JSON lines, a time limit, the state of the board.

They run where nothing is installed but Python 3.10 and NumPy (and what each names): the checkout itself is the package.
Nothing here ever sets a clock, a power limit or a mode; they are read and written down.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mmasched.errors import BadInput  # noqa: E402

SCHEMA = 1
NVML = "libnvidia-ml.so.1"


class Lines:
    """A JSONL file of results under the key "id"; what is in it already is not measured again.

    A torn last line, left by a command that was ended, is dropped. Raises BadInput for another malformed line.
    """

    def __init__(self, path: Path):
        self.path, self.rows = path, []
        if not path.is_file():
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                self.rows.append((row["id"], row)[1])
            except (ValueError, KeyError, TypeError):
                if number == len(lines) and not line.endswith("\n"):
                    path.write_text("".join(lines[:-1]), encoding="utf-8")
                    break
                raise BadInput(f"{path}:{number} is no result of this tool: move the file away") from None

    def __contains__(self, identity: str) -> bool:
        return any(row["id"] == identity for row in self.rows)

    def add(self, identity: str, **fields: Any) -> dict[str, Any]:
        """Append a row and write it out at once."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        row = {"schema": SCHEMA, "id": identity, **fields, "time": now}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        self.rows.append(row)
        return row


class Deadline:
    """Whether there is time left; None for any amount of it."""

    def __init__(self, seconds: float | None):
        self._end = None if seconds is None else time.monotonic() + seconds

    def passed(self) -> bool:
        """Whether nothing new should be begun."""
        return self._end is not None and time.monotonic() >= self._end


class Board:
    """Reads the board's clocks (MHz), power (W) and temperature (degrees Celsius) through NVML, while `watching`.

    Without NVML nothing is read, and `watching` says {}. bus: the PCI bus id of the GPU, as the driver tells it.
    """

    def __init__(self, bus: str, library: str = NVML):
        self._device = ctypes.c_void_p()
        try:
            self._nvml = ctypes.CDLL(library)
        except OSError:
            self._nvml = None
            return
        if self._nvml.nvmlInit_v2() or self._nvml.nvmlDeviceGetHandleByPciBusId_v2(
            bus.encode(), ctypes.byref(self._device)
        ):
            self._nvml = None

    def read(self) -> dict[str, float]:
        """What can be read now: sm_mhz, memory_mhz, watts, celsius, limits (a bit mask of what holds clocks down)."""
        if self._nvml is None:
            return {}
        found: dict[str, float] = {}
        for name, function, before, kind, factor in (
            ("sm_mhz", "nvmlDeviceGetClockInfo", (1,), ctypes.c_uint, 1),
            ("memory_mhz", "nvmlDeviceGetClockInfo", (2,), ctypes.c_uint, 1),
            ("watts", "nvmlDeviceGetPowerUsage", (), ctypes.c_uint, 1e-3),
            ("celsius", "nvmlDeviceGetTemperature", (0,), ctypes.c_uint, 1),
            ("limits", "nvmlDeviceGetCurrentClocksThrottleReasons", (), ctypes.c_ulonglong, 1),
        ):
            value = kind()
            call = getattr(self._nvml, function, None)
            if call is not None and call(self._device, *before, ctypes.byref(value)) == 0:
                found[name] = value.value * factor
        return found

    def watching(self, work: Callable[[], Any], every: float = 0.02) -> tuple[Any, dict[str, float]]:
        """(what `work()` returns, medians of what was read while it ran, all bits of "limits" that were ever set)."""
        if self._nvml is None:
            return work(), {}
        seen: list[dict[str, float]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(every):
                seen.append(self.read())

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            result = work()
        finally:
            over.set()
            thread.join()
        seen = seen or [self.read()]
        medians = {name: statistics.median(row[name] for row in seen if name in row) for name in seen[-1]}
        limits = 0
        for row in seen:
            limits |= int(row.get("limits", 0))
        return result, {**medians, "limits": limits} if medians else {}


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [head, rule, *rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
