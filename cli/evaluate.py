"""`restore evaluate`: scores results of one or several contenders against references."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore.writing import real

from .common import SOME_FAILED, leave_interrupted, say, stoppable
from .set_output import evaluate_sets

if TYPE_CHECKING:
    from restore.metrics.comparison import Comparison, Setting

    from .evaluation_output import EvaluationOutput


DEFAULT_EXTRACTOR = "vgg16"


def evaluate(  # noqa: PLR0913, PLR0917  # the options of the command
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of restored pictures, or one picture.")],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Folder of reference pictures, or one picture.")],
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="OTHER", help="Another contender: a folder, or JSON lines of an earlier --json. May be repeated."),
    ] = None,
    metrics: Annotated[str | None, typer.Option(metavar="NAMES", help="Metrics, such as psnr,ssim.")] = None,
    channels: Annotated[str, typer.Option(metavar="CHANNELS", help="rgb, or y: luma as published tables of upscaling use.")] = "rgb",
    border: Annotated[int, typer.Option(metavar="PIXELS", min=0, help="Pixels left out on every side.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the protocol and one JSON object for each picture.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the scores as a CSV table.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a web page with sliders and difference maps.")] = None,
    sets: Annotated[
        bool, typer.Option("--sets", help="Compare the folders as sets, without pairs: FID, KID, precision, recall ...")
    ] = False,
    extractor: Annotated[
        str, typer.Option(metavar="NAME", help="With --sets: vgg16, inception, pixels, or classifier.")
    ] = DEFAULT_EXTRACTOR,
    training: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --sets: the generator's training pictures, to test for copies and to learn classes."),
    ] = None,
) -> None:
    """Score results against references of the same names, such as by PSNR and SSIM.

    Exit code 1: a picture has no partner or cannot be compared, or a file cannot be written.

    restore evaluate clean/ reference/ --against noisy/ --html report.html

    restore evaluate generated/ real/ --sets
    """
    _check_files(csv, html)
    if extractor != DEFAULT_EXTRACTOR and not sets:
        raise typer.BadParameter("the features are those of sets: add --sets", param_hint="--extractor")
    if training and not sets:
        raise typer.BadParameter("the training pictures are for the copy test of sets: add --sets", param_hint="--training")
    if sets:
        if against or csv:
            raise typer.BadParameter("--against and --csv are for pairs: leave them out", param_hint="--sets")
        evaluate_sets(results, reference, names=_names(metrics), extractor=extractor, training=training, json=json, html=html)
        return
    from restore.metrics.comparison import Listeners, compare, page, saved_scores

    from .evaluation_output import EvaluationOutput

    setting = _setting(metrics, channels, border)
    output = EvaluationOutput(reference, json_lines=json)
    with _stoppable(output):
        comparison = compare(
            results, reference, against=against or (), setting=setting, listeners=Listeners(output.started, output.happened)
        )
        output.finish(comparison)
        unwritten = output.unwritten
        unwritten += _written("CSV table", csv, lambda path: saved_scores.write_csv(path, comparison))
        unwritten += _written("report", html, lambda path: page.write(path, comparison, f"{results} against {reference}"))
    _tell(comparison, unwritten)
    if comparison.problems or unwritten:
        raise typer.Exit(SOME_FAILED)


def _check_files(csv: Path | None, html: Path | None) -> None:
    """Refuse a table or a page that would replace a picture or each other."""
    from restore.images import check_no_picture

    for path in filter(None, (csv, html)):
        check_no_picture(path)
    if csv and html and real(csv) == real(html):
        raise typer.BadParameter("the table and the page need a name each", param_hint="--html")


@contextmanager
def _stoppable(output: EvaluationOutput) -> Iterator[None]:
    """Leave with the exit code of the signal when the user stops the block."""
    with stoppable() as stopped_by:
        try:
            yield
        except KeyboardInterrupt:
            output.close()
            say("restore: interrupted")
            leave_interrupted(stopped_by)
        finally:
            output.close()


def _names(metrics: str | None) -> list[str] | None:
    return None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]


def _setting(metrics: str | None, channels: str, border: int) -> Setting:
    from restore.metrics import DEFAULT_METRICS, METRICS
    from restore.metrics.comparison import CHANNELS, Setting

    if channels not in CHANNELS:
        raise typer.BadParameter(f"must be {' or '.join(CHANNELS)}, not {channels}", param_hint="--channels")
    names = [*DEFAULT_METRICS] if (named := _names(metrics)) is None else named
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise typer.BadParameter(f"use some of {', '.join(METRICS)}, not {', '.join(unknown) or 'none'}", param_hint="--metrics")
    return Setting({name: METRICS[name] for name in names}, channels, border)


def _written(what: str, path: Path | None, write: Callable[[Path], object]) -> list[str]:
    """Write a file in addition to the table; return why it could not be written."""
    if path is None:
        return []
    try:
        write(path)
    except OSError as error:
        return [f"cannot write the {what} {path}: {(error.strerror or str(error)).lower()}"]
    say(f"{what}: {path}")
    return []


def _tell(comparison: Comparison, unwritten: list[str]) -> None:
    for name, why in comparison.left_out.items():
        say(f"{name} is left out: {why}")
    for name, reasons in comparison.lacking.items():
        (first, why), more = next(iter(reasons.items())), len(reasons) - 1
        say(f"{name} has no score for {first}{f' and {more} more' if more else ''}: {why}")
    for problem in comparison.problems:
        say(f"not compared: {problem}")
    if comparison.partial:
        say(f"left out of the means, because a contender lacks them: {len(comparison.partial)} ({', '.join(comparison.partial)})")
    for text in unwritten:
        say(text)
