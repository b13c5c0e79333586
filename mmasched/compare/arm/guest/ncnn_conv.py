"""ncnn's int8 convolution with requantization: planar int8 in and out, weights packed when the net is loaded."""

import ncnn
import numpy as np
from common import Job

job = Job()
facts = job.facts
out_channels, kernel_h, kernel_w, depth = job.w.shape
top, left, bottom, right = facts["padding"]

# Convolution: 0 outputs, 1/11 kernel, 2/12 dilation, 3/13 stride, 4/15/14/16 padding, 5 bias, 6 weights, 7 groups,
# 8 how scales are given: above 100 the output is requantized to int8.
parameters = {
    0: out_channels, 1: kernel_w, 11: kernel_h, 2: facts["dilation"][1], 12: facts["dilation"][0],
    3: facts["stride"][1], 13: facts["stride"][0], 4: left, 15: right, 14: top, 16: bottom, 5: 1, 6: job.w.size,
    8: 101,
}  # fmt: skip
kind = "Convolution"
if facts["groups"] > 1:
    kind, parameters[7] = "ConvolutionDepthWise", facts["groups"]
listed = " ".join(f"{number}={value}" for number, value in parameters.items())
(job.folder / "net.param").write_text(f"7767517\n2 2\nInput data 0 1 data\n{kind} conv 1 1 data out {listed}\n")

# With an input and a weight scale of 1 the accumulator is not rescaled, and the output's scale does the requantization.
# ncnn has one output scale for all channels; differences between channels go into the weights' scales.
output_scale = float(job.scale[0])
weight_scales = (output_scale / job.scale).astype(np.float32)
bias = (job.bias / weight_scales).astype(np.float32)
groups = facts["groups"]
scales = weight_scales[:: max(1, out_channels // groups)] if groups > 1 else weight_scales
with (job.folder / "net.bin").open("wb") as file:
    weights = np.ascontiguousarray(job.w.transpose(0, 3, 1, 2)).tobytes()
    file.write(np.uint32(0x000D4B38).tobytes() + weights + bytes(-len(weights) % 4))
    file.write(bias.tobytes() + scales.astype(np.float32).tobytes())
    file.write(np.float32(1.0).tobytes() + np.float32(output_scale).tobytes())

net = ncnn.Net()
net.opt.num_threads = 1
net.opt.use_vulkan_compute = False
for name in ("use_winograd_convolution", "use_winograd23_convolution", "use_winograd43_convolution"):
    setattr(net.opt, name, bool(facts["winograd"]))
net.load_param(str(job.folder / "net.param"))
net.load_model(str(job.folder / "net.bin"))
planar = np.ascontiguousarray(job.x[0].transpose(2, 0, 1))
data = ncnn.Mat(planar).clone()


def call():
    """One convolution, the packing of its input and output included."""
    extractor = net.create_extractor()
    extractor.input("data", data)
    return extractor.extract("out")[1]


y = np.array(job.counted(call))
job.finish(y.transpose(1, 2, 0)[None], ncnn.__version__)
