"""Rewrites generated CUDA C to C++ that g++ compiles and that calls the emulator's runtime."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mmasched.cudaemu.asm_statement import asm_statements
from mmasched.cudaemu.errors import CompileFailure
from mmasched.cudaemu.instructions import rule_for
from mmasched.cudaemu.lowering import lower

_KERNEL = re.compile(
    r'(?:extern\s+"C"\s+)?__global__\s+(?:void\s+)?((?:__launch_bounds__\s*\([^)]*\)\s*|__maxnreg__\s*\([^)]*\)\s*|void\s+)*)'
    r"(\w+)\s*\(([^{;]*?)\)\s*\{",
    re.S,
)
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.S)
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\(\s*(\d+)\s*\)\s*|alignas\s*\(\s*(\d+)\s*\)\s*)?([\w\s:]+?)\s+(\w+)\s*\[\s*\]\s*;"
)
_STATIC = re.compile(
    r"__shared__\s+(?:__align__\s*\(\s*(\d+)\s*\)\s*|alignas\s*\(\s*(\d+)\s*\)\s*)?([\w\s:]+?)\s+(\w+)\s*((?:\[[^\]]*\])*)\s*;"
)
_HEADERS = re.compile(r"^[ \t]*#[ \t]*include[^\n]*$", re.M)
_BOUNDS = re.compile(r"__launch_bounds__\s*\(\s*(\d+)")


@dataclass(frozen=True)
class Kernel:
    """One `__global__` function: its name, launch bound in threads (None: unbounded), parameters as (C type, name)."""

    name: str
    bound: int | None
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TranslatedSource:
    """C++ text for g++ and the kernels that it defines, by name."""

    text: str
    kernels: dict[str, Kernel]


@lru_cache(maxsize=8)
def translate(text: str, arch: str) -> TranslatedSource:
    """C++ that emulates the CUDA source `text` on the chip `arch` ("sm_80").

    Raises UnknownInstruction (or UnavailableInstruction) for PTX that is not emulated (or that the chip lacks), and
    CompileFailure when the text defines no kernel.
    """
    text = _COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
    text = _HEADERS.sub("", text)
    kernels = {kernel.name: kernel for kernel in map(_kernel, _KERNEL.finditer(text))}
    if not kernels:
        raise CompileFailure("the source defines no __global__ function")
    text = _lower_assembly(text, arch)
    text, alignments, statics = _place_shared(text, list(kernels))
    text = _keep_indices(text)
    headers = ["cuda_language.h", *(["wmma.h"] if "wmma::" in text else [])]
    parts = [*(f'#include "{header}"' for header in headers), text]
    for name, kernel in kernels.items():
        parts.append(_entry(kernel, alignments.get(name, 16), statics.get(name, ())))
    return TranslatedSource("\n".join(parts), kernels)


def _kernel(match: re.Match[str]) -> Kernel:
    bound = _BOUNDS.search(match[1])
    parameters = tuple(_parameter(part) for part in match[3].split(",") if part.strip())
    return Kernel(match[2], int(bound[1]) if bound else None, parameters)


def _parameter(text: str) -> tuple[str, str]:
    words = re.sub(r"__restrict__|__grid_constant__|\bconst\b", " ", text)
    match = re.fullmatch(r"\s*(.*?)\s*(\w+)\s*", words, re.S)
    return " ".join(match[1].split()), match[2]


def _lower_assembly(text: str, arch: str) -> str:
    rule = rule_for(arch)
    pieces, last = [], 0
    for serial, statement in enumerate(asm_statements(text)):
        pieces += [text[last : statement.begin], lower(statement, rule, serial)]
        last = statement.end
    return "".join([*pieces, text[last:]])


_INDICES = {"threadIdx": "emu_thread", "blockIdx": "emu_block"}
_INDEX = re.compile(rf"\b({'|'.join(_INDICES)})\b")
_LOCALS = " const emu_index emu_thread = emu_thread_index(), emu_block = emu_block_index(); "
_BRACE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]')


def _keep_indices(text: str) -> str:
    """Kernels ask for the numbers of their thread and block once, not wherever they use them."""
    pieces, last = [], 0
    for match in _KERNEL.finditer(text):
        end = _closing(text, match.end())
        body = _INDEX.sub(lambda index: _INDICES[index[1]], text[match.end() : end])
        pieces += [text[last : match.end()], _LOCALS, body]
        last = end
    return "".join([*pieces, text[last:]])


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the one before `start`, strings skipped."""
    depth = 1
    for match in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise CompileFailure("a kernel's body is not closed")


def _place_shared(text: str, kernels: list[str]) -> tuple[str, dict[str, int], dict[str, tuple[str, ...]]]:
    """Shared arrays become pointers and references into the emulated window.

    Returns the text, the alignment that each kernel's dynamic array declares and its static arrays' C++ types.
    """
    alignments: dict[str, int] = {}
    statics: dict[str, tuple[str, ...]] = {}
    starts = [(match.start(), match[2]) for match in _KERNEL.finditer(text)]
    serial = 0

    def owner(position: int) -> str:
        return next((name for start, name in reversed(starts) if start < position), kernels[0])

    def dynamic(match: re.Match[str]) -> str:
        alignment = int(match[1] or match[2] or 16)
        name = owner(match.start())
        alignments[name] = max(alignments.get(name, 16), alignment)
        kind = match[3].strip()
        return f"{kind}* const {match[4]} = static_cast<{kind}*>(emu_dynamic_shared({alignment}));"

    text = _DYNAMIC.sub(dynamic, text)
    starts = [(match.start(), match[2]) for match in _KERNEL.finditer(text)]

    def static(match: re.Match[str]) -> str:
        nonlocal serial
        kind, name = match[3].strip(), owner(match.start())
        before = " + ".join(["0u", *(f"emu_room(sizeof({other}))" for other in statics.get(name, ()))])
        alias = f"emu_static_{serial}"
        serial += 1
        statics[name] = (*statics.get(name, ()), f"{kind}{match[5]}")
        return (
            f"typedef {kind} {alias}{match[5]}; {alias}& {match[4]} = "
            f"*static_cast<{alias}*>(emu_static_shared({before}));"
        )

    return _STATIC.sub(static, text), alignments, statics


def _entry(kernel: Kernel, alignment: int, statics: tuple[str, ...]) -> str:
    """The function by which the runtime starts the kernel, and what it must know to lay out shared memory."""
    arguments = []
    for i, (kind, _) in enumerate(kernel.parameters):
        pointer = kind.endswith(("*", "&"))
        base = kind[:-1].strip()
        arguments.append(
            f"static_cast<{base}*>(arguments[{i}])" if pointer else f"*static_cast<{kind}*>(arguments[{i}])"
        )
    room = " + ".join(["0u", *(f"emu_room(sizeof({kind}))" for kind in statics)])
    return (
        f'extern "C" {{ __attribute__((no_sanitize("thread")))\n'
        f"void emu_entry_{kernel.name}(void** arguments) {{ {kernel.name}({', '.join(arguments)}); }}\n"
        f"extern const unsigned emu_static_bytes_{kernel.name} = {room};\n"
        f"extern const unsigned emu_alignment_{kernel.name} = {alignment}; }}"
    )
