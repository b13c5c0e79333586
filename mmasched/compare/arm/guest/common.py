"""What the guest scripts share: the job, the markers around the counted call, and the result.

FOLDER holds job.json (the convolution and options), x.npy (int8 or uint8, NHWC), w.npy (int8, OHWI), bias.npy (int32),
scale.npy (float32 per output channel) and markers.so; y.npy (NHWC) and result.json are written there.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np


class Job:
    """The convolution to run, its operands, and where the result goes."""

    def __init__(self):
        self.folder = Path(sys.argv[1])
        self.facts = json.loads((self.folder / "job.json").read_text())
        self.x, self.w, self.bias, self.scale = (
            np.load(self.folder / f"{name}.npy") for name in ("x", "w", "bias", "scale")
        )
        self._markers = ctypes.CDLL(str(self.folder / "markers.so"))

    def counted(self, call):
        """The result of a call, between the markers; it has run once before, so that nothing is set up in it."""
        call()
        self._markers.marker_begin()
        made = call()
        self._markers.marker_end()
        return made

    def finish(self, y, version):
        """Store the output, NHWC."""
        np.save(self.folder / "y.npy", np.ascontiguousarray(y))
        (self.folder / "result.json").write_text(json.dumps({"version": version}))
