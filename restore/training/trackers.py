"""Experiment trackers (Weights & Biases, MLflow, Trackio, ...) by their classes in Hugging Face Accelerate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Protocol

from restore import distributed
from restore.writing import real

TRACKERS = ("wandb", "mlflow", "trackio", "comet_ml", "aim", "clearml", "dvclive", "swanlab")
"""Names of Accelerate's trackers. TensorBoard is not among them: every run writes it."""


class Tracker(Protocol):
    """What a run asks of a tracker of Accelerate."""

    def start(self) -> None:
        """Begin the run."""

    def store_init_configuration(self, values: Mapping[str, object]) -> None:
        """Keep the run's settings."""

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Keep values of a step."""

    def finish(self) -> None:
        """End the run."""


def check_installed(names: Sequence[str]) -> None:
    """Check that the trackers' packages are installed.

    Raises:
        ValueError: one is not.
    """
    for name in names:
        if util.find_spec(name) is None:
            raise ValueError(f"the tracker {name} needs its package: pip install {name.replace('_', '-')}")


@contextmanager
def running(names: Sequence[str], folder: Path, settings: Mapping[str, object]) -> Iterator[list[Tracker]]:
    """The started trackers of the main process, which end with the block; see `start`."""
    started = start(names, folder, settings) if names and distributed.current().is_main else []
    try:
        yield started
    finally:
        for tracker in started:
            tracker.finish()


def start(names: Sequence[str], folder: Path, settings: Mapping[str, object]) -> list[Tracker]:
    """Start trackers for the run in `folder`; its name is theirs.

    Args:
        names: of TRACKERS.
        folder: the run's folder.
        settings: dotted key -> value.

    Raises:
        ValueError: a tracker's package is not installed, or the tracker refuses to start (no login, no server).
    """
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    PartialState()  # the trackers ask it which process is the main one
    started: list[Tracker] = []
    for name in names:
        try:
            kind = LOGGER_TYPE_TO_CLASS[name]
            place = {"logging_dir": folder} if kind.requires_logging_directory else {}
            tracker: Tracker = kind(real(folder).name, **place)
            tracker.start()
            tracker.store_init_configuration(dict(settings))
        except ImportError as error:
            raise ValueError(f"the tracker {name} needs its package: pip install {error.name or name} ({error})") from error
        except Exception as error:  # each tracker raises errors of its own
            raise ValueError(f"the tracker {name} cannot start: {' '.join(str(error).split())}") from error
        started.append(tracker)
    return started
