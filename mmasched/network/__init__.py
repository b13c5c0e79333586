"""Where convolution problems come from: built-in tables of well-known networks, and quantized ONNX models.

`load_graph` gives the whole integer network that `mmasched.deploy` compiles; `evaluate` runs it in NumPy.
"""

from .graph import Graph
from .layers import Network, network
from .onnx_import import load_graph, load_network
from .quantizer import quantize

__all__ = ["Graph", "Network", "load_graph", "load_network", "network", "quantize"]
