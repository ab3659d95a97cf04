"""`restore upscale`."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Common, Inputs, restore_pictures, with_common


@with_common
def upscale(
    inputs: Inputs,
    scale: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="How many times larger: any number above 1 up to 4; else what the weights do (4).", show_default=False
        ),
    ] = None,
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="0..1", help="From the cubic enlargement (0) to the network's (1).")
    ] = 1.0,
    *,
    common: Common,
) -> None:
    """Enlarge pictures: --weights faithful (the default), photo, or a FILE.

    faithful stays with what the picture shows: it sharpens edges and invents next to nothing, at the price of smooth texture.

    photo undoes blur, noise and JPEG too and invents plausible fine texture: for pictures to look at, not for evidence or diagnosis.

    restore upscale photos/ --out large/ --scale 2
    """
    restore_pictures("upscale", inputs, {"scale": scale, "strength": strength}, common)
