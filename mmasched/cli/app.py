"""The commands, and what becomes of errors: one sentence on standard error, exit status 2, no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from mmasched.cli import compare, costs, deploy, doctor, logs, networks, space, tune, verify
from mmasched.cli.options import examples
from mmasched.errors import MmaschedError

HELP = """Finds the fastest schedule of each reduced-precision convolution of a network, proves it, remembers it, builds
the network with it."""

EXAMPLE = examples(
    "mmasched tune model.onnx --effort quick", "mmasched compile model.onnx -o model.mma", "mmasched bench model.mma"
)

USER_ERROR = 2
INTERRUPTED = 128 + 2  # SIGINT
BROKEN_PIPE = 128 + 13  # SIGPIPE

# Typer's own click has moved about between versions; the base of its usage errors is always an ancestor of this one.
_UsageProblem = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    help=HELP,
    epilog=EXAMPLE,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Brackets are brackets.
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from mmasched import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


for room in (tune, deploy, compare, verify, logs, networks, costs, space, doctor):
    room.register(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 the answer is no, 2 wrong input, 130 interrupted."""
    status = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = _pipe_closed()
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit status."""
    command = typer.main.get_command(app)
    try:
        status = command.main(args=list(arguments), prog_name="mmasched", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except MmaschedError as error:
        return _complain(str(error))
    except _UsageProblem as error:
        return _complain(_usage(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()


def _complain(sentence: str) -> int:
    print(f"error: {' '.join(sentence.splitlines())}", file=sys.stderr)
    return USER_ERROR


def _usage(error: Exception) -> str:
    """Typer's message for a wrong option or argument, with where to read more."""
    context = getattr(error, "ctx", None)
    message = error.format_message().strip().rstrip(".")
    return f"{message}; see {context.command_path if context else 'mmasched'} --help"


def _pipe_closed() -> int:
    """Whoever read the output is gone: nothing more is printed, not even at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
