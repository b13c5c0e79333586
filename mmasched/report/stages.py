"""The stages of a long tool: numbered headings, and how long each took."""

from __future__ import annotations

import time


class Stages:
    """Prints a heading as each of `count` stages begins; `seconds` has what the ended ones took, by name."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seconds: dict[str, float] = {}
        self._name, self._start = "", 0.0

    def begin(self, name: str, text: str) -> None:
        """The next stage; the one before is over."""
        self.end()
        self._name = name
        print(f"[{len(self.seconds) + 1}/{self.count}] {text}", flush=True)

    def end(self) -> None:
        """The last stage is over."""
        now = time.monotonic()
        if self._name:
            self.seconds[self._name] = now - self._start
        self._name, self._start = "", now
