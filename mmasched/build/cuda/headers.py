"""A short stand-in for the headers that nvcc puts in front of every source.

nvcc's own cuda_runtime.h brings 37,000 lines, most of them the C++ library for host code, and takes 0.2 s of every
compilation. Generated kernels need the declarations of device functions alone; those that are declared here are
declared as in CUDA's own math_functions.h (`__device_builtin__` names are known to the compiler), all others come from
CUDA's own headers. A source that needs more fails to compile and is compiled with the full headers instead.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

# What the generated sources include by themselves; the runtime header below has what they use of it.
EMPTY = ("cuda.h", "type_traits", "cstdint")

RUNTIME = """
#define __CUDA_RUNTIME_API_H__
#define __CUDA_INTERNAL_COMPILATION__
#define __CUDA_INCLUDE_COMPILER_INTERNAL_HEADERS__
#include <stddef.h>
#include <stdint.h>
#include "crt/host_defines.h"
#include "builtin_types.h"
#include "vector_types.h"
#include "vector_functions.h"
#include "device_launch_parameters.h"
#define MMASCHED_BUILTIN extern __host__ __device__ __device_builtin__
#define MMASCHED_INLINE static __inline__ __host__ __device__ __cudart_builtin__
extern "C" {
extern __host__ __device__ __cudart_builtin__ void* memcpy(void*, const void*, size_t);
extern __host__ __device__ __cudart_builtin__ void* memset(void*, int, size_t);
MMASCHED_BUILTIN __cudart_builtin__ int abs(int);
MMASCHED_BUILTIN int min(const int, const int);
MMASCHED_BUILTIN int max(const int, const int);
MMASCHED_BUILTIN unsigned int umin(const unsigned int, const unsigned int);
MMASCHED_BUILTIN unsigned int umax(const unsigned int, const unsigned int);
MMASCHED_BUILTIN float fabsf(float);
MMASCHED_BUILTIN float fminf(float, float);
MMASCHED_BUILTIN float fmaxf(float, float);
MMASCHED_BUILTIN float rintf(float);
MMASCHED_BUILTIN float roundf(float);
MMASCHED_BUILTIN float floorf(float);
MMASCHED_BUILTIN float ceilf(float);
MMASCHED_BUILTIN float truncf(float);
MMASCHED_BUILTIN float fmaf(float, float, float);
}
MMASCHED_INLINE unsigned int min(const unsigned int a, const unsigned int b) { return umin(a, b); }
MMASCHED_INLINE unsigned int max(const unsigned int a, const unsigned int b) { return umax(a, b); }
MMASCHED_INLINE float min(const float a, const float b) { return fminf(a, b); }
MMASCHED_INLINE float max(const float a, const float b) { return fmaxf(a, b); }
#include "crt/device_functions.h"
"""


@lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="mmasched-cuda-headers-")
    Path(folder.name, "cuda_runtime.h").write_text(RUNTIME)
    for name in EMPTY:
        Path(folder.name, name).write_text("")
    return folder


def short_headers() -> Path:
    """A folder to search for headers before CUDA's own; it is removed when this process ends."""
    return Path(_folder().name)
