"""What becomes of an accumulator: bias, scales, residual, rounding, clamp.

Every float operation is one of CUDA's explicitly rounded functions, so that the compiler contracts none of them into an
fma: results are bit for bit those of mmasched.reference.
"""

from __future__ import annotations

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, call
from mmasched.templates.cuda.plan import PARAMETERS, Plan
from mmasched.templates.emitter import Expr, load


class Arithmetic:
    """The requantization of one problem. `ints` and `floats` are the constants as either."""

    def __init__(self, e: CudaEmitter, plan: Plan, ints: tirx.Var, floats: tirx.Var):
        self.e, self.plan, self.ints, self.floats = e, plan, ints, floats

    def _parameter(self, name: str, dtype: str) -> Expr:
        at = self.plan.offsets["parameters"] + PARAMETERS.index(name)
        return self.e.let(load(self.floats if dtype == "float32" else self.ints, at, dtype), name)

    def prepare(self) -> None:
        """Load what all channels share; before `quantized`."""
        q = self.plan.problem.requantize
        if q is None:
            return
        self.low, self.high = self._parameter("low", "float32"), self._parameter("high", "float32")
        self.zero_point = self._parameter("zero_point", "int32")
        if q.add is not None:
            self.inner = [self._parameter(n, "float32") for n in ("inner_low", "inner_high")]
            self.inner_zero_point = self._parameter("inner_zero_point", "int32")
            self.add = [self._parameter(n, "float32") for n in ("add_scale", "add_residual_scale", "add_offset")]
        elif self.plan.problem.residual:
            self.residual_scale = self._parameter("residual_scale", "float32")
            self.residual_zero_point = self._parameter("residual_zero_point", "int32")

    def total(self, accumulator: Expr, bias: Expr, weight_bits: Expr | None) -> Expr:
        """The exact sum with its bias: int32, or float32 for fp8."""
        plan = self.plan
        if plan.problem.is_fp8:
            return call("float32", "__fadd_rn", accumulator, bias)
        if plan.xor:
            return tirx.shift_right(tirx.Cast("int32", accumulator) + weight_bits, IntImm("int32", 1)) + bias
        value = tirx.Cast("int32", accumulator)
        if plan.precision.shift:
            value = tirx.shift_right(value, IntImm("int32", plan.precision.shift))
        return value + bias

    def scaled(self, total: Expr, scale: Expr) -> Expr:
        """float32(total) * scale, each rounded."""
        value = total if self.plan.problem.is_fp8 else call("float32", "__int2float_rn", total)
        return call("float32", "__fmul_rn", value, scale)

    def quantized(self, value: Expr, residual: Expr | None) -> Expr:
        """The output integer of a scaled float."""
        e, q = self.e, self.plan.problem.requantize
        if q.add is not None:
            value = self._rounded(value, *self.inner) + self.inner_zero_point
            inner = call("float32", "__int2float_rn", value), self.add[0]
            if residual is None:
                value = call("float32", "__fmaf_rn", *inner, self.add[2])
            else:
                outer = call("float32", "__int2float_rn", residual), self.add[1]
                first, last = (inner, outer) if q.add.residual_outer else (outer, inner)
                value = call("float32", "__fmaf_rn", *last, call("float32", "__fmaf_rn", *first, self.add[2]))
        elif residual is not None:
            shifted = call("float32", "__int2float_rn", residual - self.residual_zero_point)
            value = call("float32", "__fadd_rn", value, call("float32", "__fmul_rn", shifted, self.residual_scale))
        return e.let(self._rounded(value, self.low, self.high) + self.zero_point, "q")

    @staticmethod
    def _rounded(value: Expr, low: Expr, high: Expr) -> Expr:
        # The bounds are integers: clamping before rounding is the same as after.
        clamped = call("float32", "fminf", call("float32", "fmaxf", value, low), high)
        return call("int32", "__float2int_rn", clamped)
