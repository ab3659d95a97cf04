"""The options that every picture command shares, and the one way from them to a batch run and an exit code."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer

from restore.pipeline.options import Options

from .json_lines import discard
from .text import printable

SOME_FAILED, INTERRUPTED = 1, 130

Inputs = Annotated[
    list[Path], typer.Argument(metavar="IN", help="Pictures, and folders of pictures.", show_default=False)
]


def _tile(text: str) -> str:
    if text != "auto" and not text.isdigit():
        raise typer.BadParameter("must be auto, 0 (the whole picture at once) or a number of pixels")
    return text


def _choice(*allowed: str) -> Callable[[str | None], str | None]:
    def check(text: str | None) -> str | None:
        if text is not None and text not in allowed:
            raise typer.BadParameter(f"must be one of {', '.join(allowed)}")
        return text

    return check


check_precision = _choice("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Common:
    """The shared options, in the order of `--help`."""

    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; mirrors the input tree.")]
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Redo what is done; replace files of others.")] = False
    format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Write png, jpeg, tiff, webp, bmp or pgm; else each as it came."),
    ] = None
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Restore what is there of broken-off pictures; else they fail.")
    ] = False
    preview: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|auto", help="Also write a before | after | difference sheet (PNG); auto: beside DIR."
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Weights to use; else chosen by each picture's content."),
    ] = None
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    precision: Annotated[
        str,
        typer.Option(metavar="PRECISION", help="auto, fp32, bf16 or fp16.", callback=check_precision),
    ] = "auto"
    tile: Annotated[
        str,
        typer.Option(
            metavar="PIXELS", help="Side of a tile: auto fits the memory, 0 is the whole picture.", callback=_tile
        ),
    ] = "auto"
    batch_size: Annotated[int | None, typer.Option(metavar="N", min=1, help="Tiles that go through together.")] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what failed.")] = False
    json: Annotated[bool, typer.Option("--json", help="One JSON object a picture on standard output.")] = False
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same, and it stays: a JSON Lines file."),
    ] = None


def with_common(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command(..., common: Common)` the shared options, so that Typer sees them beside its own."""
    own = [
        parameter
        for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
        if name != "common"
    ]
    hints = get_type_hints(Common, include_extras=True)
    shared = [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if entry.default is dataclasses.MISSING else entry.default,
            annotation=hints[entry.name],
        )
        for entry in dataclasses.fields(Common)
    ]

    def typed(**values: Any) -> None:
        common = Common(**{entry.name: values.pop(entry.name) for entry in shared})
        command(**values, common=common)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
    typed.__name__, typed.__doc__ = command.__name__, command.__doc__
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect looks for it
    typed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return typed


def restore_pictures(task: str | Path, inputs: Sequence[Path], options: Options | None, common: Common) -> NoReturn:
    """Run a task, or the pipeline of a file, over `inputs`, show how it goes, and leave with the exit code."""
    from .display import Display

    display = Display(quiet=common.quiet, json_lines=common.json)
    with stoppable() as stopped_by, _unless_quiet(common.quiet):
        try:
            report = _run(task, inputs, options, common, display)
        except KeyboardInterrupt as stop:
            report = _report_of(stop)
            display.close()
            if report is None:
                say("restore: interrupted before the first picture")
                leave_interrupted(stopped_by)
    display.finish(report)
    if report.interrupted:
        leave_interrupted(stopped_by)
    raise typer.Exit(SOME_FAILED if report.failed or report.unwritten else 0)


def _report_of(stop: KeyboardInterrupt) -> Any:
    """What was done until the user stopped the run; None where it had not begun."""
    from restore.pipeline.batch import Interrupted

    return stop.report if isinstance(stop, Interrupted) else None


@contextmanager
def _unless_quiet(quiet: bool) -> Iterator[None]:
    """Let the suite's own warnings through to standard error, unless the user wants to read of failures alone."""
    own = logging.getLogger("restore")
    before = own.level
    if quiet:
        own.setLevel(logging.ERROR)
    try:
        yield
    finally:
        own.setLevel(before)


def _run(task: str | Path, inputs: Sequence[Path], options: Options | None, common: Common, display: Any) -> Any:
    display.opening()
    try:
        from restore.images import decoding

        decoding.prepare()  # it gets ready while this process imports torch
        from restore.api import run, run_pipeline
        from restore.pipeline.batch import BatchOptions

        preview = None if common.preview is None else Path(common.preview)
        if common.preview == "auto":
            whole = Path(os.path.realpath(common.out))
            preview = whole.with_name(f"{whole.name}-preview.png")
        shared: dict[str, Any] = {
            "device": common.device, "precision": common.precision, "tile": "auto" if common.tile == "auto" else int(common.tile),
            "batch_size": common.batch_size, "on_event": display.event,
            "batch": BatchOptions(
                overwrite=common.overwrite, format=common.format, preview=preview, report=common.report, salvage=common.salvage
            ),
        }  # fmt: skip
        if isinstance(task, Path):
            if common.weights is not None:
                raise ValueError(f"each step names its own weights: put them into {task}, and leave --weights out")
            return run_pipeline(task, inputs, common.out, **shared)
        return run(task, inputs, common.out, weights=common.weights, options=options, **shared)
    finally:
        display.close()


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """Let SIGTERM and a closed terminal (SIGHUP) stop a run as Ctrl-C does; the list tells by which signal it was stopped.

    Under nohup, which has SIGHUP ignored, it stays ignored.
    """
    caught: list[int] = []

    def stop(number: int, _frame: Any) -> None:
        caught.append(number)
        raise KeyboardInterrupt

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]  # Windows has no SIGHUP
    numbers = [number for name in names if signal.getsignal(number := signal.Signals[name]) is not signal.SIG_IGN or name != "SIGHUP"]
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def leave_interrupted(stopped_by: Sequence[int]) -> NoReturn:
    """End the process as shells expect it of one that a signal stopped: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP."""
    leave(128 + stopped_by[-1] if stopped_by else INTERRUPTED)


def leave(code: int) -> NoReturn:
    """End the process now: threads that still encode a picture nobody waits for must not hold it up."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def say(text: str) -> None:
    """One message to standard error, on one line. That nobody can read it, on a full disk, ends nothing."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)
