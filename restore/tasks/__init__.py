"""What the suite can do: one file a task, one table `TASKS`; and what it can be taught, `METHODS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.tasks import denoise_training
from restore.tasks.denoise import Denoise


@dataclass(frozen=True)
class Task:
    """One thing that can be done to pictures.

    Attributes:
        summary: one sentence for help texts.
        work: makes what the batch runs, from `weights`, `options`, `runtime`, `tile` and `batch_size`.
        restorer: the default weights of `restore.load` for this task.
    """

    summary: str
    work: Callable[..., Any]
    restorer: str


@dataclass(frozen=True)
class Method:
    """One thing that `restore train` can teach a network.

    Attributes:
        summary: one sentence for help texts.
        config: the frozen dataclass with every setting.
        prepare: dataset folder and configuration -> a run that is ready for the loop.
    """

    summary: str
    config: type
    prepare: Callable[[Path, Any], denoise_training.Prepared]


TASKS: Mapping[str, Task] = {
    "denoise": Task("take the noise out of pictures", Denoise, "denoise-gray"),
}

METHODS: Mapping[str, Method] = {
    "denoise": Method("denoising, from clean pictures", denoise_training.DenoiseConfig, denoise_training.prepare),
}
