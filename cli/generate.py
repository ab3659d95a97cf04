"""`restore generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore.writing import real

from .common import SOME_FAILED, check_precision, leave_interrupted, say, stoppable

Weights = Annotated[str, typer.Option(metavar="NAME|FILE", help="Weights of a generator: a name, a file or a run's folder.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pictures; those of a class go into a folder of its name.")]
Count = Annotated[int, typer.Option(metavar="N", min=1, help="Number of pictures.")]
Label = Annotated[str | None, typer.Option("--class", metavar="LABEL", help="The class of all pictures; default: all in turn.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the first picture; the next ones have the next seeds.")]
Truncation = Annotated[float, typer.Option(metavar="0..1", min=0, max=2, help="Below 1: more alike and more typical pictures.")]
Grid = Annotated[str | None, typer.Option(metavar="FILE|auto", help="Also write a contact sheet (PNG); auto: next to DIR.")]
Interpolate = Annotated[
    tuple[int, int] | None, typer.Option(metavar="A B", help="Make the pictures on the way from seed A to seed B.", show_default=False)
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Make pictures again that are done.")]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[
    str, typer.Option(metavar="PRECISION", help="fp32, bf16, fp16 or auto; others than fp32 round.", callback=check_precision)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for each picture.")]
ReportPath = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write the JSON objects to a JSON Lines file.")]


def generate(  # noqa: PLR0913  # the options of the command
    *,
    weights: Weights,
    out: Out,
    count: Count = 16,
    label: Label = None,
    seed: Seed = 0,
    truncation: Truncation = 1.0,
    grid: Grid = None,
    interpolate: Interpolate = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    precision: Precision = "fp32",
    quiet: Quiet = False,
    json: Json = False,
    report: ReportPath = None,
) -> None:
    """Make pictures that resemble those a generator was trained on.

    A picture depends on its seed alone: seed 17 gives the same one in every run. DIR/manifest.csv lists the seeds.

    restore generate --weights digits --count 100 --out generated/ --grid auto
    """
    from .display import Display

    display = Display(quiet=quiet, json_lines=json, verb="generating")
    sheet = None if grid is None else real(out).with_name(f"{real(out).name}-grid.png") if grid == "auto" else Path(grid)
    with stoppable() as stopped_by:
        display.opening()
        try:
            from restore.api import generate as run
            from restore.pipeline.batch import Interrupted

            options = {
                "count": count, "label": label, "seed": seed, "truncation": truncation, "interpolate": interpolate, "grid": sheet,
                "overwrite": overwrite,
            }  # fmt: skip
            made = run(weights, out, options, device=device, precision=precision, report=report, on_event=display.event)
        except KeyboardInterrupt as stop:
            display.close()
            if isinstance(stop, Interrupted):
                display.finish(stop.report)
            else:
                say("restore: interrupted before the first picture")
            leave_interrupted(stopped_by)
        finally:
            display.close()
    display.finish(made)
    raise typer.Exit(SOME_FAILED if made.failed or made.unwritten else 0)
