"""What the user types. Only this package turns errors into exit codes; torch is imported inside commands alone."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from . import denoise, doctor, evaluate, inpaint, train, translate, upscale, weights
from .common import INTERRUPTED, say

app = typer.Typer(
    name="restore",
    help="Repairs and re-imagines folders of pictures, X-rays first, without losing a bit of what is not to be repaired.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: importing rich doubles the time that `--help` takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("denoise")(denoise.denoise)
app.command("upscale")(upscale.upscale)
app.command("inpaint")(inpaint.inpaint)
app.command("translate")(translate.translate)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(weights.app, name="weights")
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"restore {version('restore-suite')}")
        raise typer.Exit


@app.callback()
def _restore(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process with the exit code (0 fine, 1 some failed, 2 usage, 130 interrupted).

    RESTORE_DEBUG=1 in the environment shows where an error came from.
    """
    try:
        app(args=arguments, prog_name="restore")
    except (ValueError, OSError) as error:
        if os.environ.get("RESTORE_DEBUG"):
            raise
        say(f"restore: {error}")
        sys.exit(2 if isinstance(error, ValueError) else 1)
    except KeyboardInterrupt:
        say("restore: interrupted")
        sys.exit(INTERRUPTED)
