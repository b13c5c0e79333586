"""PyTorch without a GPU that says it has one: what is asked of the device happens at once on the host."""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace


class Graph:
    def __init__(self):
        self.calls = []

    def replay(self) -> None:
        time.sleep(1e-5)


class Event:
    def __init__(self, enable_timing: bool = False):
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Event) -> float:
        return 1e3 * (end.at - self.at)


class Stream:
    cuda_stream = 77

    def wait_stream(self, other: object) -> None:
        pass


class HostTorch:
    """The module torch, with `cuda` replaced and the device dropped wherever it is named."""

    def __init__(self, torch, monkeypatch):
        self._torch = torch
        monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor.clone())
        properties = SimpleNamespace(L2_cache_size=1 << 16, name="Host", multi_processor_count=1, major=9, minor=0)
        self.cuda = SimpleNamespace(
            is_available=lambda: True, get_device_properties=lambda _=0: properties, synchronize=lambda: None,
            Stream=Stream, current_stream=lambda: Stream(), stream=lambda _: contextlib.nullcontext(),
            CUDAGraph=Graph, graph=lambda _: contextlib.nullcontext(), Event=Event,
            get_device_capability=lambda _=0: (9, 0),
        )  # fmt: skip

    def __getattr__(self, name: str):
        found = getattr(self._torch, name)
        if name not in ("randint", "full", "full_like", "empty", "zeros", "ones", "linspace", "tensor"):
            return found

        def made(*args, device=None, **options):
            return found(*args, **options)

        return made
