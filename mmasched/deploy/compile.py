"""compile(model): import, look schedules up, plan, generate, build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from mmasched.build import compile_module
from mmasched.build.candidate import prepare_machine
from mmasched.build.toolchain import cross_tool
from mmasched.deploy.compiled import CompiledNetwork, Layout, Port, Stretch
from mmasched.deploy.glue import HANDLERS
from mmasched.deploy.module import Offsets, build_module, io_names
from mmasched.deploy.planner import Plan, Planner
from mmasched.deploy.records import records_for
from mmasched.deploy.schedules import Schedules
from mmasched.deploy.steps import HostStep, KernelStep
from mmasched.deploy.storage import ALIGNMENT, Lifetime, assign_offsets
from mmasched.errors import BadInput
from mmasched.hardware import Hardware, Target, hardware
from mmasched.measure.affinity import check_threads
from mmasched.network import load_graph
from mmasched.network.fuse import fuse
from mmasched.network.graph import Graph
from mmasched.templates.cpu.spec import round_up

if TYPE_CHECKING:
    from mmasched.deploy.arm.compile import CompiledArmNetwork
    from mmasched.deploy.cuda.compiled import CompiledCudaNetwork


def compile(
    model: str | Path | Graph, target: str | Target = "native", log: Any = None, threads: int | None = None
) -> CompiledNetwork | CompiledArmNetwork | CompiledCudaNetwork:
    """Build a quantized network with the best recorded schedule of each convolution.

    model: an ONNX file (QDQ or QOperator) or a Graph. log: a log, a path or several of them; the records that ship with
    the project are used besides. threads: cores to run on, those of this process by default; records of another number
    do not count. For CUDA targets the result is a CompiledCudaNetwork, and threads is 1; for
    Arm targets a CompiledArmNetwork, which can only be saved, and threads is 1 unless given. Raises BadInput, Missing
    or Unsupported in one sentence for a model that cannot be compiled.
    """
    chip = hardware(Target.parse(str(target)) if not isinstance(target, Target) else target)
    graph = fuse(model if isinstance(model, Graph) else load_graph(model))
    if chip.target.family == "cuda":
        from mmasched.deploy.cuda.compile import compile_cuda

        return compile_cuda(graph, chip, records_for(log), threads)
    elsewhere = chip.target.family == "arm"
    count = _threads_there(threads, chip) if elsewhere else check_threads(threads)
    schedules = Schedules(records_for(log), chip, count)
    plan = Planner(graph, schedules, HANDLERS).run()
    untuned = tuple(schedules.untuned.values())
    if not elsewhere:
        return assemble(plan, chip, count, untuned)
    from mmasched.deploy.arm.compile import CompiledArmNetwork

    cross_tool(chip.target.family, "gcc")
    return CompiledArmNetwork(*laid_out(plan, chip, count, untuned))


def _threads_there(threads: int | None, chip: Hardware) -> int:
    """Threads on another machine: one unless told otherwise."""
    if threads is not None and not 1 <= threads <= chip.cores:
        raise BadInput(f"threads must be 1 to {chip.cores}, the cores of {chip.name}, not {threads!r}")
    return threads or 1


def assemble(plan: Plan, chip: Hardware, threads: int, untuned: tuple[Any, ...]) -> CompiledNetwork:
    """Lay memory out, build the module and load it."""
    layout, library, blob = laid_out(plan, chip, threads, untuned)
    prepare_machine(chip, threads)
    return CompiledNetwork(layout, library, blob)


def laid_out(
    plan: Plan, chip: Hardware, threads: int, untuned: tuple[Any, ...]
) -> tuple[Layout, tvm.runtime.Module, np.ndarray]:
    """Lay memory out and build the module: layout, code, packed weights."""
    segments, sequence = _segments(plan)
    offsets, arena_bytes = _arena(plan)
    blob_offsets, blob = _blob(plan)
    graph = plan.graph
    tensors = [graph.tensors[name] for name in (*graph.inputs, *graph.outputs)]
    ports = {tensor.name: Port(tensor.name, tensor.shape, tensor.dtype) for tensor in tensors}
    direct = frozenset(
        m.name for steps in segments.values() for s in steps for m in s.arguments if m.space in ("input", "output")
    )
    module = build_module(segments, Offsets(offsets, blob_offsets), max(arena_bytes, 1), len(blob), threads)
    library = compile_module(module, chip)
    names = set(plan.places)
    layout = Layout(
        name=graph.name, target=str(chip.target), chip=chip.chip, threads=threads,
        inputs=tuple(ports[n] for n in graph.inputs), outputs=tuple(ports[n] for n in graph.outputs),
        sequence=tuple(sequence), places=plan.places,
        shapes={n: graph.tensors[n].shape for n in names}, dtypes={n: graph.tensors[n].dtype for n in names},
        offsets={n: offsets[n] for n in names if n in offsets}, arena_bytes=arena_bytes, direct=direct,
        constants=graph.constants, untuned=untuned,
        labels=tuple(f"{s.node}: {s.label}" for s in plan.steps),
    )  # fmt: skip
    return layout, library, blob


def _segments(plan: Plan) -> tuple[dict[str, list[KernelStep]], list[Stretch | HostStep]]:
    segments: dict[str, list[KernelStep]] = {}
    sequence: list[Stretch | HostStep] = []
    current: list[KernelStep] = []

    def close() -> None:
        if current:
            entry = f"segment{len(segments)}"
            segments[entry] = list(current)
            sequence.append(Stretch(entry, tuple(io_names(current))))
            current.clear()

    for step in plan.steps:
        if isinstance(step, KernelStep):
            current.append(step)
        else:
            close()
            sequence.append(step)
    close()
    return segments, sequence


def _arena(plan: Plan) -> tuple[dict[str, int], int]:
    """Offsets of tensors and scratch memory; inputs live from the start, outputs to the end, constants throughout."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    scratch: dict[str, int] = {}
    for number, step in enumerate(plan.steps):
        for name in (*map(plan.resolve, step.reads), *step.writes, *step.scratch):
            first.setdefault(name, number)
            last[name] = number
        if isinstance(step, KernelStep):
            scratch.update(step.scratch)
    for name in (*plan.graph.inputs, *plan.graph.constants):
        first[name] = 0
    for name in (*plan.graph.outputs, *plan.graph.constants):
        last[name] = len(plan.steps)
    lifetimes = []
    for name, place in plan.places.items():
        if name in plan.alias:
            continue
        geometry = (place.shape, place.halo, place.fill) if place.keeps_halo else None
        lifetimes.append(Lifetime(name, place.bytes, first.get(name, 0), last.get(name, len(plan.steps)), geometry))
    for name, size in scratch.items():
        lifetimes.append(Lifetime(name, round_up(size, ALIGNMENT), first[name], last[name]))
    offsets, size = assign_offsets(lifetimes)
    aliases = {name: offsets[plan.resolve(name)] for name in plan.places if name in plan.alias}
    return offsets | aliases, size


def _blob(plan: Plan) -> tuple[dict[str, int], np.ndarray]:
    offsets, at = {}, 0
    for name, values in plan.constants.items():
        offsets[name] = at
        at += round_up(values.nbytes, ALIGNMENT)
    blob = np.zeros(max(at, 1), np.uint8)
    for name, values in plan.constants.items():
        blob[offsets[name] : offsets[name] + values.nbytes] = values.reshape(-1).view(np.uint8)
    return offsets, blob
