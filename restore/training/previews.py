"""Preview grids: what the trainer's `preview` returned, one row a sample and one column an image, as a PNG."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

MARGIN = 16


def save_grid(path: Path, images: Mapping[str, Tensor], *, rows: int = 4) -> None:
    """Write a grid.

    Args:
        path: the PNG file, written whole or not at all.
        images: title -> (B, C, H, W), nominal [0, 1], C 1 or 3.
        rows: at most so many of the batch are shown.
    """
    shown = {title: batch[:rows].detach().float().cpu().clamp(0, 1) for title, batch in images.items()}
    height, width = next(iter(shown.values())).shape[-2:]
    count = len(next(iter(shown.values())))
    sheet = Image.new("RGB", (len(shown) * (width + 2), MARGIN + count * (height + 2)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for column, (title, batch) in enumerate(shown.items()):
        draw.text((column * (width + 2) + 2, 2), title, fill=(230, 230, 230))
        for row, image in enumerate(batch):
            pixels = (image * 255).round().to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
            sheet.paste(Image.fromarray(pixels), (column * (width + 2), MARGIN + row * (height + 2)))
    path.parent.mkdir(parents=True, exist_ok=True)
    # how high a row is, for `one_row`
    told = PngInfo()
    told.add_text("row", str(height))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    sheet.save(temporary, "PNG", pnginfo=told)
    temporary.replace(path)


def one_row(grid: Image.Image) -> Image.Image:
    """The first row of a grid that `save_grid` wrote, without the titles."""
    return grid.convert("RGB").crop((0, MARGIN, grid.width, MARGIN + int(grid.info.get("row", grid.height - MARGIN))))
