import numpy as np
import onnx
import pytest

from mmasched.errors import BadInput, Missing
from mmasched.network.onnx_models import float_model, single_conv
from mmasched.network.quantizer import RandomImages, quantize, random_feed


def stored(path):
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_model(path).graph.initializer}


def test_weights_are_signed_and_symmetric(tmp_path):
    path = quantize(single_conv(tmp_path / "f.onnx", 3, 8, 12, 3), tmp_path / "q.onnx")
    weights = stored(path)
    assert weights["conv.weight_quantized"].dtype == np.int8 and weights["conv.weight_quantized"].min() >= -127
    assert not weights["conv.weight_zero_point"].any() and weights["conv.weight_scale"].shape == (8,)
    assert weights["conv.bias_quantized"].any()


@pytest.mark.parametrize("activation, dtype", [("u8", np.uint8), ("s8", np.int8)])
def test_activation_types(tmp_path, activation, dtype):
    path = quantize(float_model("tiny", tmp_path / "f.onnx"), tmp_path / "q.onnx", activation=activation)
    assert stored(path)["input_zero_point"].dtype == dtype


def test_the_seed_decides(tmp_path):
    source = float_model("tiny", tmp_path / "f.onnx", seed=4)
    same = [quantize(source, tmp_path / f"{i}.onnx", seed=seed).read_bytes() for i, seed in enumerate((1, 1, 2))]
    assert same[0] == same[1] != same[2]
    assert source.read_bytes() == float_model("tiny", tmp_path / "g.onnx", seed=4).read_bytes()
    assert source.read_bytes() != float_model("tiny", tmp_path / "h.onnx", seed=5).read_bytes()


def test_calibration_reads_the_inputs_and_ends(tmp_path):
    reader = RandomImages(float_model("tiny", tmp_path / "f.onnx", batch=2), samples=3)
    feeds = [reader.get_next() for _ in range(4)]
    assert feeds[3] is None and feeds[0]["input"].shape == (2, 3, 20, 20) and feeds[0]["input"].dtype == np.float32
    assert not np.array_equal(feeds[0]["input"], feeds[1]["input"])


def test_random_images_have_unit_spread():
    x = random_feed({"x": (4, 3, 224, 224)})["x"]
    assert abs(x.mean()) < 0.05 and x.std() == pytest.approx(1, abs=0.05)


def test_wrong_arguments(tmp_path):
    source = float_model("tiny", tmp_path / "f.onnx")
    with pytest.raises(BadInput, match="format is 'QDR'.*did you mean QDQ"):
        quantize(source, tmp_path / "q.onnx", format="QDR")
    with pytest.raises(BadInput, match="activation is 'u4'"):
        quantize(source, tmp_path / "q.onnx", activation="u4")
    with pytest.raises(Missing, match="nowhere.onnx does not exist"):
        quantize(tmp_path / "nowhere.onnx", tmp_path / "q.onnx")
