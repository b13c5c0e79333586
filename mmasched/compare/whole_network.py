"""Whole networks as contestants: each in a process of its own, NCHW arrays in and out, timed in rotation.

They reuse the processes of `mmasched.compare`: what is prepared is a network instead of a problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.contestant import Contestant
from mmasched.compare.rotation import Timing, rotate


@dataclass(frozen=True)
class NetworkPeer(Peer):
    """A file that holds a network, run by the library that reads it. `load` gets the feeds, {input: array}."""

    path: str

    def unsupported(self, problem: Any) -> str | None:
        """There is no problem, only the network."""
        return None


@dataclass(frozen=True)
class ArtifactPeer(NetworkPeer):
    """What `mmasched compile` wrote."""

    name: ClassVar[str] = "mmasched"
    modules: ClassVar[tuple[str, ...]] = ("tvm",)
    install: ClassVar[str] = "mmasched"

    def load(self, problem: Any, operands: Operands, threads: int) -> Prepared:
        """The number of threads is the artifact's."""
        from mmasched.deploy import load

        network = load(self.path)
        return _prepared(lambda: network.run(operands))


@dataclass(frozen=True)
class OnnxRuntimeNetworkPeer(NetworkPeer):
    """The ONNX model itself in ONNX Runtime, with all its optimizations."""

    name: ClassVar[str] = "onnxruntime"
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    install: ClassVar[str] = "onnxruntime"

    def load(self, problem: Any, operands: Operands, threads: int) -> Prepared:
        """One session."""
        session = onnxruntime_session(self.path, threads)
        names = [output.name for output in session.get_outputs()]
        return _prepared(lambda: dict(zip(names, session.run(names, operands), strict=True)))


def onnxruntime_session(path: str | Path, threads: int, optimized: bool = True) -> Any:
    """A session on so many threads; not optimized: the model's operators one by one, as they stand."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    # On x86 ONNX Runtime turns part of a signed QDQ model into float convolutions unless this is set.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compile_default(model: str | Path, chip: Any, threads: int) -> Any:
    """The CompiledNetwork of a model on a chip (Hardware) without any record, not even the shipped ones."""
    from mmasched.deploy.compile import assemble
    from mmasched.deploy.glue import HANDLERS
    from mmasched.deploy.planner import Planner
    from mmasched.deploy.schedules import Schedules
    from mmasched.network import load_graph
    from mmasched.network.fuse import fuse

    plan = Planner(fuse(load_graph(model)), Schedules([], chip, threads), HANDLERS).run()
    return assemble(plan, chip, threads, ())


def same_as_onnxruntime(
    got: Mapping[str, np.ndarray], model: str | Path, feeds: Mapping[str, np.ndarray], threads: int
) -> tuple[bool, str]:
    """Whether outputs are ONNX Runtime's for the model and the feeds, bit for bit, and in words.

    Its optimized and its unoptimized mode differ by a quantum here and there: either counts.
    """
    worst = ""
    for optimized in (True, False):
        session = onnxruntime_session(model, threads, optimized)
        names = [output.name for output in session.get_outputs()]
        expected = dict(zip(names, session.run(names, dict(feeds)), strict=True))
        wrong = sum(int(np.count_nonzero(got[name] != expected[name])) for name in names)
        elements = sum(expected[name].size for name in names)
        mode = "optimized" if optimized else "unoptimized"
        if not wrong:
            return True, f"exact: all {elements} outputs are those of ONNX Runtime ({mode})"
        worst = worst or f"NOT EXACT: {wrong} of {elements} outputs differ from ONNX Runtime ({mode})"
    return False, worst


def race(
    contestants: Sequence[NetworkPeer], feeds: Mapping[str, np.ndarray], threads: int, rounds: int = 15
) -> list[Timing]:
    """Times the networks in rotation on the same cores and feeds.

    Raises Missing where a library is not installed and BadInput for more threads than cores.
    """
    from mmasched.measure.affinity import check_threads, pick_cores

    cores = pick_cores(check_threads(threads))
    with ExitStack() as stack:
        ready = [stack.enter_context(Contestant(peer, cores=cores)) for peer in contestants]
        for contestant in ready:
            contestant.prepare(None, dict(feeds), threads)  # type: ignore[arg-type]
        return rotate(ready, rounds)


def _prepared(run: Any) -> Prepared:
    return Prepared(run, lambda: np.concatenate([np.ravel(value) for value in run().values()]))
