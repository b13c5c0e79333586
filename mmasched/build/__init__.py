"""Program to binary: compiling a candidate for the chip at hand, with a report of what the compiler made of it."""

from mmasched.build.candidate import Candidate, build_candidate
from mmasched.build.compile import BuildError, ConstraintError, compile_module

__all__ = ["BuildError", "Candidate", "ConstraintError", "build_candidate", "compile_module"]
