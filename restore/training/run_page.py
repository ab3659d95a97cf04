"""The page of a run, `run.html`: previews over time, the course of every loss and score, and the diagnoses. One file, no network."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from restore.training.charts import logged, smooth
from restore.training.journal import VALIDATION
from restore.training.previews import written
from restore.writing import atomic_write, real

NAME = "run.html"
PREVIEWS = 24
"""The most previews on the page, from the first to the newest."""
WIDEST = 1200
"""Pixels; wider previews are shrunk."""
POINTS = 400
"""The most points of a curve."""
WIDTH, HEIGHT, LEFT, BOTTOM = 420, 180, 56, 22
"""Of a chart and its margins, in units of its SVG."""


def write(folder: Path) -> Path:
    """Write the page of the run in `folder` atomically, from its log and its previews.

    Raises:
        OSError: it cannot be written.
    """
    rows, diagnoses = logged(folder / "log.jsonl")
    path = folder / NAME
    with atomic_write(path) as draft:
        draft.write_text(_page(folder, rows, diagnoses), encoding="utf-8")
    return path


def _page(folder: Path, rows: list[dict[str, Any]], diagnoses: list[dict[str, Any]]) -> str:
    title = html.escape(f"Run {real(folder).name}")
    last = max((row["step"] for row in rows), default=0)
    notes = "".join(f"<li>step {int(entry['step'])}: {html.escape(str(entry.get('text', '')))}</li>" for entry in diagnoses)
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("step", "images_per_second")))
    names.sort(key=lambda name: not name.startswith(VALIDATION))  # the scores first
    charts = "".join(_chart(name, rows, diagnoses) for name in names)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1><p>{last:,} steps logged.</p>\n"
        f"{_previews(folder)}\n<h2>Scores and losses</h2><div class=charts>{charts or '<p>Nothing is logged yet.</p>'}</div>\n"
        f"<h2>Diagnoses</h2>{f'<ul>{notes}</ul>' if notes else '<p>None.</p>'}\n</body></html>\n"
    )


def _previews(folder: Path) -> str:
    """A slider over the previews, with the newest shown."""
    files = written(folder)
    if not files:
        return ""
    count = min(PREVIEWS, len(files))
    chosen = [files[round(index * (len(files) - 1) / max(1, count - 1))] for index in range(count)]
    shown = [{"step": int(file.stem), "source": _embedded(file)} for file in chosen]
    # nothing in these texts can end the script
    data = json.dumps(shown).replace("<", "\\u003c")
    return (
        f"<h2>Previews</h2><p><label>Step <output id=step>{shown[-1]['step']}</output> "
        f'<input id=slider type=range min=0 max={count - 1} value={count - 1} aria-label="preview"></label></p>'
        f'<img id=preview alt="preview of step {shown[-1]["step"]}" src="{shown[-1]["source"]}">\n'
        f"<script>const previews={data};{_SCRIPT}</script>"
    )


def _embedded(file: Path) -> str:
    """A preview as the address of embedded data: a WebP of at most WIDEST pixels."""
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _chart(name: str, rows: Sequence[dict[str, Any]], diagnoses: Sequence[dict[str, Any]]) -> str:
    """One curve as an SVG: faint as logged, strong as smoothed; a vertical line at each diagnosis."""
    points = [(float(row["step"]), float(row[name])) for row in rows if isinstance(row.get(name), int | float) and math.isfinite(row[name])]
    if not points:
        return ""
    points = points[:: math.ceil(len(points) / POINTS)]
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    span = high - low or max(abs(high), 1.0) * 0.1

    def place(step: float, value: float) -> tuple[float, float]:
        across = (step - steps[0]) / max(1.0, steps[-1] - steps[0])
        return LEFT + across * (WIDTH - LEFT - 8), 8 + (high - value) / span * (HEIGHT - BOTTOM - 16)

    def line(curve: Sequence[float], style: str) -> str:
        if len(curve) == 1:  # a line needs two points
            x, y = place(steps[0], curve[0])
            return f"<circle class=point cx={x:.1f} cy={y:.1f} r=3 />"
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, steps, curve))
        return f'<polyline class={style} points="{corners}"/>'

    inside = [entry for entry in diagnoses if steps[0] <= entry["step"] <= steps[-1]]
    marks = "".join(
        f"<line class=mark x1={x:.1f} x2={x:.1f} y1=8 y2={HEIGHT - BOTTOM} />" for entry in inside for x, _ in [place(entry["step"], low)]
    )
    floor, right = HEIGHT - BOTTOM, WIDTH - 8
    texts = (
        f"<text x={LEFT - 4} y=14 text-anchor=end>{high:.4g}</text><text x={LEFT - 4} y={floor - 4} text-anchor=end>{low:.4g}</text>"
        f"<text x={LEFT} y={HEIGHT - 6}>{steps[0]:.0f}</text><text x={right} y={HEIGHT - 6} text-anchor=end>{steps[-1]:.0f}</text>"
    )
    label = html.escape(name, quote=True)
    curves = line(smooth(list(values)), "strong") if len(values) == 1 else line(values, "faint") + line(smooth(list(values)), "strong")
    return (
        f'<figure><figcaption>{label}: {values[-1]:.4g}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{label}">'
        f"{marks}{curves}{texts}</svg></figure>"
    )


_STYLE = (
    ":root{color-scheme:light dark;--ink:#222;--paper:#fff;--line:#1667b0;--mark:#c22}"
    "@media(prefers-color-scheme:dark){:root{--ink:#ddd;--paper:#16181c;--line:#6ab0f3;--mark:#f77}}"
    "body{font:15px system-ui,sans-serif;margin:1.5em auto;padding:0 1em;max-width:1300px;color:var(--ink);background:var(--paper)}"
    "img{max-width:100%;image-rendering:auto}input[type=range]{width:min(30em,60vw);vertical-align:middle}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr));gap:1em}figure{margin:0}"
    "figcaption{font-weight:600;overflow-wrap:anywhere}svg{width:100%;height:auto}svg text{font-size:10px;fill:var(--ink)}"
    "polyline{fill:none;stroke:var(--line)}.faint{opacity:.35;stroke-width:.8}.strong{stroke-width:1.6}.point{fill:var(--line)}.mark{stroke:var(--mark)}"
)
_SCRIPT = (
    "slider.oninput=()=>{const one=previews[slider.value];step.value=one.step;preview.src=one.source;"
    "preview.alt='preview of step '+one.step}"
)
