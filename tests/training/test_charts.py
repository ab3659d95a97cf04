"""The plot of the losses and the sheet of the previews."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from restore.training import run_page
from restore.training.charts import contact_sheet, loss_plot
from restore.training.previews import MARGIN, save_grid


def test_a_plot_shows_each_loss_and_each_verdict(tmp_path: Path) -> None:
    assert loss_plot(tmp_path) is None
    rows = [{"step": step, "pixel": 1 / step, "adversarial": step, "images_per_second": 3.0} for step in range(1, 30)]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = loss_plot(tmp_path)
    assert path is not None
    without = np.asarray(Image.open(path).convert("RGB")).astype(int)
    with log.open("a") as file:
        file.write(json.dumps({"step": 15, "diagnosis": "collapse", "text": "alike"}) + "\n")
    loss_plot(tmp_path)
    red = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert without.shape == red.shape
    assert not ((without[..., 0] - without[..., 2]) > 100).any()
    columns = ((red[..., 0] - red[..., 2]) > 100).any(0)
    assert columns[: len(columns) // 2].any()
    assert columns[len(columns) // 2 :].any()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log.jsonl", "losses.png"]


def test_the_sheet_goes_from_the_first_preview_to_the_newest(tmp_path: Path) -> None:
    assert contact_sheet(tmp_path) is None
    for step in range(40):
        gray = torch.full((3, 1, 20, 24), step / 40)
        save_grid(tmp_path / "previews" / f"{step:06d}.png", {"one": gray, "two": gray})
    path = contact_sheet(tmp_path)
    assert path is not None
    pixels = np.asarray(Image.open(path))
    assert pixels.shape == (12 * (20 + MARGIN), 2 * 26, 3)
    middles = pixels[MARGIN + 10 :: 20 + MARGIN, 5, 0]
    assert middles[0] == 0
    assert middles[-1] == round(39 / 40 * 255)
    assert (np.diff(middles.astype(int)) > 0).all()


def test_previews_are_in_the_order_of_their_steps(tmp_path: Path) -> None:
    for number, step in enumerate((999_000, 1_000_000, 2_000_000, 10_000_000)):
        save_grid(tmp_path / "previews" / f"{step:06d}.png", {"one": torch.full((1, 1, 20, 24), number / 4)})
    (tmp_path / "previews" / "1 copy.png").write_bytes(b"")
    path = contact_sheet(tmp_path)
    assert path is not None
    assert np.asarray(Image.open(path))[MARGIN + 10 :: 20 + MARGIN, 5, 0].tolist() == [round(number / 4 * 255) for number in range(4)]
    page = run_page.write(tmp_path).read_text()
    assert [page.index(f'"step": {step},') for step in (999_000, 1_000_000, 2_000_000, 10_000_000)] == sorted(
        page.index(f'"step": {step},') for step in (999_000, 1_000_000, 2_000_000, 10_000_000)
    )
    assert "<output id=step>10000000</output>" in page


def _blue(path: Path) -> int:
    """Pixels of curves."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int(((pixels[..., 2] - pixels[..., 0]) > 60).sum())


def test_a_single_point_is_marked(tmp_path: Path) -> None:
    """A score of one validation, and the whole log of a run of one step."""
    rows = [{"step": step, "pixel": 0.5} for step in (50, 100)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = loss_plot(tmp_path)
    assert path is not None
    without, page = _blue(path), run_page.write(tmp_path).read_text()
    assert "<circle" not in page
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 50, "pixel": 0.5}) + "\n")
    loss_plot(tmp_path)
    assert without > 0 and _blue(path) > 0
    page = run_page.write(tmp_path).read_text()
    assert page.count("<circle") == 1
