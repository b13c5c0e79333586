"""A clock around the kernels of a compiled network: native code that takes the time before and after its entry.

A run less its kernels is 1% of the run, and on a shared machine the kernels' own time changes by more than that from
call to call. Both are therefore taken of the same call.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from mmasched.build.toolchain import host_compiler
from mmasched.errors import Unsupported

SOURCE = """
#include <stdint.h>
#include <time.h>

typedef int (*Call)(void *, const void *, int32_t, void *);

static Call call;
static void *entry;
double kernel_seconds;

void set_entry(Call function_call, void *function) { call = function_call; entry = function; }

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + 1e-9 * at.tv_nsec;
}

int timed(void *self, const void *arguments, int32_t count, void *result) {
  double start = now();
  int status = call(entry, arguments, count, result);
  kernel_seconds = now() - start;
  return status;
}
"""


class KernelClock:
    """Puts itself between `run` and the entry of a network; `seconds` is what the kernels of the last run took.

    Raises Unsupported for a network that computes in NumPy between kernels, Missing without a C compiler.
    """

    def __init__(self, network: Any):
        import tvm_ffi

        ready = network._ready
        if ready is None:
            raise Unsupported(
                f"{network.layout.name} computes in NumPy between kernels: what a call costs is not defined"
            )
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder) / "clock.c", Path(folder) / "clock.so"
            source.write_text(SOURCE, encoding="utf-8")
            subprocess.run([host_compiler(), "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
            self._clock = ctypes.CDLL(str(library))
        # The process has loaded it, under a name that depends on the release.
        ffi = ctypes.CDLL(next(line.split()[-1] for line in open("/proc/self/maps") if "libtvm_ffi" in line))
        self._entry = ready.call
        call = ctypes.cast(ffi.TVMFFIFunctionCall, ctypes.c_void_p)
        self._clock.set_entry(call, ctypes.c_void_p(self._entry.__chandle__()))
        self._seconds = ctypes.c_double.in_dll(self._clock, "kernel_seconds")
        ready.last = None
        ready.call = tvm_ffi.Function.__from_extern_c__(ctypes.cast(self._clock.timed, ctypes.c_void_p).value)

    @property
    def seconds(self) -> float:
        """What the kernels of the last run took."""
        return self._seconds.value
