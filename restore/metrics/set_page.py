"""The web page of a comparison of sets: scores, classes, and the generated pictures beside their nearest training pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from restore import html_report
from restore.html_report import Cell, Chart, Column, Figure, Layer, Listing, Page, Row, Table
from restore.metrics.distribution import SetScore
from restore.metrics.sets import SetComparison

MOST_FIGURES = 60
"""Results that are shown beside their nearest training pictures."""
TERMS = ("extractor", "results", "references", "training")
"""Keys of the protocol that belong to no metric."""


def write(path: Path, comparison: SetComparison, title: str) -> list[str]:
    """Write the comparison atomically as one self-contained web page; see `restore.html_report.write`.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    return html_report.write(path, page_of(comparison, title))


def page_of(comparison: SetComparison, title: str) -> Page:
    """The page's content. Pictures are shown where the training pictures are known: the nearest to one of them first."""
    figures, pictures = _neighbours(comparison)
    copies = comparison.copies
    facts = [(name, comparison.protocol[name]) for name in TERMS if name in comparison.protocol]
    facts += [(name, f"left out: {why}") for name, why in comparison.left_out.items()]
    facts += [(name, why) for name, why in comparison.cautions.items() if name in comparison.scores]
    facts += [] if copies is None else [("copies", copies.verdict)]
    facts += [
        (f"class {name}", f"{ours:.1%} of the results, {theirs:.1%} of the references")
        for name, (ours, theirs) in comparison.classes.items()
    ]
    charts = [] if copies is None else [Chart("distance to the nearest training picture", "", {"results": copies.distance.tolist()})]
    problems = [(problem.name, problem.reason) for problem in comparison.problems]
    return Page(
        title=title, summary=_summary(comparison), facts=facts, charts=charts, figures=figures,
        order="each beside the training picture that is nearest to it; the nearest first", most_figures=MOST_FIGURES,
        pictures=pictures, listings=[Listing("Not read", problems)],
    )  # fmt: skip


def _summary(comparison: SetComparison) -> Table:
    heads = (Column("metric"), Column("value"), Column("95 % interval"), Column("terms", numeric=False))
    rows = [
        Row((Cell(name), Cell(f"{score.value:z.4f}", score.value), Cell(_interval(score)), Cell(comparison.protocol.get(name, ""))))
        for name, score in comparison.scores.items()
    ]
    return Table("Scores of the sets", heads, rows)


def _interval(score: SetScore) -> str:
    return f"{score.low:z.4g} ... {score.high:z.4g}" if math.isfinite(score.low) else "-"


def _neighbours(comparison: SetComparison) -> tuple[list[Figure], Table]:
    """A figure and a row for each result, the one that is nearest to a training picture first."""
    heads = (Column("result"), Column("nearest training picture", numeric=False), Column("distance", "1: the references' median"))
    copies, results, training = comparison.copies, comparison.results, comparison.training
    if copies is None or results is None or training is None:
        return [], Table("Nearest training pictures: not known without --training", heads, [])
    figures, rows = [], []
    for place, number in enumerate(np.argsort(copies.distance, kind="stable")):
        ours, theirs, distance = results.names[number], training.names[copies.index[number]], float(copies.distance[number])
        layers = (Layer("result", results.folder / ours), Layer("nearest training picture", training.folder / theirs))
        figures.append(Figure(ours.as_posix(), (f"nearest: {theirs.as_posix()}, distance {distance:.3f}",), layers, 1))
        rows.append(Row((Cell(ours.as_posix()), Cell(theirs.as_posix()), Cell(f"{distance:.3f}", distance)), place))
    return figures, Table("Nearest training pictures", heads, rows)
