"""Several worker processes that build at the same time."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from mmasched.measure.limits import Limits
from mmasched.measure.worker import Worker


class WorkerPool:
    """Worker processes with one core each, every one served by a thread of its own.

    A worker dies with the thread that started it, and the threads live as long as the pool. ``module`` is that of the
    jobs (see Worker).
    """

    def __init__(self, module: str, cores: Sequence[int], limits: Limits | None = None) -> None:
        self._workers = [Worker(module, [core], limits) for core in cores]
        self._idle = list(self._workers)
        self._own = threading.local()
        self._closed = False
        self._running: set[Future[dict[str, Any]]] = set()
        self._threads = ThreadPoolExecutor(len(self._workers), "mmasched-build", self._take_worker)

    @property
    def size(self) -> int:
        """How many jobs run at the same time."""
        return len(self._workers)

    def submit(self, function: str, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """The future of ``Worker.call(function, job)``, which starts as soon as a worker is free."""
        future = self._threads.submit(self._call, function, job)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def close(self) -> None:
        """Kills all workers and what they started; what was still waiting is cancelled. Closing twice is fine."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        while running := set(self._running):
            # A thread that waits for an answer finds its process dead; one that was starting a process is met later.
            for process_id in (worker.process_id for worker in self._workers):
                if process_id is not None:
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(process_id, signal.SIGKILL)
            wait(running, timeout=0.2)
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.close()

    def _take_worker(self) -> None:
        self._own.worker = self._idle.pop()

    def _call(self, function: str, job: dict[str, Any]) -> dict[str, Any]:
        if self._closed:
            return {"status": "build_error", "detail": "the pool was closed"}
        return self._own.worker.call(function, job)
