"""The errors a user may see: each message is one sentence that names the thing at fault and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MmaschedError(Exception):
    """Base of every error raised on purpose; the command line prints its message and exits with status 2."""


class BadInput(MmaschedError):
    """An argument or a file of the user's is wrong."""


class Unsupported(MmaschedError):
    """The request is well formed, but this shape, chip or operator is not handled."""


class Missing(MmaschedError):
    """Something the request needs is absent: a peer library, a compiler, a device, a file."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Suffix for an "unknown name" message: the most similar known names, or all of them when none is similar.

    >>> nearest("x86/avx3", ["x86/avx2", "x86/amx"])
    'did you mean x86/avx2, x86/amx?'
    >>> nearest("zzz", ["b", "a"])
    'known: a, b'
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {', '.join(close)}?"
    return f"known: {', '.join(names)}" if names else "none is known"
