"""Networks as machine code: planning, building, running, saving."""

from mmasched.deploy.artifact import load
from mmasched.deploy.compile import compile
from mmasched.deploy.compiled import CompiledNetwork
from mmasched.deploy.cuda.compiled import CompiledCudaNetwork

__all__ = ["CompiledCudaNetwork", "CompiledNetwork", "compile", "load"]
