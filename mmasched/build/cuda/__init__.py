"""CUDA programs to source and binary: code generation, nvcc, the report of what it made of a kernel."""

from mmasched.build.cuda.compile import Cubin, compile_cubin
from mmasched.build.cuda.report import resources
from mmasched.build.cuda.source import CudaSource, architecture, cuda_source
from mmasched.build.cuda.toolkit import Toolkit, find_toolkit

__all__ = [
    "Cubin",
    "CudaSource",
    "Toolkit",
    "architecture",
    "compile_cubin",
    "cuda_source",
    "find_toolkit",
    "resources",
]
