"""A family of templates with one slow, simple kernel, to test everything around kernels: no SIMD of its own, any conv.

Knobs: unroll (of the channel loop, 1 to 8) and fault, which plants a defect.
"""

import numpy as np
from tvm import tirx

from mmasched.space import Choice, Ordered, SearchSpace
from mmasched.templates.emitter import Emitter, const, intrinsic, load, pointer, reinterpret, splat
from mmasched.templates.program import ARGUMENTS, DTYPES, Program

FAULTS = ("none", "one_off", "dot", "overrun", "crash", "endless")


class NaiveFamily:
    def spaces(self, problem, hardware, threads):
        knobs = [Ordered("unroll", (1, 2, 4, 8)), Choice("fault", FAULTS)]
        return [SearchSpace("naive", knobs, {"sound": self._sound, "divides": self._divides}, problem, hardware)]

    def _sound(self, problem, values, hardware):
        return True

    def _divides(self, problem, values, hardware):
        return problem.in_channels // problem.groups % values["unroll"] == 0

    def features(self, problem, config, hardware, threads):
        return [float(config["unroll"])]

    def draft_cycles(self, problem, config, hardware, threads):
        return FAULTS.index(config["fault"]) * 100 + 1.0 / config["unroll"]

    def notes(self, problem):
        return ()

    def generate(self, problem, config, hardware, threads, placement):
        return program(problem, config["unroll"], config["fault"], threads)


def program(problem, unroll=1, fault="none", threads=1):
    p = problem
    workspace = 64

    def pack_constants(w, bias):
        bias = np.zeros(p.out_channels, np.int32) if bias is None else bias.astype(np.int32)
        scale = np.ones(1, np.float32) if p.requantize is None else p.requantize.scale
        scale = np.broadcast_to(scale, (p.out_channels,)).astype(np.float32)
        return np.concatenate([bias, scale.view(np.int32)])

    def pack_weights(w):
        return np.ascontiguousarray(w).reshape(-1).view(np.int8)

    size = int(np.prod(p.weight_shape))
    identity = ("naive", unroll, fault)
    return Program(
        lambda: (kernel(p, unroll, fault, threads),),
        identity, threads, workspace, size, 2 * p.out_channels, pack_weights, pack_constants,
    )  # fmt: skip


def kernel(p, unroll, fault, threads):
    e = Emitter()
    y_type = "int32" if p.requantize is None else "uint8"
    params = [pointer(a, "uint8" if a == "y" else DTYPES.get(a, "uint8")) for a in ARGUMENTS]
    tid = tirx.Var("tid", "int32")
    input_type = "int8" if p.input_signed else "uint8"
    x = e.buffer(params[0], input_type, int(np.prod(p.input_shape)), "x")
    w = e.buffer(params[1], "int8" if p.weight_signed else "uint8", int(np.prod(p.weight_shape)), "w")
    c = e.buffer(params[2], "int32", 2 * p.out_channels, "c")
    y = e.buffer(params[4], y_type, int(np.prod(p.output_shape)), "y")
    depth, width = p.in_channels // p.groups, p.out_channels // p.groups
    kernel_h, kernel_w = p.kernel
    # Threads take output rows in turn; a row that a thread has not is left out.
    with e.loop(p.batch, "n") as n, e.loop(-(-p.out_height // threads), "row") as row:
        oy = e.let(row * threads + tid, "oy")
        with e.when(oy < p.out_height), e.loop(p.out_width, "ox") as ox, e.loop(p.out_channels, "o") as o:
            sums = e.register("int32", 1, "sum")
            e.store(sums, 0, load(c, o, "int32"))
            with e.loop(kernel_h, "ky") as ky, e.loop(kernel_w, "kx") as kx:
                iy = e.let(oy * p.stride[0] + ky * p.dilation[0] - p.padding[0], "iy")
                ix = e.let(ox * p.stride[1] + kx * p.dilation[1] - p.padding[1], "ix")
                inside = tirx.all(iy >= 0, iy < p.height, ix >= 0, ix < p.width)
                with e.when(inside), e.loop(depth // unroll, "i") as outer:
                    for part in range(unroll):
                        i = e.let(outer * unroll + part, "c")
                        at = ((n * p.height + iy) * p.width + ix) * p.in_channels + o // width * depth + i
                        a = load(x, at, input_type).astype("int32") - p.input_zero_point
                        kernel_at = ((o * kernel_h + ky) * kernel_w + kx) * depth + i
                        b = load(w, kernel_at, "int8" if p.weight_signed else "uint8").astype("int32")
                        e.store(sums, 0, load(sums, 0, "int32") + a * (b - p.weight_zero_point))
            total = load(sums, 0, "int32")
            at = ((n * p.out_height + oy) * p.out_width + ox) * p.out_channels + o
            if p.requantize is not None:
                scale = reinterpret("float32", load(c, p.out_channels + o, "int32"))
                rounded = intrinsic("float32", "llvm.rint.f32", total.astype("float32") * scale)
                total = rounded.astype("int32") + p.requantize.zero_point
                low, high = p.clamp
                total = tirx.min(tirx.max(total, low), high).astype(y_type)
            if fault == "one_off":
                total = total + tirx.Select(tirx.all(oy == 1, ox == 2, o == 3), const(1, y_type), const(0, y_type))
            e.store(y, at, total)
    _plant(e, fault, p, params)
    return e.build([*params, tid])


def _plant(e, fault, p, params):
    y = e.buffer(params[4], "uint8", 1 << 30, "bytes")
    if fault == "dot":  # An instruction of Armv8.2.
        zero = [e.buffer(params[k], "uint8", 64, "z") for k in (0, 5)]
        a = reinterpret("int8x16", load(zero[0], 0, "uint8x16"))
        value = intrinsic("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", splat(const(0, "int32"), 4), a, a)
        e.store(zero[1], 0, reinterpret("uint8x16", value))
    if fault == "overrun":  # One byte behind the output.
        e.store(y, int(np.prod(p.output_shape)) * (4 if p.requantize is None else 1), const(7, "uint8"))
    if fault == "crash":  # A page behind the output.
        e.store(y, int(np.prod(p.output_shape)) + (1 << 20), const(7, "uint8"))
    if fault == "endless":
        flag = e.buffer(params[5], "uint8", 64, "flag")
        with e.scope(lambda body: tirx.While(load(flag, 0, "uint8") < 255, body)):
            e.store(flag, 0, load(flag, 0, "uint8") & 1)
