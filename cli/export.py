"""`restore export`: writes the network of weights as a file of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import choice
from .printable import printable


def export(
    weights: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A name in `restore weights list`, a file, or a run's folder.", show_default=False)
    ],
    *,
    format: Annotated[
        str, typer.Option(metavar="FORMAT", help="onnx, openvino or torchscript.", callback=choice("onnx", "openvino", "torchscript"))
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file; default: the weights' name, here.", show_default=False)
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which network of weights that hold several, e.g. backward.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write the network of weights as a file for other programs: a picture and its conditions go in, the restored picture comes out.

    The file is compared with torch at five sizes, and not written where it differs. docs/export.md shows how to run it.

    restore export denoise-gray --out denoise-gray.onnx
    """
    from restore.api import export as write

    written = write(weights, format, out, part=part, overwrite=overwrite)
    names = ", ".join(entry.name for entry in written.graph.inputs)
    typer.echo(printable(f"wrote {written.path} (inputs {names}); it differs from torch by {written.difference:.1g} of the range at most"))
