"""The C that runs a compiled network without Python: header, implementation, example."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mmasched.deploy.compiled import Layout, Port, Quick

LIBRARY, HEADER, EXAMPLE = "network.so", "network.h", "example.c"
RUNTIME = Path(__file__).with_name("runtime.c")

C_TYPES = {"float32": "float", "uint8": "uint8_t", "int8": "int8_t", "int32": "int32_t", "int64": "int64_t"}


def texts(layout: Layout, weight_bytes: int) -> dict[str, str]:
    """File name to text; none for a network that needs NumPy between kernels, or has ports that these do not touch."""
    if Quick.of(layout) is None or layout.constants.keys() & layout.places.keys():
        return {}
    return {HEADER: _header(layout), "network.c": _implementation(layout, weight_bytes), EXAMPLE: _example(layout)}


def identifier(name: str, taken: list[str]) -> str:
    """A C name for a tensor, different from those taken."""
    found = re.sub(r"\W", "_", name)
    found = found if re.match(r"[A-Za-z]", found) else f"t_{found}"
    while found in (*taken, "arena", "weights"):
        found += "_"
    return found


def _ports(layout: Layout) -> list[tuple[str, Port, bool]]:
    """(C name, port, whether it is an input)."""
    found: list[tuple[str, Port, bool]] = []
    for port in (*layout.inputs, *layout.outputs):
        name = identifier(port.name, [taken for taken, _, _ in found])
        found.append((name, port, port in layout.inputs))
    return found


def _parameters(layout: Layout) -> str:
    return ", ".join(f"{'const ' if given else ''}{C_TYPES[p.dtype]} *{name}" for name, p, given in _ports(layout))


def _count(port: Port) -> int:
    return int(np.prod(port.shape, dtype=np.int64))


def _header(layout: Layout) -> str:
    lines = "".join(
        f" *   {name}: {C_TYPES[port.dtype]} [{', '.join(map(str, port.shape))}], {'in' if given else 'out'}\n"
        for name, port, given in _ports(layout)
    )
    sizes = "".join(
        f"#define NETWORK_{name.upper()}_ELEMENTS {_count(port)}\n" for name, port, _ in _ports(layout)
    )  # fmt: skip
    title = f"{re.sub(r'[*]/', '', layout.name)}, compiled for {layout.target} on {layout.threads} threads"
    return f"""/* {title}. Made by mmasched.
 *
 * network_run computes one batch. Arrays are dense, in the model's own order (NCHW):
{lines} * It returns 0, or what a kernel reported. One call at a time: activations lie in the library's own memory. */
#ifndef NETWORK_H
#define NETWORK_H
#include <stdint.h>

{sizes}
#ifdef __cplusplus
extern "C" {{
#endif
int network_run({_parameters(layout)});
#ifdef __cplusplus
}}
#endif
#endif
"""


def _implementation(layout: Layout, weight_bytes: int) -> str:
    fills = "".join(
        f"  memset(arena + {layout.offsets[name]}, {place.fill}, {place.shape[0] * place.plane.image});\n"
        for name, place in layout.places.items()
        if place.keeps_halo
    )
    entry = layout.sequence[0]
    names = {port.name: name for name, port, _ in _ports(layout)}
    cells = "".join(f"    {{INTEGER, 0, {{.integer = (intptr_t){names[name]}}}}},\n" for name in entry.io)
    return f"""#include "network.h"

#include <string.h>

#include "runtime.c"

extern const uint8_t network_weights[];
extern int __tvm_ffi_{entry.entry}(void *self, Cell *arguments, int32_t count, Cell *result);

static _Alignas(64) uint8_t arena[{max(layout.arena_bytes, 1)}];
static int ready;

/* What lies around padded activations is written once. */
static void prepare(void) {{
{fills}  runtime_threads({layout.threads});
  ready = 1;
}}

int network_run({_parameters(layout)}) {{
  if (!ready) prepare();
  int64_t one = 1, sizes[2] = {{sizeof arena, {weight_bytes}}};
  Tensor memory = {{.data = arena, .device = {{CPU, 0}}, .ndim = 1, .dtype = {{1, 8, 1}}}};
  memory.shape = &sizes[0];
  memory.strides = &one;
  Tensor weights = memory;
  weights.data = (void *)network_weights;
  weights.shape = &sizes[1];
  Cell result = {{0}}, cells[] = {{
    {{TENSOR_POINTER, 0, {{.pointer = &memory}}}},
    {{TENSOR_POINTER, 0, {{.pointer = &weights}}}},
{cells}  }};
  return __tvm_ffi_{entry.entry}(0, cells, sizeof cells / sizeof *cells, &result);
}}
"""


def _example(layout: Layout) -> str:
    ports = _ports(layout)
    arrays = "".join(f"static {C_TYPES[port.dtype]} {name}[{_count(port)}];\n" for name, port, _ in ports)
    steps, number = [], 1
    for name, _, given in ports:
        if given:
            steps.append(f'  if (!move(argv[{number}], "rb", {name}, sizeof {name})) return 1;\n')
            number += 1
    call = ", ".join(name for name, _, _ in ports)
    steps.append(f"  int status = network_run({call});\n")
    steps.append('  if (status) return fprintf(stderr, "a kernel reported %d\\n", status), 1;\n')
    for name, _, given in ports:
        if not given:
            steps.append(f'  if (!move(argv[{number}], "wb", {name}, sizeof {name})) return 1;\n')
            number += 1
    usage = " ".join(name.upper() for name, _, _ in ports)
    return f"""/* Runs the network once on raw files: example {usage}
 * Build: gcc example.c ./network.so -Wl,-rpath,. -o example */
#include <stdio.h>

#include "network.h"

{arrays}
static int move(const char *path, const char *mode, void *data, size_t bytes) {{
  FILE *file = fopen(path, mode);
  if (!file) return perror(path), 0;
  size_t moved = *mode == 'r' ? fread(data, 1, bytes, file) : fwrite(data, 1, bytes, file);
  fclose(file);
  if (moved != bytes) fprintf(stderr, "%s: %zu of %zu bytes\\n", path, moved, bytes);
  return moved == bytes;
}}

int main(int argc, char **argv) {{
  if (argc != {number}) return fprintf(stderr, "usage: example {usage}\\n"), 2;
{"".join(steps)}  return 0;
}}
"""
