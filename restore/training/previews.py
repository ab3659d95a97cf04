"""Preview grids: what a trainer's `preview` returned, one row per sample and one column per image, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from restore.writing import atomic_write

MARGIN = 16


def save_grid(path: Path, images: Mapping[str, Tensor], *, rows: int = 4) -> None:
    """Write a grid.

    Args:
        path: the PNG file, written completely or not at all.
        images: title -> (B, C, H, W), nominal [0, 1], C 1 or 3.
        rows: the most samples that are shown.
    """
    columns = {title: batch[:rows].detach().float().cpu().clamp(0, 1) for title, batch in images.items()}
    height, width = next(iter(columns.values())).shape[-2:]
    count = len(next(iter(columns.values())))
    sheet = Image.new("RGB", (len(columns) * (width + 2), MARGIN + count * (height + 2)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for column, (title, batch) in enumerate(columns.items()):
        draw.text((column * (width + 2) + 2, 2), title, fill=(230, 230, 230))
        for row, image in enumerate(batch):
            pixels = (image * 255).round().to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
            sheet.paste(Image.fromarray(pixels), (column * (width + 2), MARGIN + row * (height + 2)))
    path.parent.mkdir(parents=True, exist_ok=True)
    # the height of a row, for `one_row`
    info = PngInfo()
    info.add_text("row", str(height))
    with atomic_write(path) as draft:
        sheet.save(draft, "PNG", pnginfo=info)


def one_row(grid: Image.Image) -> Image.Image:
    """Return the first row of a grid that `save_grid` wrote, without the titles."""
    return grid.convert("RGB").crop((0, MARGIN, grid.width, MARGIN + int(grid.info.get("row", grid.height - MARGIN))))


def written(folder: Path) -> list[Path]:
    """The preview grids of the run in `folder`, named by their steps, in the order of these numbers."""
    files = [path for path in (folder / "previews").glob("[0-9]*.png") if path.stem.isdecimal()]
    return sorted(files, key=lambda path: int(path.stem))
