"""The command line. Only this package converts errors to exit codes. torch is imported only inside commands."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings as warnings_module
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from . import doctor, evaluate, export, generate, restore_commands, train, weights
from .common import INTERRUPTED, say
from .json_lines import open_standard_streams

_EXIT_CODES = (
    "Exit codes: 0 all done; 1 some pictures failed, or a report or preview could not be written; 2 usage error; "
    "130 interrupted (143 by SIGTERM, 129 by SIGHUP)."
)
app = typer.Typer(
    name="restore",
    epilog=_EXIT_CODES,
    help="Restore folders of pictures, X-rays first: denoise, upscale, inpaint, translate. Bit depth, format and metadata are kept.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: importing rich doubles the time that `--help` takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
restore_commands.add_to(app)
app.command("train")(train.train)
app.command("generate")(generate.generate)
app.command("evaluate")(evaluate.evaluate)
app.command("export")(export.export)
app.add_typer(weights.app, name="weights")
app.command("doctor")(doctor.doctor)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"restore {version('restore-suite')}")
        raise typer.Exit


@app.callback()
def _restore(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")] = False,
) -> None:
    pass


class _OwnWarnings(logging.Handler):
    """Prints the suite's own warnings that belong to no picture, such as a mode collapse, to standard error as plain lines."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _silence_libraries() -> None:
    """Hide the warnings and log messages of libraries. Warnings about a picture are in its record."""
    if not sys.warnoptions:
        warnings_module.simplefilter("ignore")
    root, own = logging.getLogger(), logging.getLogger("restore")
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # without any handler Python prints warnings
    if not any(isinstance(handler, _OwnWarnings) for handler in own.handlers):
        own.addHandler(_OwnWarnings())


@contextmanager
def _noted(interrupts: list[int]) -> Iterator[None]:
    """Keep every Ctrl-C in `interrupts`, so that it decides the exit code whatever it turns into."""

    def note(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse_empty(arguments: list[str]) -> None:
    """Raise ValueError if an argument is empty: as a path it would name the working folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            name = argument.rstrip("=") or (before if before.startswith("-") else "an argument")
            raise ValueError(f"{name} is empty: give a value (is a variable of the shell not set?)")


def _check_working_folder() -> None:
    """Raise ValueError if the working folder was removed: libraries, and paths relative to it, would fail in other words."""
    try:
        Path.cwd()
    except OSError as error:
        raise ValueError("the working folder does not exist any more: change to another one") from error


def _text(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower() + (f": {error.filename}" if error.filename else "")
    return str(error)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code (see `_EXIT_CODES`).

    RESTORE_DEBUG=1 in the environment shows tracebacks and the warnings of libraries.
    """
    open_standard_streams()
    if not os.environ.get("RESTORE_DEBUG"):
        _silence_libraries()
    interrupts: list[int] = []
    try:
        _refuse_empty(sys.argv[1:] if arguments is None else arguments)
        _check_working_folder()
        with _noted(interrupts):
            app(args=arguments, prog_name="restore")
    except Exception as error:
        # an import of a compiled library can turn Ctrl-C into an ImportError
        if interrupts:
            say("restore: interrupted")
            sys.exit(INTERRUPTED)
        if not isinstance(error, ValueError | OSError):
            raise
        if os.environ.get("RESTORE_DEBUG"):
            raise
        say(f"restore: {_text(error)}")
        sys.exit(2 if isinstance(error, ValueError) else 1)
    except KeyboardInterrupt:
        say("restore: interrupted")
        sys.exit(INTERRUPTED)
