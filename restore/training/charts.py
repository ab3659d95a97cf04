"""Two PNGs that show a whole run: the course of its losses, and its previews one below the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from restore.training.previews import MARGIN, one_row, written
from restore.writing import atomic_write

PLOT = "losses.png"
SHEET = "contact_sheet.png"
SHEET_ROWS = 12  # previews on the sheet


def loss_plot(folder: Path) -> Path | None:
    """Plot every loss of `folder`/log.jsonl over the steps, with a vertical line at each diagnosis.

    Returns:
        The PNG; None if nothing was logged yet.
    """
    rows, diagnoses = logged(folder / "log.jsonl")
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("step", "images_per_second")))
    if not names:
        return None
    # without pyplot, which would look for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.4 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for number, name in enumerate(names, 1):
        axes = figure.add_subplot(lines, columns, number)
        points = [(row["step"], row[name]) for row in rows if name in row]
        axes.plot([step for step, _ in points], [value for _, value in points], linewidth=0.6, color="tab:blue", alpha=0.4)
        marker = "o" if len(points) == 1 else ""  # a line needs two
        axes.plot([step for step, _ in points], smooth([value for _, value in points]), linewidth=1.4, color="tab:blue", marker=marker)
        for diagnosis in diagnoses:
            axes.axvline(diagnosis["step"], color="tab:red", linewidth=0.8)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    path = folder / PLOT
    with atomic_write(path) as draft:
        figure.savefig(draft, dpi=110, format="png")
    return path


def outdated(folder: Path) -> bool:
    """Whether something was logged after the plot was drawn, because the run was killed."""
    log, plot = folder / "log.jsonl", folder / PLOT
    return log.is_file() and (not plot.is_file() or plot.stat().st_mtime_ns < log.stat().st_mtime_ns)


def contact_sheet(folder: Path) -> Path | None:
    """Put the first sample of up to 12 previews, from the first to the newest, one below the other.

    Returns:
        The PNG; None if there is no preview yet.
    """
    files = written(folder)
    if not files:
        return None
    count = min(SHEET_ROWS, len(files))
    chosen = [files[round(index * (len(files) - 1) / max(1, count - 1))] for index in range(count)]
    rows = []
    for file in chosen:
        with Image.open(file) as grid:
            rows.append((int(file.stem), one_row(grid)))
    width, height = max(row.width for _, row in rows), rows[0][1].height
    sheet = Image.new("RGB", (width, len(rows) * (height + MARGIN)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for number, (step, row) in enumerate(rows):
        draw.text((2, number * (height + MARGIN) + 2), f"step {step}", fill=(230, 230, 230))
        sheet.paste(row, (0, number * (height + MARGIN) + MARGIN))
    path = folder / SHEET
    with atomic_write(path) as draft:
        sheet.save(draft, "PNG")
    return path


def logged(log: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of losses and the diagnoses of a log."""
    if not log.is_file():
        return [], []
    entries = [entry for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if (entry := _entry(line))]
    return [row for row in entries if "diagnosis" not in row], [row for row in entries if "diagnosis" in row]


def _entry(line: str) -> dict[str, Any]:
    """Parse a line of the log; empty if a kill truncated it."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and "step" in entry else {}


def smooth(values: list[float]) -> list[float]:
    """An exponential mean over about a twentieth of the values."""
    weight = min(1.0, max(0.02, 20 / max(1, len(values))))
    mean, means = values[0], []
    for value in values:
        mean += weight * (value - mean)
        means.append(mean)
    return means
