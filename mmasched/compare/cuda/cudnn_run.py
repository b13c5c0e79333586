"""A convolution's cuDNN graph on the GPU: its operands, its plans built and launched."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmasched.compare.cuda.cudnn_graph import Form, build, first_line, plan_names
from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d


class Graph:
    """One form of one symmetric problem, over input sets (see torch_device.operand_sets), with cuDNN's plans by name.

    operands: the tensors of each input set as the form has them.  Raises Unsupported where no engine takes it.
    """

    def __init__(self, torch: Any, cudnn: Any, handle: Any, problem: Conv2d, form: Form, sets: list[dict[str, Any]]):
        self._torch, self._cudnn, self._handle = torch, cudnn, handle
        self._graph, self._tensors = build(cudnn, problem, form, handle=handle)
        self.form, self.problem = form, problem
        self.plans = plan_names(self._graph)
        self.operands = [form_operands(torch, problem, form, one) for one in sets]
        self._packs = [{self._tensors[name]: value.data_ptr() for name, value in one.items()} for one in self.operands]

    def output(self) -> Any:
        """The output tensor of the first input set, NHWC."""
        return self.operands[0]["y"]

    def prepare(self, index: int) -> tuple[list[Any], int]:
        """(a call for each input set, workspace bytes) of one plan, which is compiled here.

        Raises MmaschedError in cuDNN's words.
        """
        try:
            self._graph.build_plan_at_index(index)
            size = int(self._graph.get_workspace_size_plan_at_index(index))
        except Exception as error:  # The frontend has several kinds; the words are what matters.
            raise MmaschedError(f"{self.plans[index]} cannot be built: {first_line(error)}") from None
        workspace = self._torch.empty(max(1, size), dtype=self._torch.uint8, device="cuda")

        def call(pack: dict[Any, int]) -> None:
            stream = self._torch.cuda.current_stream().cuda_stream
            self._cudnn.set_stream(self._handle, stream)
            self._graph.execute_plan_at_index(pack, workspace, index, self._handle)

        return [lambda pack=pack: call(pack) for pack in self._packs], size


def form_operands(torch: Any, problem: Conv2d, form: Form, one: dict[str, Any]) -> dict[str, Any]:
    """An input set's tensors as a form wants them; names as in cudnn_graph.build. Floats hold the same integers, with
    weights scaled down so that outputs of float forms stay in range."""
    bias = one["bias"]
    if bias is None:
        bias = torch.zeros(problem.out_channels, dtype=torch.int32, device="cuda")
    if form.operands == "s8":
        made = {"x": one["x"], "w": one["w"], "y": one["y"]}
        if form.order == "exact":
            made |= {"bias": bias, "scale": one["scale"]}
        elif form.order == "float":
            made |= {"bias": bias.to(torch.float32) * one["scale"], "scale": one["scale"]}
        residual = one["residual"]
    else:
        kind = torch.float16 if form.operands == "f16" else torch.float8_e4m3fn
        x, w = (one[name].to(torch.float32) / 128 for name in ("x", "w"))
        residual = None if one["residual"] is None else (one["residual"].to(torch.float32) / 128).to(kind)
        scale = torch.full_like(one["scale"], 4 / float(np.sqrt(problem.reduction)))
        made = {"x": x.to(kind), "w": w.to(kind), "y": torch.empty(problem.output_shape, dtype=kind, device="cuda")}
        made |= {"scale": scale, "bias": torch.linspace(-1, 1, problem.out_channels, device="cuda")}
    if problem.residual and form.order != "none":
        made["residual"] = residual
        factor = problem.requantize.residual_scale
        made["residual_scale"] = torch.full((1,), factor, dtype=torch.float32, device="cuda")
    return made


def float_reference(torch: Any, problem: Conv2d, operands: dict[str, Any]) -> Any:
    """The output of a float form in float64, before it is narrowed."""
    x, w = (operands[name].to(torch.float64).permute(0, 3, 1, 2) for name in ("x", "w"))
    top, left, bottom, right = problem.padding
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    y = torch.nn.functional.conv2d(x, w, stride=problem.stride, dilation=problem.dilation).permute(0, 2, 3, 1)
    y = y * operands["scale"].to(torch.float64) + operands["bias"].to(torch.float64)
    if "residual" in operands:
        y = y + operands["residual"].to(torch.float64) * operands["residual_scale"].to(torch.float64)
    return torch.relu(y) if problem.clamp[0] == 0 else y
