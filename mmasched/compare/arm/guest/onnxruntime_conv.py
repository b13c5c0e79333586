"""ONNX Runtime's QLinearConv on NHWC bytes (its own channels-last form, so that nothing is transposed)."""

import numpy as np
import onnxruntime
from common import Job

job = Job()
session_options = onnxruntime.SessionOptions()
session_options.intra_op_num_threads = session_options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(
    str(job.folder / "model.onnx"), session_options, providers=["CPUExecutionProvider"]
)
binding = session.io_binding()
x = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(job.x))
y = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(job.facts["output_shape"], job.x.dtype))
binding.bind_ortvalue_input("x", x)
binding.bind_ortvalue_output("y", y)
job.counted(lambda: session.run_with_iobinding(binding))
job.finish(y.numpy(), onnxruntime.__version__)
