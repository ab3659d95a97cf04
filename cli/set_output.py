"""`restore evaluate --sets`: compares folders as sets of unpaired pictures, and shows the outcome."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .common import SOME_FAILED, leave_interrupted, say, stoppable
from .json_lines import JsonLines
from .printable import printable

if TYPE_CHECKING:
    from restore.metrics.sets import SetComparison


def evaluate_sets(
    results: Path, reference: Path, *, names: list[str] | None, extractor: str, training: Path | None, json: bool, html: Path | None
) -> None:
    """Compare two folders as sets and print the metrics with their protocol.

    Args:
        results: the folder of generated or restored pictures.
        reference: the folder of real pictures.
        names: the metrics; None for all.
        extractor: a key of EXTRACTORS, or classifier.
        training: the generator's training pictures, for the copy test and the classes.
        json: print one JSON object instead of a table.
        html: a web page to write, with the results beside their nearest training pictures.
    """
    from restore.metrics import SET_METRICS
    from restore.metrics.sets import compare_sets

    chosen = names or [*SET_METRICS]
    if unknown := [name for name in chosen if name not in SET_METRICS]:
        raise typer.BadParameter(f"use some of {', '.join(SET_METRICS)} with --sets, not {', '.join(unknown)}", param_hint="--metrics")
    metrics = {name: SET_METRICS[name] for name in chosen}
    for folder in (results, reference, *([training] if training else [])):
        if not folder.is_dir():
            raise ValueError(f"{folder}: {'--sets compares folders' if folder.exists() else 'no such folder'}")
    with stoppable() as stopped_by:
        try:
            found = compare_sets(results, reference, extractor=extractor, metrics=metrics, training=training)
        except KeyboardInterrupt:
            say("restore: interrupted")
            leave_interrupted(stopped_by)
    for name, why in found.left_out.items():
        say(f"{name} is left out: {why}")
    for name, why in found.cautions.items():
        if name in found.scores:
            say(f"{name} is {why}")
    for problem in found.problems:
        say(f"not read: {printable(problem.name)}: {problem.reason}")
    unwritten = _print(found, json=json)
    if html is not None:
        unwritten = "; ".join(filter(None, (unwritten, _write_page(html, found, f"{results} against {reference}, as sets"))))
    if unwritten:
        say(unwritten)
    if found.problems or unwritten:
        raise typer.Exit(SOME_FAILED)


def _write_page(path: Path, found: SetComparison, title: str) -> str:
    """Write the page; return why it could not be written."""
    from restore.metrics import set_page

    try:
        remarks = set_page.write(path, found, title)
    except OSError as error:
        return f"cannot write the report {path}: {(error.strerror or str(error)).lower()}"
    for remark in remarks:
        say(remark)
    say(f"report: {path}")
    return ""


def _print(found: SetComparison, *, json: bool) -> str:
    """Print the outcome; return what could not be written."""
    if json:
        lines = JsonLines()
        scores = {name: {"value": score.value, "interval": _interval(score.low, score.high)} for name, score in found.scores.items()}
        lines.write(
            {
                "scores": scores,
                "protocol": found.protocol,
                "left_out": found.left_out,
                "cautions": found.cautions,
                "classes": found.classes,
                "copies": found.copies and found.copies.verdict,
                "unread": len(found.problems),
            }
        )
        return lines.problem
    for name, score in found.scores.items():
        interval = f"  95 % interval {score.low:z.4g} ... {score.high:z.4g}" if math.isfinite(score.low) else ""
        typer.echo(f"{name:16}{score.value:z10.4f}{interval}  ({found.protocol[name]})")
    for name, (ours, theirs) in found.classes.items():
        typer.echo(f"class {name:10}{ours:10.1%}  (references {theirs:.1%})")
    if found.copies is not None:
        typer.echo(f"{'copies':16}{found.copies.verdict}")
    for name in ("extractor", "results", "references", "training"):
        if name in found.protocol:
            typer.echo(f"{name:16}{found.protocol[name]}")
    return ""


def _interval(low: float, high: float) -> list[float] | None:
    return [low, high] if math.isfinite(low) else None
