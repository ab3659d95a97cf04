"""The options that all picture commands share, and the function that runs a batch with them and exits with its code."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer

from restore.limits import LEAST_TILE
from restore.pipeline.options import Options

from .json_lines import discard
from .printable import printable

SOME_FAILED, INTERRUPTED = 1, 130

Inputs = Annotated[
    list[str],  # a Path would drop one slash of s3://
    typer.Argument(metavar="IN", help="Pictures, and folders of pictures; also URLs (s3://...).", show_default=False),
]


def _tile(text: str) -> str:
    if text != "auto" and not (text.isdecimal() and (int(text) == 0 or int(text) >= LEAST_TILE)):
        raise typer.BadParameter(f"must be auto, 0 (the whole picture at once) or at least {LEAST_TILE} pixels")
    return text


def choice(*allowed: str) -> Callable[[str | None], str | None]:
    """A check that a text is one of these, or None."""

    def check(text: str | None) -> str | None:
        if text is not None and text not in allowed:
            raise typer.BadParameter(f"must be one of {', '.join(allowed)}")
        return text

    return check


check_precision = choice("auto", "fp32", "bf16", "fp16")
check_executor = choice("threads", "serial", "ray")
check_engine = choice("torch", "onnx", "openvino")


@dataclass(frozen=True)
class Common:
    """The shared options, in the order of `--help`."""

    out: Annotated[str, typer.Option(metavar="DIR", help="Folder or URL for the results; keeps the input tree.")]
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Restore again; replace unmanaged files.")] = False
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="png, jpeg, tiff, webp, bmp, pgm, pam, pfm, npy, gif, jpeg2000, jpegxl, avif, heif, exr, nifti or tga; "
            "default: the input's.",
        ),
    ] = None
    salvage: Annotated[bool, typer.Option("--salvage", help="Restore the available part of truncated pictures; else they fail.")] = False
    preview: Annotated[
        str | None,
        typer.Option(metavar="FILE|auto", help="Also write a before | after | difference sheet (PNG); auto: next to DIR."),
    ] = None
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a web page: sliders, difference maps, and the report."),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Weights to use; default: chosen by each picture's content."),
    ] = None
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    precision: Annotated[
        str,
        typer.Option(metavar="PRECISION", help="auto, fp32, bf16 or fp16.", callback=check_precision),
    ] = "auto"
    tile: Annotated[
        str,
        typer.Option(metavar="PIXELS", help="Side of a tile: auto fits the memory, 0 is the whole picture.", callback=_tile),
    ] = "auto"
    batch_size: Annotated[int | None, typer.Option(metavar="N", min=1, help="Tiles that run together.")] = None
    engine: Annotated[
        str,
        typer.Option(metavar="ENGINE", help="What runs the networks: torch, onnx or openvino; see docs/export.md.", callback=check_engine),
    ] = "torch"
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Restore the I-th of N parts of the pictures; the others may run elsewhere, into the same DIR."),
    ] = None
    executor: Annotated[
        str,
        typer.Option(metavar="EXECUTOR", help="threads, serial, or ray (the nodes of a cluster).", callback=check_executor),
    ] = "threads"
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each picture.")] = False
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the JSON objects to a JSON Lines file."),
    ] = None


def with_common(command: Callable[..., None], without: Sequence[str] = ()) -> Callable[..., None]:
    """Add the shared options to the signature of `command(..., common: Common)`, where Typer reads them, except `without`."""
    own = [parameter for name, parameter in inspect.signature(command, eval_str=True).parameters.items() if name != "common"]
    hints = get_type_hints(Common, include_extras=True)
    shared = [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if entry.default is dataclasses.MISSING else entry.default,
            annotation=hints[entry.name],
        )
        for entry in dataclasses.fields(Common)
        if entry.name not in without
    ]

    def typed(**values: Any) -> None:
        common = Common(**{entry.name: values.pop(entry.name) for entry in shared})
        command(**values, common=common)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + shared
    typed.__name__, typed.__doc__ = command.__name__, command.__doc__
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect looks for it
    typed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return typed


def restore_pictures(task: str | Path, inputs: Sequence[str], options: Options | None, common: Common, **pipeline: Any) -> NoReturn:
    """Run a task or a pipeline file on `inputs`, show the progress, and exit with the exit code.

    Args:
        pipeline: `changes` of a pipeline's steps and `more` of them, see `restore.api.run_pipeline`.
    """
    from .display import Display

    display = Display(quiet=common.quiet, json_lines=common.json)
    with stoppable() as stopped_by, _unless_quiet(common.quiet):
        try:
            report = _run(task, inputs, options, common, display, pipeline)
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
    """The report of an interrupted run; None if the run had not started."""
    from restore.pipeline.batch import Interrupted

    return stop.report if isinstance(stop, Interrupted) else None


@contextmanager
def _unless_quiet(quiet: bool) -> Iterator[None]:
    """Print the suite's own warnings to standard error, unless `quiet`."""
    own = logging.getLogger("restore")
    before = own.level
    if quiet:
        own.setLevel(logging.ERROR)
    try:
        yield
    finally:
        own.setLevel(before)


def _run(
    task: str | Path, inputs: Sequence[str], options: Options | None, common: Common, display: Any, pipeline: Mapping[str, Any]
) -> Any:
    display.opening()
    try:
        from restore.images import decoding

        decoding.prepare()  # the decoding process starts while this process imports torch
        from restore.api import run, run_pipeline
        from restore.pipeline.batch import BatchOptions
        from restore.pipeline.sharding import Shard

        preview = None if common.preview is None else Path(common.preview)
        if common.preview == "auto":
            whole = Path(os.path.realpath(common.out))
            preview = whole.with_name(f"{whole.name}-preview.png")
        shared: dict[str, Any] = {
            "device": common.device, "precision": common.precision, "tile": "auto" if common.tile == "auto" else int(common.tile),
            "batch_size": common.batch_size or 1, "engine": common.engine, "on_event": display.event,
            "batch": BatchOptions(
                overwrite=common.overwrite, format=common.format, preview=preview, html=common.html, report=common.report,
                salvage=common.salvage, executor=common.executor, shard=None if common.shard is None else Shard.parse(common.shard),
            ),
        }  # fmt: skip
        if isinstance(task, Path):
            return run_pipeline(task, inputs, common.out, **pipeline, **shared)
        return run(task, inputs, common.out, weights=common.weights, options=options, **shared)
    finally:
        display.close()


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP (a closed terminal) stop a run like Ctrl-C. The list holds the signals that were caught.

    Under nohup, SIGHUP stays ignored.
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
    """End the process with the exit code that shells expect after a signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    leave(128 + stopped_by[-1] if stopped_by else INTERRUPTED)


def leave(code: int) -> NoReturn:
    """End the process at once, without waiting for threads that still encode a picture."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def say(text: str) -> None:
    """Print one message to standard error, on one line. A write error, as on a full disk, is ignored."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)
