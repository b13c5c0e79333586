"""From a graph to steps: which tensors lie where, which kernels run in which order, which constants they need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tvm import tirx

from mmasched.deploy.schedules import Schedules
from mmasched.deploy.steps import HostStep, KernelStep, Memory, Step
from mmasched.deploy.storage import Halo, Place
from mmasched.network import graph as g
from mmasched.space import Config
from mmasched.templates import Program, generate
from mmasched.templates.cpu.geometry import DIRECT, IM2COL, PAD, Pixels
from mmasched.templates.cpu.spec import Placement

NO_HALO: Halo = (0, 0, 0, 0)


@dataclass
class Plan:
    """A planned network: steps in order, how tensors are stored, and the constants of the kernels."""

    graph: g.Graph
    steps: list[Step] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    configs: dict[str, Config] = field(default_factory=dict)  # by the output of the convolution
    alias: dict[str, str] = field(default_factory=dict)  # reshaped tensors whose bytes are those of another

    def resolve(self, name: str) -> str:
        """The tensor whose bytes this one shares."""
        return self.alias.get(name, name)


class Planner:
    """Plans one graph; node kinds other than convolutions are handled by `handlers` (see glue.py)."""

    def __init__(self, graph: g.Graph, schedules: Schedules, handlers: Mapping[type, Any]):
        self.graph, self.schedules, self.handlers = graph, schedules, handlers
        self.hardware, self.threads = schedules.hardware, schedules.threads
        self.plan = Plan(graph)
        self.readers: dict[str, list[g.Node]] = defaultdict(list)
        self._functions: dict[object, tuple[tirx.PrimFunc, ...]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers[name].append(node)

    def run(self) -> Plan:
        """Plan every node. Raises Unsupported where a convolution has no schedule."""
        for node in self.graph.nodes:
            if isinstance(node, g.QConv | g.QGemm):
                self.plan.configs[node.output] = self.schedules.find(node.problem)
        for node in self.graph.nodes:
            if isinstance(node, g.Reshape) and self._same_bytes(node):
                self.plan.alias[node.output] = self.resolve(node.inputs[0])
        for name in self.graph.inputs:
            if self.graph.tensors[name].dtype != "float32":
                self.place(name)
        for node in self.graph.nodes:
            if node.output in self.plan.alias:
                continue
            if isinstance(node, g.QConv | g.QGemm):
                self._convolution(node)
                continue
            handler = self.handlers.get(type(node))
            if handler is None or not handler(self, node):
                self._host(node)
        return self.plan

    # ---- tensors

    def resolve(self, name: str) -> str:
        """The tensor whose bytes this one shares."""
        return self.plan.resolve(name)

    def tensor(self, name: str) -> g.Tensor:
        """The graph's tensor."""
        return self.graph.tensors[name]

    def place(self, name: str) -> Place:
        """Where a tensor lies, decided at the first question."""
        name = self.resolve(name)
        if name not in self.plan.places:
            self.plan.places[name] = self._decide(name)
        return self.plan.places[name]

    def memory(self, name: str) -> Memory:
        """A tensor as an argument."""
        place = self.place(name)
        return Memory("tensor", self.resolve(name), place.dtype)

    def constant(self, name: str, values: np.ndarray) -> Memory:
        """An entry of the blob as an argument."""
        self.plan.constants[name] = np.ascontiguousarray(values)
        return Memory("constant", name, str(values.dtype))

    def _same_bytes(self, node: g.Reshape) -> bool:
        """Whether a reshape leaves NHWC bytes as they are: the pixels are 1 x 1 on both sides, or nothing moves."""
        x, y = self.tensor(node.inputs[0]), self.tensor(node.output)
        if node.inputs[0] in self.graph.inputs or node.inputs[0] in self.graph.constants:
            return False
        if node.output in self.graph.outputs or x.dtype == "float32":
            return False
        return x.shape == y.shape or (
            len(x.shape) in (2, 4) and len(y.shape) in (2, 4)
            and x.shape[:2] == y.shape[:2] and set(x.shape[2:] + y.shape[2:]) <= {1}
        )  # fmt: skip

    def shape(self, name: str) -> tuple[int, int, int, int]:
        """NHWC of a tensor; other ranks are stored as rows of their last axis."""
        shape = self.tensor(self.resolve(name)).shape
        if len(shape) == 4:
            n, c, h, w = shape
            return n, h, w, c
        if len(shape) == 2:
            return shape[0], 1, 1, shape[1]
        return 1, 1, 1, int(np.prod(shape, dtype=np.int64))

    def _decide(self, name: str) -> Place:
        tensor = self.tensor(name)
        if tensor.dtype not in ("uint8", "int8"):
            return Place(self.shape(name), tensor.dtype)
        bias = 128 if tensor.dtype == "int8" else 0
        wanted: set[tuple[Halo, int]] = set()
        for other in (name, *(a for a, b in self.plan.alias.items() if b == name)):
            for node in self.readers[other]:
                halo = self._wanted_halo(node, other)
                if halo is not None:
                    # The zero point is the reader's: what a tensor says of itself may differ, graph inputs say nothing.
                    wanted.add((halo, node.problem.input_zero_point + bias if any(halo) else 0))
        halo, fill = next(iter(wanted)) if len(wanted) == 1 else (NO_HALO, 0)
        return Place(self.shape(name), "uint8", halo, fill, bias)

    def _wanted_halo(self, node: g.Node, name: str) -> Halo | None:
        """The halo that a convolution wants; None if any will do, as for all other nodes."""
        if not isinstance(node, g.QConv | g.QGemm) or self.resolve(node.inputs[0]) != self.resolve(name):
            return None
        problem, mode = node.problem, self.plan.configs[node.output]["input"]
        if mode == PAD:
            return problem.padding
        if mode == DIRECT and Pixels(problem, DIRECT).flat:
            return NO_HALO
        return None if mode in (DIRECT, IM2COL) else NO_HALO

    # ---- steps

    def add(self, step: Step) -> None:
        """Append a step."""
        self.plan.steps.append(step)

    def cached(self, description: object, build: Callable[[], tirx.PrimFunc]) -> tirx.PrimFunc:
        """The function of a description, generated once."""
        if description not in self._functions:
            self._functions[description] = (build(),)
        return self._functions[description][0]

    def _convolution(self, node: g.QConv | g.QGemm) -> None:
        problem, config = node.problem, self.plan.configs[node.output]
        x, y = self.place(node.inputs[0]), self.place(node.output)
        residual = self.place(node.inputs[1]) if problem.residual else None
        padded = config["input"] == PAD and any(problem.padding) and x.halo == problem.padding
        placement = Placement(padded, True, y.plane, residual.plane if residual else None, None if padded else x.plane)
        program = generate(problem, config, self.hardware, self.threads, placement)
        functions = self._generated(program)
        weights = self.constant(f"{node.output}.weights", program.pack_weights(node.weight))
        constants = self.constant(f"{node.output}.constants", program.pack_constants(node.weight, node.bias))
        scratch = Memory("scratch", f"{node.output}.workspace")
        target = self.memory(node.output)
        arguments = (
            self.memory(node.inputs[0]), weights, constants,
            self.memory(node.inputs[1]) if residual else Memory("tensor", target.name), Memory("tensor", target.name),
            scratch,
        )  # fmt: skip
        for i, function in enumerate(functions):
            last = i == len(functions) - 1
            self.add(KernelStep(
                f"{config.template}{'' if last else ' (input copy)'}", function, arguments,
                {scratch.name: program.workspace_bytes}, tuple(self.resolve(name) for name in node.inputs if name),
                (target.name,), node.name,
            ))  # fmt: skip

    def _generated(self, program: Program) -> tuple[tirx.PrimFunc, ...]:
        if program.identity not in self._functions:
            self._functions[program.identity] = program.phases
        return self._functions[program.identity]

    def _host(self, node: g.Node) -> None:
        """Whatever has no kernel is computed in NumPy between two stretches of kernels."""
        for name in node.inputs:
            if name in self.plan.alias:
                self.plan.places[name] = self.place(name)
        self.add(HostStep(node, self.tensor(node.output)))
