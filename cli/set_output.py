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


def evaluate_sets(results: Path, reference: Path, *, names: list[str] | None, extractor: str, training: Path | None, json: bool) -> None:
    """Compare two folders as sets and print the metrics with their protocol.

    Args:
        results: the folder of generated or restored pictures.
        reference: the folder of real pictures.
        names: the metrics; None for all.
        extractor: a key of EXTRACTORS.
        training: the generator's training pictures, for the copy test.
        json: print one JSON object instead of a table.
    """
    from restore.metrics import SET_METRICS
    from restore.metrics.sets import compare_sets

    chosen = names or [*SET_METRICS]
    if unknown := [name for name in chosen if name not in SET_METRICS]:
        raise typer.BadParameter(f"use some of {', '.join(SET_METRICS)} with --sets, not {', '.join(unknown)}", param_hint="--metrics")
    metrics = {name: SET_METRICS[name] for name in chosen}
    for folder in (results, reference, *([training] if training else [])):
        if not folder.is_dir():
            raise ValueError(f"{folder}: --sets compares folders")
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
    if unwritten:
        say(unwritten)
    if found.problems or unwritten:
        raise typer.Exit(SOME_FAILED)


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
                "unread": len(found.problems),
            }
        )
        return lines.problem
    for name, score in found.scores.items():
        interval = f"  95 % interval {score.low:.4g} ... {score.high:.4g}" if math.isfinite(score.low) else ""
        typer.echo(f"{name:16}{score.value:10.4f}{interval}  ({found.protocol[name]})")
    for name in ("extractor", "results", "references", "training"):
        if name in found.protocol:
            typer.echo(f"{name:16}{found.protocol[name]}")
    return ""


def _interval(low: float, high: float) -> list[float] | None:
    return [low, high] if math.isfinite(low) else None
