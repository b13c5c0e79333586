"""From a graph to calls of programs: which tensors lie where, in which layout, and which constants kernels read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmasched.deploy.cuda.places import Place, logical
from mmasched.deploy.cuda.schedules import CudaSchedules, choose
from mmasched.deploy.cuda.steps import CallStep, Slot, Step
from mmasched.deploy.steps import HostStep
from mmasched.errors import Unsupported
from mmasched.network import graph as g
from mmasched.space import Config
from mmasched.templates import generate
from mmasched.templates.cuda.glue import Description, program_of
from mmasched.templates.cuda.layout import KINDS

PLAIN = KINDS[0]


@dataclass
class Plan:
    """A planned network: steps in order, how tensors are stored, and the constants of the kernels."""

    graph: g.Graph
    steps: list[Step] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)  # uint32 words
    configs: dict[str, Config] = field(default_factory=dict)  # by the output of the convolution
    kinds: dict[str, str] = field(default_factory=dict)  # layouts of the tensors that convolutions touch
    alias: dict[str, str] = field(default_factory=dict)  # reshaped tensors whose bytes are those of another

    def resolve(self, name: str) -> str:
        """The tensor whose bytes this one shares."""
        return self.alias.get(name, name)


class CudaPlanner:
    """Plans one graph; node kinds other than convolutions are handled by `handlers` (see glue.py)."""

    def __init__(self, graph: g.Graph, schedules: CudaSchedules, handlers: Mapping[type, Any]) -> None:
        self.graph, self.schedules, self.handlers = graph, schedules, handlers
        self.plan = Plan(graph)
        self.readers: dict[str, list[g.Node]] = defaultdict(list)
        self._programs: dict[object, Any] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers[name].append(node)

    def run(self) -> Plan:
        """Plan every node. Raises Unsupported where a convolution has no schedule."""
        for node in self.graph.nodes:
            if isinstance(node, g.Reshape) and self._same_bytes(node):
                self.plan.alias[node.output] = self.resolve(node.inputs[0])
        convolutions = [node for node in self.graph.nodes if isinstance(node, g.QConv | g.QGemm)]
        for node in convolutions:
            if node.problem.input_bits != 8 or node.problem.output_bits not in (8, 32):
                raise Unsupported(f"{node.name} has activations of fewer than 8 bits: on cuda/* networks have bytes")
        self.plan.configs, self.plan.kinds = choose(convolutions, self.schedules, self.resolve)
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
        """Where a tensor lies, decided at the first question: floats as NumPy has them, integers as the convolutions
        that touch them want."""
        name = self.resolve(name)
        if name not in self.plan.places:
            tensor = self.tensor(name)
            kind = "rows" if tensor.dtype == "float32" else self.plan.kinds.get(name, PLAIN)
            self.plan.places[name] = Place(logical(tensor.shape), tensor.dtype, kind)
        return self.plan.places[name]

    def slot(self, name: str) -> Slot:
        """A tensor as an argument."""
        self.place(name)
        return Slot("tensor", self.resolve(name))

    def constant(self, name: str, words: np.ndarray) -> Slot:
        """Packed words as an argument."""
        self.plan.constants[name] = words
        return Slot("constant", name)

    def _same_bytes(self, node: g.Reshape) -> bool:
        """Whether a reshape leaves the bytes as they are in every layout: the images are of one pixel."""
        x, y = self.tensor(node.inputs[0]), self.tensor(node.output)
        if node.inputs[0] in self.graph.inputs or node.inputs[0] in self.graph.constants:
            return False
        if node.output in self.graph.outputs or x.dtype not in ("uint8", "int8", "int32"):
            return False
        return x.shape == y.shape or (
            len(x.shape) in (2, 4) and len(y.shape) in (2, 4)
            and x.shape[:2] == y.shape[:2] and set(x.shape[2:] + y.shape[2:]) <= {1}
        )  # fmt: skip

    # ---- steps

    def call(self, node: g.Node, label: str, program: Any, arguments: Mapping[str, Slot]) -> None:
        """Append a call; programs with equal code become one."""
        program = self._programs.setdefault(program.identity, program)
        reads = tuple(self.resolve(name) for name in node.inputs if name)
        self.plan.steps.append(CallStep(label, program, arguments, reads, (self.resolve(node.output),), node.name))

    def glue(self, node: g.Node, description: Description, constants: np.ndarray, arguments: Mapping[str, Slot],
             part: str = "") -> bool:  # fmt: skip
        """Append the call of a small kernel; True, as handlers return."""
        slots = {**arguments, "c": self.constant(f"{node.output}{part}.constants", constants)}
        self.call(node, type(description).__name__, program_of(description), slots)
        return True

    def _convolution(self, node: g.QConv | g.QGemm) -> None:
        problem, config = node.problem, self.plan.configs[node.output]
        program = generate(problem, config, self.schedules.hardware)
        arguments = {
            "x": self.slot(node.inputs[0]), "y": self.slot(node.output),
            "w": self.constant(f"{node.output}.weights", program.pack_weights(node.weight)),
            "c": self.constant(f"{node.output}.constants", program.pack_constants(node.weight, node.bias)),
            "ws": Slot("workspace", node.output),
        }  # fmt: skip
        if problem.residual:
            arguments["r"] = self.slot(node.inputs[1])
        self.call(node, f"{config.template} {config['layout']}", program, arguments)

    def _host(self, node: g.Node) -> None:
        """Whatever has no kernel is computed in NumPy between two stretches of kernels."""
        for name in node.inputs:
            if name in self.plan.alias:
                self.place(name)
        self.plan.steps.append(HostStep(node, self.tensor(node.output)))


Handler = Callable[[CudaPlanner, Any], bool]
