"""The Python interface of the suite. The command line uses the same functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from restore import weights as catalogue
from restore.exporting.export import export
from restore.inference import engines
from restore.inference.artifact_remover import ArtifactRemover
from restore.inference.colorizer import Colorizer
from restore.inference.defect_detector import DefectDetector
from restore.inference.denoiser import Denoiser
from restore.inference.enhancer import Enhancer
from restore.inference.generator import Generator
from restore.inference.inpainter import Inpainter
from restore.inference.loading import DEFECT_TASK, InferenceOptions
from restore.inference.sharpener import Sharpener
from restore.inference.translator import Translator
from restore.inference.upscaler import Upscaler
from restore.limits import nearest
from restore.pipeline.batch import BatchOptions, Event, Report
from restore.pipeline.batch import run as run_batch
from restore.pipeline.chain import Chain
from restore.pipeline.options import Options
from restore.pipeline.step import AnyStep
from restore.tasks import TASKS, pipelines
from restore.tasks.generating import generate
from restore.tasks.kept_weights import add_weights, verify_weights
from restore.tasks.simulate import simulate_array as simulate
from restore.tasks.train_run import TrainingResult, train

if TYPE_CHECKING:
    from restore.metrics.comparison import Comparison

__all__ = [
    "MODELS", "LoadOptions", "Model", "TrainingResult", "add_weights", "export", "generate", "load", "run", "run_pipeline", "simulate",
    "step", "train", "verify_weights",
]  # fmt: skip


def run(  # noqa: PLR0913  # keyword-only settings of a run
    task: str,
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, object] | Options | None = None,
    device: str = "auto",
    precision: str = "auto",
    tile: int | str = "auto",
    batch_size: int = 1,
    engine: str = "torch",
    batch: BatchOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Restore pictures with a task of the suite, e.g. ``run("denoise", "scans/", "clean/")``.

    Args:
        task: a name in `restore.tasks.TASKS`.
        inputs: files, folders and URLs such as s3://bucket/scans; the results of a folder keep its tree.
        out: folder or URL for the results.
        weights: a name that `restore weights list` shows, or a file; None chooses by each picture's content.
        options: the task's options, e.g. ``{"noise_level": 25.0, "strength": 0.8}``; see `restore.tasks.options`.
        device, precision: see `restore.runtime.choose`.
        tile: side of a tile in pixels; 0 runs the whole picture at once, "auto" fits the memory.
        batch_size: tiles that run together.
        engine: what runs the networks, a key of `restore.inference.engines.ENGINES`.
        batch, on_event: options of the run, such as the format of the results, and a listener; see `restore.pipeline.batch.run`.

    Raises:
        ValueError: the task, an option, the device or the weights are unknown, or the inputs and `out` do not fit together.
        restore.pipeline.batch.Interrupted: the user stopped the run; it has the report of the finished pictures.
    """
    inference = InferenceOptions(engines.choose(engine, device, precision), tile, batch_size, engine=engine)
    batch = replace(batch or BatchOptions(), device=str(inference.runtime.device))
    return run_batch(
        step(task, weights=weights, options=options, inference=inference), _places(inputs), _place(out, "the output"), batch, on_event
    )


def step(
    task: str,
    *,
    weights: str | PathLike[str] | None = None,
    options: Mapping[str, object] | Options | None = None,
    inference: InferenceOptions | None = None,
) -> AnyStep:
    """Make a task's step. Call it on an `Image`, or use it in a `Chain`.

    Args:
        task, weights, options: see `run`.
        inference: device, precision and tiles; by default those of this machine.

    Raises:
        ValueError: the task, an option or the weights are unknown.
    """
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}: use one of {', '.join(TASKS)}{nearest(task, TASKS)}")
    entry = TASKS[task]
    pipelines.check_weights(weights)
    chosen = None if weights is None else str(weights)
    return entry.make(entry.options.of(options or {}, task), chosen, inference or InferenceOptions())


def run_pipeline(  # noqa: PLR0913  # keyword-only settings of a run
    pipeline: str | PathLike[str] | AnyStep,
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    changes: Mapping[str, Mapping[str, Any] | None] | None = None,
    more: Sequence[Mapping[str, Any]] = (),
    device: str = "auto",
    precision: str = "auto",
    tile: int | str = "auto",
    batch_size: int = 1,
    engine: str = "torch",
    batch: BatchOptions | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Restore pictures with several steps: one decode, one encode, float32 between the steps.

    Args:
        pipeline: the name of a pipeline that ships (old-photo, xray, phone), a TOML file with a `[[step]]` table for each step (see
            `docs/pipelines.md`), or a step such as a `Chain`.
        changes: options of a file's steps that differ, by task, e.g. ``{"denoise": {"strength": 0.5}}``; None leaves the task's steps out.
        more: tables of further steps after those of a file, e.g. ``[{"task": "upscale", "scale": 2}]``.

    The other arguments are those of `run`.

    Raises:
        ValueError: a step or an option in the file is unknown (the message names the nearest one); also see `run`.
    """
    if isinstance(pipeline, str | PathLike):
        inference = InferenceOptions(engines.choose(engine, device, precision), tile, batch_size, engine=engine)
        path = pipelines.find(Path(pipeline))
        pipeline = _chain(path, [*pipelines.changed(pipelines.tables(path), changes or {}), *more], inference)
        batch = replace(batch or BatchOptions(), device=str(inference.runtime.device))
    return run_batch(pipeline, _places(inputs), _place(out, "the output"), batch, on_event)


def _chain(path: Path, tables: Sequence[Mapping[str, Any]], inference: InferenceOptions) -> Chain:
    """The steps of a pipeline's file, and those after them, as one."""
    steps = []
    for number, table in enumerate(tables, 1):
        try:
            steps.append(step(table["task"], weights=table.get("weights"), options=pipelines.options_of(table), inference=inference))
        except ValueError as error:
            raise ValueError(f"{path}: step {number}: {error}") from error
    return Chain(steps)


def _places(inputs: str | PathLike[str] | Iterable[str | PathLike[str]]) -> list[str]:
    places = [*([inputs] if isinstance(inputs, str | bytes | PathLike) else inputs)]
    if wrong := [place for place in places if not isinstance(place, str | PathLike)]:
        raise ValueError(f"an input must be a path or a URL, not {type(wrong[0]).__name__}")
    return [_place(place, "an input") for place in places]


def _place(place: str | PathLike[str], what: str) -> str:
    """A path or URL as text: a Path spoils URLs. An empty text would name the working folder."""
    if not str(place):
        raise ValueError(f"{what} is empty: give a path or a URL")
    return str(place)


Model = Denoiser | Upscaler | ArtifactRemover | Sharpener | Inpainter | Translator | DefectDetector | Colorizer | Enhancer | Generator
MODELS: Mapping[str, Callable[[Path, InferenceOptions], Model]] = {
    "denoise": Denoiser.load,
    "upscale": Upscaler.load,
    "artifacts": ArtifactRemover.load,
    "sharpen": Sharpener.load,
    "inpaint": Inpainter.load,
    "translate": Translator.load,
    DEFECT_TASK: DefectDetector.load,
    "colorize": Colorizer.load,
    "enhance": Enhancer.load,
    "generate": Generator.load,
}
"""Task in a recipe -> function that loads its model."""


class LoadOptions(TypedDict, total=False):
    """How `load` runs a network.

    device, precision: see `restore.runtime.choose`.
    tile: see `run`.
    batch_size: tiles that run together.
    ensemble: rotated and flipped copies whose results are averaged, 1, 2, 4 or 8; see `TiledRunner`.
    engine: see `run`.
    """

    device: str
    precision: str
    tile: int | str
    batch_size: int
    ensemble: int
    engine: str


@overload
def load(name: Literal["denoise-gray", "denoise-xray", "denoise-color", "denoise-camera"], **options: Unpack[LoadOptions]) -> Denoiser: ...
@overload
def load(name: Literal["upscale-x2", "upscale-x4", "upscale-x4-photo"], **options: Unpack[LoadOptions]) -> Upscaler: ...
@overload
def load(name: Literal["artifacts"], **options: Unpack[LoadOptions]) -> ArtifactRemover: ...
@overload
def load(name: Literal["sharpen"], **options: Unpack[LoadOptions]) -> Sharpener: ...
@overload
def load(name: Literal["inpaint"], **options: Unpack[LoadOptions]) -> Inpainter: ...
@overload
def load(name: Literal["photo2paint", "facades"], **options: Unpack[LoadOptions]) -> Translator: ...
@overload
def load(name: Literal["scratches"], **options: Unpack[LoadOptions]) -> DefectDetector: ...
@overload
def load(name: Literal["colorize"], **options: Unpack[LoadOptions]) -> Colorizer: ...
@overload
def load(name: Literal["enhance"], **options: Unpack[LoadOptions]) -> Enhancer: ...
@overload
def load(name: Literal["digits", "xray-generator"], **options: Unpack[LoadOptions]) -> Generator: ...
@overload
def load(name: str | PathLike[str], **options: Unpack[LoadOptions]) -> Any: ...
def load(name: str | PathLike[str], **options: Unpack[LoadOptions]) -> Any:
    """Load a model: ``load("denoise-xray")(picture)``.

    It returns one of `Model`: a `Denoiser`, an `Upscaler` and so on, by the weights' task. For your own weights, use
    ``Denoiser.load(name)`` and the like if a type checker must know the type.

    Args:
        name: weights by name (`restore weights list`), file or run folder.
        options: see `LoadOptions`.

    Raises:
        ValueError: the weights, the device or the precision do not exist.
    """
    if unknown := options.keys() - LoadOptions.__annotations__.keys():
        known = LoadOptions.__annotations__
        raise ValueError(f"unknown option {min(unknown)!r}: use {', '.join(known)}{nearest(min(unknown), known)}")
    if not isinstance(name, str | PathLike) or not str(name):
        raise ValueError(f"weights must be a name, a file or a run's folder, not {name!r}: `restore weights list` shows the names")
    entry = catalogue.find(Path(name))
    task = str(entry.recipe.get("task"))
    if task not in MODELS:
        raise ValueError(f"{name} has weights for the unknown task {task!r}: use weights for {', '.join(MODELS)}")
    engine = options.get("engine", engines.TORCH)
    chosen = engines.choose(engine, options.get("device", "auto"), options.get("precision", "auto"))
    tile, batch_size, ensemble = options.get("tile", "auto"), options.get("batch_size", 1), options.get("ensemble", 1)
    inference = InferenceOptions(chosen, tile, batch_size, ensemble, engine)
    return MODELS[task](entry.path, inference)


def evaluate(
    results: str | PathLike[str],
    reference: str | PathLike[str],
    *,
    against: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    metrics: str | Iterable[str] | None = None,
    channels: str = "rgb",
    border: int = 0,
) -> Comparison:
    """Score results against references of the same names: ``evaluate("clean/", "reference/").means()``.

    Args:
        results, reference: folders, or two files.
        against: other contenders: folders, or JSON lines of an earlier `restore evaluate --json`.
        metrics: a key or keys of `restore.metrics.METRICS`; None for PSNR, SSIM and LPIPS.
        channels: "rgb", or "y" for luma as published tables of upscaling use.
        border: pixels left out on every side.

    Raises:
        ValueError: there is nothing to compare, a metric is unknown, or stored scores have another protocol.
    """
    from restore.metrics import DEFAULT_METRICS, METRICS  # here, for a run over pictures must not wait for SciPy
    from restore.metrics.comparison import Setting, compare

    names = DEFAULT_METRICS if metrics is None else (metrics,) if isinstance(metrics, str) else tuple(metrics)
    if not names:
        raise ValueError(f"there is no metric to score by: use some of {', '.join(METRICS)}")
    if not isinstance(border, int) or border < 0:
        raise ValueError(f"border must be a whole number of pixels of at least 0, not {border!r}")
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"unknown metric {unknown[0]!r}: use some of {', '.join(METRICS)}{nearest(unknown[0], METRICS)}")
    setting = Setting({name: METRICS[name] for name in names}, channels, border)
    return compare(Path(results), Path(reference), against=[Path(place) for place in _places(against)], setting=setting)
