"""Packed activations around a kernel of bytes: what unpacks its input and residual, and what packs its output.

Any kernel of bytes can stand between two phases more: one that unpacks to bytes in the workspace, one that packs the
bytes it left there. Where a kernel's first phase copies the input anyway, that phase reads the packed input instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from tvm import tirx
from tvm.ir import PointerType, PrimType

from mmasched.problem.activations import BYTES, input_field, output_field, pixel_bytes
from mmasched.templates.arm.fields import Fields, Packer, Unpacker
from mmasched.templates.arm.packed_planes import build_packed_planes, reads_fields
from mmasched.templates.cpu.copier import Copier, pad_row, padding_value
from mmasched.templates.cpu.dense import MEMORY, PARAMS
from mmasched.templates.cpu.geometry import PAD, SLACK, Plane
from mmasched.templates.cpu.spec import KernelSpec, Placement, round_up
from mmasched.templates.cpu.stage import share
from mmasched.templates.emitter import Emitter, Expr, pointer, sequence
from mmasched.templates.program import ARGUMENTS, Program

BITSERIAL = "bitserial"


def packed_program(spec: KernelSpec, generate: Callable[[KernelSpec], Program]) -> Program:
    """The program of a config whose problem has packed activations; `generate` makes that of bytes."""
    inner = generate(replace(spec, problem=replace(spec.problem, activations=BYTES)))
    around = Interface(spec, inner.workspace_bytes)

    def phases() -> tuple[tirx.PrimFunc, ...]:
        inside = list(inner.phases)
        if around.unpacks_in_stage:
            inside[0] = around.stage()
        before = [around.unpacking()] if {"x", "r"} & set(around.regions) else []
        after = [around.packing()] if "y" in around.regions else []
        return (*before, *(moved(phase, around.regions) for phase in inside), *after)

    identity = (inner.identity, around.input, around.output)
    return replace(inner, make_phases=phases, identity=identity, workspace_bytes=around.workspace_bytes)


@dataclass(frozen=True)
class Interface:
    """Which tensors are packed, where their bytes lie in the workspace, and the phases between the two.

    workspace: bytes of it that the kernel needs for itself; the regions follow them.
    """

    spec: KernelSpec
    workspace: int

    @cached_property
    def input(self) -> Fields | None:
        """How the input is packed; None where it is bytes."""
        bits = input_field(self.spec.problem)
        return None if bits is None else Fields(bits, self.spec.problem.input_signed)

    @cached_property
    def output(self) -> Fields | None:
        """How output and residual are packed; None where they are not."""
        bits = output_field(self.spec.problem)
        return None if bits is None else Fields(bits, self.spec.problem.output_signed)

    @property
    def unpacks_in_stage(self) -> bool:
        """Whether the kernel's own first phase reads the packed input."""
        if self.input is None or self.spec.config.template != BITSERIAL:
            return self.input is not None and self.spec.mode == PAD
        return reads_fields(self.spec, self.input)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Those arguments of the kernel that lie in the workspace."""
        p, found = self.spec.problem, {}
        if self.input is not None and not self.unpacks_in_stage:
            found["x"] = p.input_shape
        if self.output is not None:
            found |= {"r": p.output_shape, "y": p.output_shape} if p.residual else {"y": p.output_shape}
        return found

    @cached_property
    def _ends(self) -> list[int]:
        """Where each region begins, and where the last one ends."""
        ends = [round_up(self.workspace, 64)]
        for shape in self._shapes.values():
            ends.append(ends[-1] + round_up(int(np.prod(shape)) + SLACK, 64))
        return ends

    @property
    def regions(self) -> dict[str, int]:
        """Where in the workspace the bytes of an argument begin."""
        return dict(zip(self._shapes, self._ends, strict=False))

    @property
    def workspace_bytes(self) -> int:
        """The whole workspace."""
        return self._ends[-1]

    def unpacking(self) -> tirx.PrimFunc:
        """The phase that unpacks input and residual into their regions."""
        e, params, tid = _phase()
        target = e.buffer(params["ws"], "uint8", MEMORY, "unpacked")
        for name, fields in (("x", self.input), ("r", self.output)):
            if name in self.regions:
                source = e.buffer(params[name], "uint8", MEMORY, "packed")
                unpacker = Unpacker(e, fields, source, target)
                self._rows(e, tid, name, fields, unpacker.pixels)
        return e.build([*params.values(), tid])

    def packing(self) -> tirx.PrimFunc:
        """The phase that packs the output's region."""
        e, params, tid = _phase()
        source = e.buffer(params["ws"], "uint8", MEMORY, "unpacked")
        packer = Packer(e, self.output, source, e.buffer(params["y"], "uint8", MEMORY, "packed"))

        def pack(unpacked: Expr, packed: Expr, count: int, channels: int) -> None:
            packer.pixels(packed, unpacked, count, channels)

        self._rows(e, tid, "y", self.output, pack)
        return e.build([*params.values(), tid])

    def _rows(self, e: Emitter, tid: tirx.Var, name: str, fields: Fields, convert: Callable[..., None]) -> None:
        """A thread's share of an argument's rows: convert(where their bytes begin, their fields, pixels, channels)."""
        batch, height, width, channels = self._shapes[name]
        first, count = share(e, self.spec, batch * height, tid)
        with e.loop(count, "row") as i:
            row = e.let(first + i, "row")
            unpacked = e.let(self.regions[name] + row * (width * channels), "unpacked_row")
            packed = e.let(row * (width * pixel_bytes(channels, fields.bits)), "packed_row")
            convert(unpacked, packed, width, channels)

    def stage(self) -> tirx.PrimFunc:
        """The phase that writes the padded copy of a packed input, or its bit planes."""
        if self.spec.config.template == BITSERIAL:
            return build_packed_planes(self.spec, self.input)
        e, params, tid = _phase()
        p = self.spec.problem
        packed = Plane.dense(p.height, p.width, pixel_bytes(p.in_channels, self.input.bits))
        spec = self.spec.placed(Placement(input=packed))
        source, target = (e.buffer(params[name], "uint8", MEMORY, name) for name in ("x", "ws"))
        copier = PixelUnpacker(e, self.input, source, target, spec)
        first, count = share(e, spec, p.batch * spec.padded_shape[0], tid)
        with e.loop(count, "row") as i:
            pad_row(e, spec, copier, e.let(first + i, "row"))
        return e.build([*params.values(), tid])


class PixelUnpacker(Copier):
    """Copies that unpack: whole pixels, counted in unpacked bytes."""

    def __init__(self, e: Emitter, fields: Fields, source: tirx.Var, target: tirx.Var, spec: KernelSpec):
        shift = spec.input_shift
        super().__init__(e, source, target, shift=shift, value=padding_value(spec), widest=spec.isa.bytes)
        self._unpacker = Unpacker(e, fields, source, target, shift)
        self._channels = spec.problem.in_channels

    def copy(self, to: Expr, start: Expr, size: int) -> None:
        """Unpack the pixels that take up `size` bytes."""
        self._unpacker.pixels(to, start, size // self._channels, self._channels)


def moved(phase: tirx.PrimFunc, regions: dict[str, int]) -> tirx.PrimFunc:
    """A phase that finds some of its arguments in the workspace instead."""
    *arguments, tid = phase.params
    own = dict(zip(ARGUMENTS, arguments, strict=True))
    given = {name: pointer(name, dtype) if name in regions else own[name] for name, dtype in PARAMS}
    e = Emitter()
    workspace = e.buffer(given["ws"], "uint8", MEMORY, "workspace")
    places = {name: tirx.address_of(workspace[at]) for name, at in regions.items()}
    binds = [tirx.Bind(own[name], tirx.reinterpret(PointerType(PrimType("uint8")), at)) for name, at in places.items()]
    body = sequence([*e.statements, *binds, phase.body])
    return tirx.PrimFunc([*given.values(), tid], body, ret_type=phase.ret_type).with_attrs(phase.attrs)


def _phase() -> tuple[Emitter, dict[str, tirx.Var], tirx.Var]:
    return Emitter(), {name: pointer(name, dtype) for name, dtype in PARAMS}, tirx.Var("tid", "int32")
