"""Preview grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from restore.training.previews import MARGIN, save_grid


def test_a_grid_shows_each_image_at_its_place(tmp_path: Path) -> None:
    dark, light = torch.zeros(6, 1, 8, 10), torch.full((6, 3, 8, 10), 2.0)
    save_grid(tmp_path / "new" / "grid.png", {"dark": dark, "light": light}, rows=2)
    pixels = np.asarray(Image.open(tmp_path / "new" / "grid.png"))
    assert pixels.shape == (MARGIN + 2 * 10, 2 * 12, 3)
    for row in range(2):
        top = MARGIN + row * 10
        assert (pixels[top : top + 8, :10] == 0).all()
        assert (pixels[top : top + 8, 12:22] == 255).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["grid.png"]
