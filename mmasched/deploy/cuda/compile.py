"""From a planned network to kernels and memory: sources by TVM, machine code by nvcc where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mmasched.build.cuda import CudaSource, Toolkit, compile_cubin, cuda_source, find_toolkit, resources
from mmasched.deploy.compiled import Port
from mmasched.deploy.cuda.compiled import CompiledCudaNetwork
from mmasched.deploy.cuda.glue import HANDLERS
from mmasched.deploy.cuda.network import Call, CudaLayout, Kernels, Region
from mmasched.deploy.cuda.places import ALIGNMENT
from mmasched.deploy.cuda.planner import CudaPlanner, Plan
from mmasched.deploy.cuda.schedules import CudaSchedules
from mmasched.deploy.cuda.steps import CallStep, Slot
from mmasched.deploy.steps import HostStep
from mmasched.deploy.storage import Lifetime, assign_offsets
from mmasched.errors import BadInput, Missing
from mmasched.hardware import Hardware
from mmasched.measure.affinity import available_cores
from mmasched.network.graph import Graph


def compile_cuda(
    graph: Graph, chip: Hardware, records: Sequence[Any], threads: int | None = None
) -> CompiledCudaNetwork:
    """Build a fused graph for a GPU with the best recorded schedule of each convolution.

    With nvcc on the machine the network holds machine code, else CUDA C that nvcc compiles where it runs. Raises
    BadInput for more threads than one, Unsupported for a network that has no schedule, BuildError for a kernel that
    does not compile.
    """
    if threads not in (None, 1):
        raise BadInput(f"threads is {threads!r} for {chip.target}: a GPU's kernels are started by one thread")
    schedules = CudaSchedules(records, chip)
    plan = CudaPlanner(graph, schedules, HANDLERS).run()
    return assemble(plan, chip, tuple(schedules.untuned.values()))


def assemble(plan: Plan, chip: Hardware, untuned: tuple[Any, ...]) -> CompiledCudaNetwork:
    """Lay memory out and compile the kernels."""
    calls = [step for step in plan.steps if isinstance(step, CallStep)]
    programs = list({id(step.program): step.program for step in calls}.values())
    numbers = {id(program): i for i, program in enumerate(programs)}
    offsets, arena = _arena(plan)
    places, blob = _blob(plan)
    workspaces, workspace = _workspaces(programs)

    def region(step: CallStep, name: str, slot: Slot) -> Region:
        words = step.program.sizes[name]
        if slot.space == "tensor":
            return Region("arena", offsets[slot.name], words)
        if slot.space == "constant":
            return Region("blob", places[slot.name], words)
        return Region("workspace", workspaces[numbers[id(step.program)]], words)

    def call(step: CallStep) -> Call:
        arguments = {name: region(step, name, slot) for name, slot in step.arguments.items()}
        return Call(numbers[id(step.program)], arguments, step.label, step.node)

    graph = plan.graph
    ports = {n: Port(n, graph.tensors[n].shape, graph.tensors[n].dtype) for n in (*graph.inputs, *graph.outputs)}
    layout = CudaLayout(
        name=graph.name,
        target=str(chip.target),
        inputs=tuple(ports[n] for n in graph.inputs),
        outputs=tuple(ports[n] for n in graph.outputs),
        sequence=tuple(_sequence(plan, call)),
        places=_with_aliases(plan, plan.places),
        offsets=_with_aliases(plan, offsets),
        shapes={name: tensor.shape for name, tensor in graph.tensors.items()},
        sizes={"arena": arena, "blob": blob.nbytes, "workspace": workspace},
        constants=graph.constants,
        untuned=untuned,
    )
    return CompiledCudaNetwork(layout, compiled_kernels([_source(p, chip) for p in programs], chip), blob)


def _with_aliases(plan: Plan, found: dict[str, Any]) -> dict[str, Any]:
    """Reshaped tensors lie where those do whose bytes they share."""
    return found | {name: found[other] for name, other in plan.alias.items() if other in found}


def _source(program: Any, chip: Hardware) -> Kernels:
    source = cuda_source(program, chip)
    return Kernels(source.text, source.launches, source.parameters)


def compiled_kernels(kernels: Sequence[Kernels], chip: Hardware, *, required: bool = False) -> tuple[Kernels, ...]:
    """The kernels with machine code, several compiled at a time; as they are where there is no nvcc.

    With `required` that raises Missing; BuildError is raised for a kernel that nvcc rejects.
    """
    try:
        toolkit = find_toolkit()
    except Missing:
        if required:
            raise
        return tuple(kernels)
    with ThreadPoolExecutor(len(available_cores())) as pool:
        return tuple(pool.map(lambda one: _compiled(one, chip, toolkit), kernels))


def _compiled(kernels: Kernels, chip: Hardware, toolkit: Toolkit) -> Kernels:
    cubin = compile_cubin(CudaSource(kernels.text, kernels.launches, kernels.parameters), chip, compiler=toolkit)
    report = resources(cubin, kernels.launches, instructions=False)
    return Kernels(kernels.text, kernels.launches, kernels.parameters, cubin.image, report)


def _sequence(plan: Plan, call: Any) -> list[tuple[Call, ...] | HostStep]:
    sequence: list[tuple[Call, ...] | HostStep] = []
    current: list[Call] = []
    for step in plan.steps:
        if isinstance(step, CallStep):
            current.append(call(step))
            continue
        if current:
            sequence.append(tuple(current))
            current = []
        sequence.append(step)
    return [*sequence, tuple(current)] if current else sequence


def _arena(plan: Plan) -> tuple[dict[str, int], int]:
    """Offsets of tensors; inputs live from the start, outputs to the end, constants throughout."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, step in enumerate(plan.steps):
        for name in (*map(plan.resolve, step.reads), *step.writes):
            first.setdefault(name, number)
            last[name] = number
    end = len(plan.steps)
    for name in (*plan.graph.inputs, *plan.graph.constants):
        first[name] = 0
    for name in (*map(plan.resolve, plan.graph.outputs), *plan.graph.constants):
        last[name] = end
    lifetimes = [
        Lifetime(name, _rounded(4 * place.words), first.get(name, 0), last.get(name, end))
        for name, place in plan.places.items()
    ]
    return assign_offsets(lifetimes)


def _blob(plan: Plan) -> tuple[dict[str, int], np.ndarray]:
    """Byte offsets of constants, and all of them as uint32 words."""
    offsets, at = {}, 0
    for name, values in plan.constants.items():
        offsets[name] = at
        at += _rounded(values.nbytes)
    blob = np.zeros(at // 4, np.uint32)
    for name, values in plan.constants.items():
        blob[offsets[name] // 4 :][: values.size] = values
    return offsets, blob


def _workspaces(programs: Sequence[Any]) -> tuple[list[int], int]:
    """A workspace for each program, and their size: what one leaves zeroed is not what another wants zeroed."""
    offsets, at = [], 0
    for program in programs:
        offsets.append(at)
        at += _rounded(4 * program.sizes.get("ws", 0))
    return offsets, at


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
