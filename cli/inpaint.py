"""`restore inpaint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import Common, Inputs, restore_pictures, with_common


@with_common
def inpaint(
    inputs: Inputs,
    *,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR|FILE", help="Masks by the pictures' relative names (any suffix), or one for all; white is filled."),
    ] = None,
    invert_masks: Annotated[bool, typer.Option("--invert-masks", help="Black is filled instead.")] = False,
    mask_color: Annotated[str | None, typer.Option(metavar="#RRGGBB", help="Fill what has this colour.")] = None,
    mask_tolerance: Annotated[
        float, typer.Option(min=0.0, max=255.0, metavar="0..255", help="How far from it each channel may be.")
    ] = 10.0,
    alpha: Annotated[bool, typer.Option("--alpha", help="Fill what is transparent, and make it opaque.")] = False,
    scratches: Annotated[bool, typer.Option("--scratches", help="Find scratches and dust of old photographs, and fill them.")] = False,
    sensitivity: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, metavar="0..1", help="Of --scratches: higher finds more, and more that is none. [default: 0.35]"),
    ] = None,
    grow: Annotated[
        int | None, typer.Option(min=0, metavar="PIXELS", help="Make holes larger by so much. [default: 0; found holes 1, colours 2]")
    ] = None,
    feather: Annotated[int, typer.Option(min=0, metavar="PIXELS", help="Fade the filling in behind its edge.")] = 0,
    method: Annotated[str, typer.Option(metavar="network|telea|navier-stokes", help="OpenCV's two are for tiny holes.")] = "network",
    texture: Annotated[
        bool, typer.Option("--texture/--no-texture", help="Copy fine detail into wide holes from where the picture looks alike.")
    ] = True,
    save_masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the masks that were used, to be checked and edited.")
    ] = None,
    common: Common,
) -> None:
    """Fill holes, scratches and what should not be there; every pixel outside the holes stays as it is, bit for bit.

    restore inpaint photos/ --out whole/ --masks masks/

    restore inpaint prints/ --out whole/ --scratches --save-masks found/
    """
    options = {
        "masks": masks, "invert_masks": invert_masks, "mask_color": mask_color, "mask_tolerance": mask_tolerance, "alpha": alpha,
        "scratches": scratches, "sensitivity": sensitivity, "grow": grow, "feather": feather, "method": method, "texture": texture,
        "save_masks": save_masks,
    }  # fmt: skip
    restore_pictures("inpaint", inputs, options, common)
