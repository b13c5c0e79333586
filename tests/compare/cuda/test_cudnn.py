"""cuDNN's graphs, evaluated by a NumPy model of what a graph means."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fake_cudnn
from host_torch import HostTorch

from mmasched.compare.cuda import cudnn_graph, torch_device
from mmasched.compare.cuda.cudnn_run import Graph, float_reference
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.errors import Missing, MmaschedError, Unsupported
from mmasched.problem import Conv2d, Requantize, random_operands, reference

FORMS = {form.name: form for form in cudnn_graph.FORMS}
SCALES = np.linspace(0.002, 0.01, 24).astype(np.float32)
PLAIN = Conv2d(2, 7, 6, 16, 24, 3, stride=(2, 1), padding=(1, 0, 2, 1), requantize=Requantize(SCALES))
SUMMED = Conv2d(2, 5, 6, 16, 24, 1, requantize=Requantize(SCALES, residual_scale=0.7), residual=True)
FULL = Conv2d(1, 5, 6, 16, 24, 3, dilation=2, requantize=Requantize(SCALES, zero_point=5))


@pytest.fixture
def torch(monkeypatch):
    return HostTorch(pytest.importorskip("torch", reason="torch is missing: pip install torch"), monkeypatch)


def graph_of(torch, problem, form):
    operands = random_operands(problem, 3)
    sets = torch_device.operand_sets(torch, problem, operands)
    return Graph(torch, fake_cudnn, "handle", problem, FORMS[form], sets), operands, sets


@pytest.mark.parametrize("problem", [PLAIN, SUMMED, FULL])
def test_the_exact_form_computes_the_problem(torch, problem) -> None:
    problem = symmetric(problem)
    graph, operands, sets = graph_of(torch, problem, "s8")
    calls, workspace = graph.prepare(0)
    assert len(calls) == len(sets) > 1 and workspace == 100
    calls[0]()
    expected = reference(problem, **operands)
    np.testing.assert_array_equal(graph.output().numpy(), expected)
    np.testing.assert_array_equal(torch_device.exact_on_device(torch, problem, sets[0]).numpy(), expected)


@pytest.mark.parametrize("problem", [PLAIN, SUMMED])
def test_the_float_form_may_round_otherwise(torch, problem) -> None:
    problem = symmetric(problem)
    graph, operands, _ = graph_of(torch, problem, "s8-float")
    graph.prepare(0)[0][0]()
    assert np.abs(graph.output().numpy().astype(int) - reference(problem, **operands)).max() <= 1


@pytest.mark.parametrize("problem", [PLAIN, SUMMED, FULL])
def test_half_precision(torch, problem) -> None:
    problem = symmetric(problem)
    graph, _, _ = graph_of(torch, problem, "f16")
    graph.prepare(0)[0][0]()
    expected = float_reference(torch, problem, graph.operands[0])
    error = (graph.output().double() - expected).norm() / expected.norm()
    assert float(error) < 1e-3 and float(expected.abs().max()) < 60000


def test_what_no_engine_takes_is_said_in_one_line(torch) -> None:
    with pytest.raises(Unsupported, match="takes no graph of form e4m3: no fp8 here$"):
        cudnn_graph.build(fake_cudnn, symmetric(PLAIN), FORMS["e4m3"], handle="handle")


def test_a_plan_that_cannot_be_built(torch) -> None:
    graph, _, _ = graph_of(torch, symmetric(PLAIN), "s8")
    with pytest.raises(MmaschedError, match="eng9_broken cannot be built: cannot be compiled$"):
        graph.prepare(graph.plans.index(fake_cudnn.BROKEN))


def test_forms() -> None:
    assert [form.name for form in cudnn_graph.FORMS if form.complete] == ["s8", "s8-float"]
    assert cudnn_graph.engine("eng4_k24=3") == "eng4" and cudnn_graph.engine("eng0") == "eng0"


def test_without_the_package(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cudnn", None)
    with pytest.raises(Missing, match="pip install nvidia-cudnn-frontend"):
        cudnn_graph.cudnn_module()


def test_sets_exceed_the_cache() -> None:
    assert torch_device.number_of_sets(1 << 20, 60 << 20) == 150
    assert torch_device.number_of_sets(1 << 30, 60 << 20) == 2
    assert torch_device.number_of_sets(10 << 30, 60 << 20) == 1
    assert torch_device.number_of_sets(100, 60 << 20) == torch_device.MOST_SETS
