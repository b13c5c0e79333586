"""The command `mmasched`. Everything heavy is imported inside the commands, so that `--help` is quick."""

from mmasched.cli.app import app, main

__all__ = ["app", "main"]
