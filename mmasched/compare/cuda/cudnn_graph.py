"""cuDNN's graph API: a convolution with what follows it as one graph, and every plan that cuDNN proposes for it.

Names and data types: the Python package nvidia-cudnn-frontend.  cuDNN pads with zeros and takes signed inputs only.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from mmasched.compare.cuda.symmetric import is_rectified
from mmasched.errors import Missing, Unsupported
from mmasched.problem import Conv2d

INSTALL = "nvidia-cudnn-frontend"


@dataclass(frozen=True)
class Form:
    """One way to state a convolution.

    operands: "s8", "f16" or "e4m3", of x, w, residual and y. order: "exact" adds the int32 bias to the int32 sum before
    it scales, as the problem does; "float" scales a float32 sum and adds a scaled bias, which some engines need; "none"
    stores the bare sum, converted: less work than the problem asks for.
    """

    name: str
    operands: str
    order: str

    @property
    def complete(self) -> bool:
        """Whether it does all steps of the problem."""
        return self.operands == "s8" and self.order != "none"


FORMS = (
    Form("s8", "s8", "exact"),
    Form("s8-float", "s8", "float"),
    Form("s8-bare", "s8", "none"),
    Form("f16", "f16", "float"),
    Form("e4m3", "e4m3", "float"),
)


def cudnn_module() -> Any:
    """The module cudnn with its library. Raises Missing with the remedy."""
    try:
        module = importlib.import_module("cudnn")
        module.backend_version()
    except (ImportError, OSError) as error:
        raise Missing(f"cudnn is missing ({error}): pip install {INSTALL} nvidia-cudnn-cu13") from None
    except Exception as error:  # The frontend without the library it drives raises one of its own.
        raise Missing(f"cuDNN's library cannot be used ({error}): pip install nvidia-cudnn-cu13") from None
    return module


def library_version(cudnn: Any) -> str:
    """9.12.0 of the library, and the frontend's own version."""
    return f"{cudnn.backend_version_string()}, frontend {getattr(cudnn, '__version__', '?')}"


def nhwc(batch: int, height: int, width: int, channels: int) -> dict[str, list[int]]:
    """dim and stride, in cuDNN's order NCHW, of a tensor that lies in memory as NHWC."""
    return {
        "dim": [batch, channels, height, width],
        "stride": [height * width * channels, 1, width * channels, channels],
    }


def build(cudnn: Any, problem: Conv2d, form: Form, **place: Any) -> tuple[Any, dict[str, Any]]:
    """A graph with its plans listed, and its tensors by name: x, w, y, and as the form needs bias, scale, residual,
    residual_scale.

    place: handle=... of a GPU, or device_property=... of one that is described.
    Raises Unsupported in cuDNN's words where no engine takes the graph.
    """
    kinds = cudnn.data_type
    narrow = {"s8": kinds.INT8, "f16": kinds.HALF, "e4m3": kinds.FP8_E4M3}[form.operands]
    whole = kinds.INT32 if form.operands == "s8" else kinds.FLOAT
    real = kinds.FLOAT
    channels = nhwc(1, 1, 1, problem.out_channels)
    tensors: dict[str, Any] = {}

    def tensor(name: str, kind: Any, layout: dict[str, list[int]]) -> Any:
        tensors[name] = graph.tensor(name=name, data_type=kind, **layout)
        return tensors[name]

    def typed(value: Any, kind: Any) -> Any:
        value.set_data_type(kind)
        return value

    try:
        graph = cudnn.pygraph(io_data_type=narrow, intermediate_data_type=real, compute_data_type=real, **place)
        x = tensor("x", narrow, nhwc(*problem.input_shape))
        w = tensor("w", narrow, nhwc(*problem.weight_shape))
        top, left, bottom, right = problem.padding
        y = graph.conv_fprop(
            x, w, pre_padding=[top, left], post_padding=[bottom, right], stride=list(problem.stride),
            dilation=list(problem.dilation), compute_data_type=whole,
        )  # fmt: skip
        if form.order != "none":
            typed(y, whole)
            if form.order == "exact":
                y = typed(graph.add(y, tensor("bias", whole, channels), compute_data_type=whole), whole)
                y = typed(graph.mul(y, tensor("scale", real, channels)), real)
            else:
                y = typed(graph.mul(y, tensor("scale", real, channels)), real)
                y = typed(graph.add(y, tensor("bias", real, channels)), real)
            if problem.residual:
                residual = tensor("residual", narrow, nhwc(*problem.output_shape))
                scaled = typed(graph.mul(residual, tensor("residual_scale", real, nhwc(1, 1, 1, 1))), real)
                y = typed(graph.add(y, scaled), real)
            if is_rectified(problem):
                y = typed(graph.relu(y), real)
        y.set_output(True)
        tensors["y"] = typed(y, narrow)
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.B, cudnn.heur_mode.FALLBACK])
    except Exception as error:  # The frontend has several kinds; the words are what matters.
        raise Unsupported(f"cuDNN takes no graph of form {form.name}: {first_line(error)}") from None
    return graph, tensors


def plan_names(graph: Any) -> list[str]:
    """The plans of a graph in cuDNN's own order, the one it thinks best first."""
    return [graph.get_plan_name_at_index(index) for index in range(graph.get_execution_plan_count())]


def engine(plan: str) -> str:
    """eng4 of eng4_k24=3."""
    return plan.split("_")[0]


def first_line(error: Exception) -> str:
    """The first line of an error, not too long."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
