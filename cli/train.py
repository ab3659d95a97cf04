"""`restore train`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

from restore.pipeline.records import number

from .common import check_precision, leave_interrupted, say, stoppable
from .json_lines import JsonLines
from .printable import lines

Method = Annotated[
    str,
    typer.Argument(
        metavar="METHOD",
        help="The method: denoise, upscale, artifacts, sharpen, enhance, inpaint, scratches, colorize, cyclegan, pix2pix; "
        "gan, dcgan, wgan, cgan, stylegan, r3gan or fastgan.",
        show_default=False,
    ),
]
Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="A folder, or a name under data/.", show_default=False)]
Out = Annotated[Path | None, typer.Option(metavar="RUN", help="The run's folder; else runs/METHOD-DATASET.")]
ConfigFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A TOML file with settings.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be repeated.")]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="Short for --set loop.steps=N.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Short for --set seed=N.")]
Device = Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps; short for --set device=...")]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="PRECISION",
        help="auto, fp32, bf16 or fp16; short for --set precision=...",
        callback=check_precision,
    ),
]
OnCollapse = Annotated[
    str | None,
    typer.Option(metavar="warn|stop|rollback", help="After a mode collapse; short for --set monitor.on_collapse=..."),
]
AugmentWith = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="Weights of a generator whose pictures are mixed in; short for --set augment_with=..."),
]
AugmentFraction = Annotated[
    float | None,
    typer.Option(metavar="0..1", help="Fraction of generated pictures (0.25); short for --set augment_fraction=...", show_default=False),
]
SelfSupervised = Annotated[
    bool,
    typer.Option(
        "--self-supervised", help="denoise: learn from noisy pictures alone; short for --set self_supervised=true, losses.pixel=l2."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run where it stopped.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the data and the settings, time a few steps, and stop.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Progress as JSON lines on standard output.")]

SELF_SUPERVISED = {"self_supervised": "true", "losses.pixel": "l2"}
"""The settings of --self-supervised."""


def train(  # noqa: PLR0913  # each is an option of the command
    method: Method,
    dataset: Dataset,
    *,
    out: Out = None,
    config: ConfigFile = None,
    settings: Settings = None,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = None,
    precision: Precision = None,
    on_collapse: OnCollapse = None,
    augment_with: AugmentWith = None,
    augment_fraction: AugmentFraction = None,
    self_supervised: SelfSupervised = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a network on your own pictures.

    restore train denoise photos/ --out runs/mine --steps 20000

    restore train cyclegan photo2paint
    """
    overrides = {**(SELF_SUPERVISED if self_supervised else {}), **_overrides(settings or [])}
    shortcuts = (
        ("loop.steps", steps), ("seed", seed), ("device", device), ("precision", precision), ("monitor.on_collapse", on_collapse),
        ("augment_with", augment_with), ("augment_fraction", augment_fraction),
    )  # fmt: skip
    if augment_fraction is not None and not (augment_with or resume):
        raise typer.BadParameter("it is the fraction of generated pictures: add --augment-with", param_hint="--augment-fraction")
    overrides |= {key: str(value) for key, value in shortcuts if value is not None}
    # of several processes (torchrun), only the main one reports
    is_main = os.environ.get("RANK", "0") == "0"
    show = _Progress(quiet or not is_main, json and is_main)
    with stoppable() as stopped_by:
        try:
            show.note("getting ready")
            from restore.api import train as run

            finished = run(
                method,
                dataset,
                config_file=config,
                overrides=overrides,
                out=out,
                resume=resume,
                dry_run=dry_run,
                on_event=show,
            )
        except KeyboardInterrupt:
            say("restore: interrupted")
            leave_interrupted(stopped_by)
    show.finish(finished)


def _overrides(settings: list[str]) -> dict[str, str]:
    """Parse `key=value` texts."""
    pairs = [text.partition("=") for text in settings]
    for text, (key, equals, _) in zip(settings, pairs, strict=True):
        if not equals or not key.strip():
            raise typer.BadParameter(f"--set {text}: write KEY=VALUE")
    return {key.strip(): value.strip() for key, _, value in pairs}


class _Progress:
    """Prints the events of a training run: texts and dataclasses."""

    def __init__(self, quiet: bool, json_lines: bool) -> None:
        self.quiet, self.json_lines = quiet, json_lines
        self._lines, self._reported = JsonLines(), False

    def __call__(self, event: object) -> None:
        if self.json_lines:
            self._json(event)
        if self.quiet:
            return
        for line in lines(event).split("\n"):  # the configuration of a dry run has many
            say(line)

    def note(self, text: str) -> None:
        if not self.quiet:
            say(text)

    def finish(self, run: object) -> None:
        """Print the fields of the finished run and the entries of its stats, one per line."""
        if self.json_lines:
            self._json(run)
        if dataclasses.is_dataclass(run):
            fields = {name: value for name, value in vars(run).items() if not isinstance(value, dict)}
            entries = [entry for value in vars(run).values() if isinstance(value, dict) for entry in value.items()]
            for name, value in (*fields.items(), *entries):
                self.note(f"  {name.replace('_', ' '):18} {number(value)}")

    def _json(self, thing: object) -> None:
        self._lines.write(vars(thing) if dataclasses.is_dataclass(thing) else {"message": str(thing)})
        if self._lines.problem and not self._reported:
            self._reported = True
            say(self._lines.problem)
