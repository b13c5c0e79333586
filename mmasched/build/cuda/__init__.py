"""CUDA programs to source and binary: code generation, nvcc, the report of what it made of a kernel."""

from mmasched.build.cuda.source import CudaSource, cuda_source

__all__ = ["CudaSource", "cuda_source"]
