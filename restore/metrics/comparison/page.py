"""The web page of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from restore import html_report
from restore.html_report import Cell, Chart, Column, Figure, Layer, Listing, Page, Row, Table
from restore.metrics import METRICS
from restore.metrics.comparison.intervals import METHOD
from restore.metrics.comparison.outcome import Comparison, PictureScores, range_text, text

MOST_FIGURES = 300


def write(path: Path, comparison: Comparison, title: str) -> list[str]:
    """Write the comparison atomically as one self-contained web page; see `restore.html_report.write`.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    return html_report.write(path, page_of(comparison, title))


def page_of(comparison: Comparison, title: str) -> Page:
    """The page's content."""
    ordered, order = _worst_first(comparison)
    drawn = [picture for picture in ordered if sum(file is not None for file in picture.files) > 1]
    figures = {picture.name: index for index, picture in enumerate(drawn)}
    problems = [
        (f"{problem.name}{f' ({problem.contender})' if problem.contender else ''}", problem.reason) for problem in comparison.problems
    ]
    facts = [*comparison.protocol.in_words(), ("95 % interval", METHOD)]
    facts += [(name, f"left out: {why}") for name, why in comparison.left_out.items()]
    partial = Listing("Left out of the means, because a contender lacks them", [(name, "") for name in comparison.partial])
    return Page(
        title=title, summary=_summary(comparison), facts=facts, charts=_charts(comparison),
        figures=[_figure(comparison, picture) for picture in drawn], order=order, most_figures=MOST_FIGURES,
        pictures=_pictures(comparison, ordered, figures), listings=[Listing("Not compared", problems), partial],
    )  # fmt: skip


def _worst_first(comparison: Comparison) -> tuple[list[PictureScores], str]:
    """The pictures, the worst of the first contender first, by the first metric; those without a score at the end."""
    if not comparison.metrics:
        return list(comparison.pictures), "in the order of their names"
    name = comparison.metrics[0]
    sign = 1 if METRICS[name].better == "higher" else -1

    def key(picture: PictureScores) -> float:
        score = (picture.scores[0] or {}).get(name)
        return np.inf if score is None else sign * score

    return sorted(comparison.pictures, key=key), f"the worst {name} first"


def _names(comparison: Comparison) -> list[str]:
    """The contenders, numbered where there are several."""
    if len(comparison.contenders) == 1:
        return list(comparison.contenders)
    return [f"[{index + 1}] {label}" for index, label in enumerate(comparison.contenders)]


def _summary(comparison: Comparison) -> Table:
    """A row for each metric and contender."""
    several = len(comparison.contenders) > 1
    heads = [Column("contender"), Column("metric", numeric=False), Column("pictures"), Column("mean"), Column("95 % interval")]
    heads += [Column("difference to [1]"), Column("95 % interval", "marked: without 0")] if several else []
    rows = []
    for name, summary in comparison.summary().items():
        metric = METRICS[name]
        for index, label in enumerate(_names(comparison)):
            mean, difference = summary.means[index], summary.differences[index]
            cells = [
                Cell(label), Cell(f"{name}, {metric.better} is better"), Cell(str(summary.count)), Cell(text(mean.mean, metric)),
                Cell(range_text(mean, metric)),
            ]  # fmt: skip
            if several:
                signed = f"{difference.mean:+z.{2 if metric.unit else 4}f}" if index and summary.count else "-"
                cells += [
                    Cell(signed),
                    Cell(range_text(difference, metric, signed=True) if index else "-", marked=difference.excludes_zero),
                ]
            rows.append(Row(tuple(cells)))
    return Table(f"Summary: {comparison.mean_of}", tuple(heads), rows)


def _charts(comparison: Comparison) -> list[Chart]:
    return [
        Chart(
            name, METRICS[name].unit, {label: _scores(comparison.complete, index, name) for index, label in enumerate(_names(comparison))}
        )
        for name in comparison.metrics
    ]


def _scores(pictures: Sequence[PictureScores], contender: int, metric: str) -> list[float]:
    columns = (picture.scores[contender] for picture in pictures)
    return [scores[metric] for scores in columns if scores is not None and metric in scores]


def _pictures(comparison: Comparison, ordered: Sequence[PictureScores], figures: dict[str, int]) -> Table:
    several = len(comparison.contenders) > 1
    heads = [Column("picture")]
    for name in comparison.metrics:
        for index in range(len(comparison.contenders)):
            heads.append(Column(f"{name} [{index + 1}]" if several else name, f"{METRICS[name].better} is better"))
    rows = []
    for picture in ordered:
        cells = [Cell(picture.name)]
        for name in comparison.metrics:
            for scores in picture.scores:
                value = (scores or {}).get(name)
                cells.append(Cell(text(value, METRICS[name]), value))
        rows.append(Row(tuple(cells), figures.get(picture.name)))
    return Table("Scores", tuple(heads), rows)


def _figure(comparison: Comparison, picture: PictureScores) -> Figure:
    """The contenders' pictures and the reference as the base; contenders without a file are left out."""
    names = _names(comparison)
    reference, *results = picture.files
    layers = [Layer(name if len(names) > 1 else "result", path) for name, path in zip(names, results, strict=True) if path is not None]
    assert reference is not None
    lines = []
    for name in comparison.metrics:
        values = [text((scores or {}).get(name), METRICS[name]) for scores in picture.scores]
        lines.append(f"{name} " + ", ".join(f"[{index + 1}] {value}" if len(names) > 1 else value for index, value in enumerate(values)))
    return Figure(picture.name, tuple(lines), (*layers, Layer("reference", reference)), len(layers))
