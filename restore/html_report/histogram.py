"""Histograms as SVG."""

from __future__ import annotations

import numpy as np

from restore.html_report.escaping import escaped
from restore.html_report.model import Chart

_WIDTH, _HEIGHT = 360, 150
_LEFT, _BOTTOM, _TOP = 34, 22, 8
_MOST_BINS = 40


def histogram(chart: Chart) -> str:
    """A histogram with one outline for each series; "" if there is no finite value."""
    series = {label: np.array([value for value in values if np.isfinite(value)]) for label, values in chart.series.items()}
    pooled = np.concatenate([*series.values(), np.empty(0)])
    if not len(pooled):
        return ""
    edges = _edges(pooled)
    counts = {label: np.histogram(values, edges)[0] for label, values in series.items()}
    highest = max(1, *(int(count.max()) for count in counts.values()))
    outlines = "".join(_outline(count, highest, place % 6) for place, count in enumerate(counts.values()))
    legend = "".join(f'<li class="s{place % 6}">{escaped(label)}</li>' for place, label in enumerate(counts)) if len(counts) > 1 else ""
    title = escaped(f"{chart.title}{f' ({chart.unit})' if chart.unit else ''}")
    said = escaped(f"Histogram of {chart.title}: {len(pooled)} values from {pooled.min():.4g} to {pooled.max():.4g}")
    base, right = _HEIGHT - _BOTTOM, _WIDTH - 4
    return (
        f'<figure class="chart"><figcaption>{title}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{said}">'
        f'<path class="axis" d="M{_LEFT} {_TOP}V{base}H{right}"/>{outlines}'
        f"{_label(_LEFT - 4, _TOP + 8, highest, end=True)}{_label(_LEFT - 4, base, 0, end=True)}"
        f"{_label(_LEFT, _HEIGHT - 6, edges[0])}{_label(right, _HEIGHT - 6, edges[-1], end=True)}"
        f"</svg>{f'<ul>{legend}</ul>' if legend else ''}</figure>"
    )


def _label(x: int, y: int, value: float, *, end: bool = False) -> str:
    anchor = "end" if end else "start"
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{value:.4g}</text>'


def _edges(values: np.ndarray) -> np.ndarray:
    """At most _MOST_BINS bins of equal width by the rule of Freedman and Diaconis."""
    edges = np.histogram_bin_edges(values, "fd" if np.ptp(values) else 1)
    return edges if len(edges) <= _MOST_BINS + 1 else np.linspace(values.min(), values.max(), _MOST_BINS + 1)


def _outline(counts: np.ndarray, highest: int, colour: int) -> str:
    step = (_WIDTH - 4 - _LEFT) / len(counts)
    base = _HEIGHT - _BOTTOM
    heights = base - counts / highest * (base - _TOP)
    path = "".join(f"V{height:.1f}H{_LEFT + step * (place + 1):.1f}" for place, height in enumerate(heights))
    return f'<path class="s{colour}" d="M{_LEFT} {base}{path}V{base}Z"/>'
