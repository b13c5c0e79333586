"""Where convolution problems come from: built-in tables of well-known networks, and quantized ONNX models.

`load_graph` gives the whole integer network that `mmasched.deploy` compiles; `evaluate` runs it in NumPy.
"""

from mmasched.network.graph import Graph
from mmasched.network.layers import Network, network
from mmasched.network.onnx_import import load_graph, load_network
from mmasched.network.quantizer import quantize

__all__ = ["Graph", "Network", "load_graph", "load_network", "network", "quantize"]
