"""`restore denoise`."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Common, Inputs, restore_pictures, with_common


def _noise_level(text: str) -> str:
    if text == "auto":
        return text
    try:
        level = float(text)
    except ValueError:
        level = -1.0
    if not 0 <= level <= 255:
        raise typer.BadParameter("must be auto or a number from 0 to 255")
    return text


@with_common
def denoise(
    inputs: Inputs,
    noise_level: Annotated[
        str,
        typer.Option(
            metavar="auto|0..255",
            callback=_noise_level,
            help="Standard deviation of the noise, white being 255; auto estimates it for each picture.",
        ),
    ] = "auto",
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="0..1", help="How much of the noise to take away.")
    ] = 1.0,
    ensemble: Annotated[
        str,
        typer.Option(
            metavar="auto|1|2|4|8", help="Views averaged: finer, and so many times the work. auto: 2, X-rays 1."
        ),
    ] = "auto",
    *,
    common: Common,
) -> None:
    """Take the noise out of pictures: X-rays (DICOM or not), photographs, gray or colour.

    restore denoise scans/ --out clean/
    """
    level = noise_level if noise_level == "auto" else float(noise_level)
    restore_pictures("denoise", inputs, {"noise_level": level, "strength": strength, "ensemble": ensemble}, common)
