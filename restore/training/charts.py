"""What a run looks like as a whole, as two PNGs in its folder: the course of its losses, and its previews one below the other."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from restore.training.previews import MARGIN, one_row

PLOT = "losses.png"
SHEET = "contact_sheet.png"
SHOWN = 12  # previews on the sheet


def loss_plot(folder: Path) -> Path | None:
    """Draw every loss of `folder`/log.jsonl over the steps, with the verdicts on the run's health as lines across.

    Returns:
        The PNG; None where nothing was logged yet.
    """
    rows, verdicts = _logged(folder / "log.jsonl")
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("step", "images_per_second")))
    if not names:
        return None
    # the canvas is made directly, for pyplot would choose a screen
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.4 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(lines, columns, place)
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot([step for step, _ in points], [value for _, value in points], linewidth=0.6, color="tab:blue", alpha=0.4)
        axes.plot([step for step, _ in points], _smooth([value for _, value in points]), linewidth=1.4, color="tab:blue")
        for verdict in verdicts:
            axes.axvline(verdict["step"], color="tab:red", linewidth=0.8)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    path = folder / PLOT
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    figure.savefig(temporary, dpi=110, format="png")
    temporary.replace(path)
    return path


def outdated(folder: Path) -> bool:
    """Whether the plot lacks something that was logged, since its run was killed before it was drawn."""
    log, plot = folder / "log.jsonl", folder / PLOT
    return log.is_file() and (not plot.is_file() or plot.stat().st_mtime_ns < log.stat().st_mtime_ns)


def contact_sheet(folder: Path) -> Path | None:
    """The first sample of up to 12 previews, from the first to the newest, one below the other, so that progress is seen at a glance.

    Returns:
        The PNG; None where there is no preview yet.
    """
    files = sorted((folder / "previews").glob("[0-9]*.png"))
    if not files:
        return None
    count = min(SHOWN, len(files))
    chosen = [files[round(index * (len(files) - 1) / max(1, count - 1))] for index in range(count)]
    rows = []
    for file in chosen:
        with Image.open(file) as grid:
            rows.append((int(file.stem), one_row(grid)))
    wide, high = max(row.width for _, row in rows), rows[0][1].height
    sheet = Image.new("RGB", (wide, len(rows) * (high + MARGIN)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for place, (step, row) in enumerate(rows):
        draw.text((2, place * (high + MARGIN) + 2), f"step {step}", fill=(230, 230, 230))
        sheet.paste(row, (0, place * (high + MARGIN) + MARGIN))
    path = folder / SHEET
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    sheet.save(temporary, "PNG")
    temporary.replace(path)
    return path


def _logged(log: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of losses and the verdicts of a log."""
    if not log.is_file():
        return [], []
    entries = [entry for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if (entry := _entry(line))]
    return [row for row in entries if "verdict" not in row], [row for row in entries if "verdict" in row]


def _entry(line: str) -> dict[str, Any]:
    """A line of the log; empty where a kill tore it."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and "step" in entry else {}


def _smooth(values: list[float]) -> list[float]:
    """A running mean that follows over about a twentieth of the course."""
    follow = min(1.0, max(0.02, 20 / max(1, len(values))))
    smooth, course = values[0], []
    for value in values:
        smooth += follow * (value - smooth)
        course.append(smooth)
    return course
