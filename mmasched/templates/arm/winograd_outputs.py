"""Winograd's way back: products of a tile to output pixels, requantized while they are in registers."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.arm.isa import whole
from mmasched.templates.arm.winograd_plan import WinogradPlan
from mmasched.templates.arm.winograd_tiles import corner, let_all, multiplier
from mmasched.templates.arm.winograd_transforms import OUTPUT_FACTORS, transform_outputs
from mmasched.templates.cpu.epilogue import Epilogue, Finish
from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Emitter, Expr, const, load, shuffle, splat


@dataclass(frozen=True)
class Places:
    """Buffers that the way back reads and writes, and where a thread's share of the scratch ones begins in elements."""

    products: tirx.Var
    products_at: Expr
    sums: tirx.Var
    sums_at: Expr
    ints: tirx.Var
    floats: tirx.Var
    r: tirx.Var
    y: tirx.Var


class OutputTransform:
    """Emits the transformation of one tile's products, 4 or 8 channels at a time."""

    def __init__(self, e: Emitter, plan: WinogradPlan, finish: Finish, epilogue: Epilogue, places: Places):
        self.e, self.plan, self.finish, self.epilogue, self.places = e, plan, finish, epilogue, places
        self.columns = plan.channel_tiles * plan.tile_channels

    def transform(self, first: Expr, tile: Expr, channel: Expr, packed: Expr, split: int) -> None:
        """A tile of the block that begins with tile `first`, after the products of a split of the input channels.

        channel: the first one of the channel tile in the output; packed: the same among the packed constants.
        """
        e, plan, form, places = self.e, self.plan, self.plan.form, self.places
        register = f"int{plan.bits}x{plan.lanes}"
        image, y, x = corner(e, plan, first, tile)
        times = multiplier(e, register, OUTPUT_FACTORS[form.m])
        inverse = None
        if form.inverse() != 1:
            scalar = const(form.inverse(plan.bits), f"int{plan.bits}")
            inverse = e.let(whole(splat(scalar, plan.lanes)), "inverse")

        def address(plane: Plane) -> Expr:
            return e.let(image * plane.image + y * plane.row + x * plane.pixel + plane.offset + channel, "dst")

        last = split == plan.splits - 1
        to = address(plan.spec.output_plane) if last else None
        residual = address(plan.spec.residual_plane) if last and self.finish.residual else None
        lanes, parts = plan.lanes, plan.lanes // 4
        with e.loop(plan.vectors, "v") as v:
            at = e.let(places.products_at + (tile * plan.vectors + v) * (form.positions * lanes), "m")
            columns = []
            for j in range(form.size):
                rows = [at + (i * form.size + j) * lanes for i in range(form.size)]
                values = [e.let(load(places.products, row, register), "p") for row in rows]
                columns.append(let_all(e, transform_outputs(form.m, values, times), "h"))
            first_channel = e.let(packed + v * lanes, "c")
            biases = [e.let(load(places.ints, first_channel + 4 * q, "int32x4"), "bias") for q in range(parts)]
            scales = []
            if last and not self.finish.raw:
                scales = [
                    e.let(load(places.floats, self.columns + first_channel + 4 * q, "float32x4"), "scale")
                    for q in range(parts)
                ]
            sums = e.let(places.sums_at + (tile * plan.vectors + v) * (form.m * form.m * lanes), "s")
            for i in range(form.m):
                row = transform_outputs(form.m, [column[i] for column in columns], times)
                exact = []
                for j, value in enumerate(row):
                    if inverse is not None:
                        value = value * inverse
                    value = e.let(value >> splat(const(form.shift, f"int{plan.bits}"), lanes), "y")
                    place = sums + (i * form.m + j) * lanes
                    quarters = []
                    for q in range(parts):
                        part = tirx.Cast("int32x4", shuffle([value], range(4 * q, 4 * q + 4))) if parts > 1 else value
                        before = biases[q] if split == 0 else load(places.sums, place + 4 * q, "int32x4")
                        quarters.append(e.let(part + before, "sum"))
                    exact.append(quarters)
                    if not last:
                        for q, quarter in enumerate(quarters):
                            e.store(places.sums, place + 4 * q, quarter)
                if last:
                    self._store_row(exact, i, to, residual, v, scales)

    def _store_row(self, values: list[list[Expr]], i: int, to: Expr, residual: Expr | None, v: Expr,
                   scales: list[Expr]) -> None:  # fmt: skip
        """Finish a row of a tile: m pixels of a register's channels, `values[pixel][part of 4 channels]`."""
        e, spec, m, width = self.e, self.plan.spec, self.plan.form.m, self.plan.lanes // 4
        valid = min(spec.problem.out_channels, self.plan.lanes)  # registers are full where there are enough channels

        def at(base: Expr, plane: Plane, j: int) -> Expr:
            return base + i * plane.row + j * plane.pixel + v * self.plan.lanes

        addresses = [e.let(at(to, spec.output_plane, j), "dst") for j in range(m)]
        if self.finish.raw:
            for parts, address in zip(values, addresses, strict=True):
                for q, value in enumerate(parts):
                    self.epilogue.store_raw(self.places.y, value, address + 4 * q, range(4), valid - 4 * q)
            return
        together = 4 // width
        chosen = [min(j, m - 1) for j in range(together)]
        residuals = None
        if residual is not None:
            places = [e.let(at(residual, spec.residual_plane, j), "r") for j in chosen]
            residuals = self.epilogue.residuals(self.places.r, places, width, valid)
        quantized = [
            [
                self.epilogue.quantize(
                    self.epilogue.scaled(values[j][q], scales[q]), residuals[k][q] if residuals else None
                )
                for q in range(width)
            ]
            for k, j in enumerate(chosen)
        ]
        self.epilogue.store_pixels(self.places.y, quantized, addresses, width, valid)
