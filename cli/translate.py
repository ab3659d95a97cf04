"""`restore translate`."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Common, Inputs, restore_pictures, with_common


@with_common
def translate(
    inputs: Inputs,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="The way back, for weights that learnt both (cyclegan).")
    ] = False,
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="0..1", help="How far from the picture to its translation.")
    ] = 1.0,
    *,
    common: Common,
) -> None:
    """Turn pictures of one kind into another, as pix2pix or cyclegan learnt it.

    restore translate photos/ --out paintings/ --weights photo2paint
    """
    restore_pictures("translate", inputs, {"reverse": reverse, "strength": strength}, common)
