"""`BatchOptions`: how a step runs over files, whatever the step."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from restore.pipeline.sharding import Shard


def _default_workers() -> int:
    """The default number of decoding threads and of encoding threads: few, because the network needs the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // 2))


@dataclass(frozen=True)
class BatchOptions:
    """Options of a run. Only `format` and `salvage` affect the results.

    Attributes:
        overwrite: restore pictures again that are done, and replace unmanaged files.
        format: the format of all results, such as png, jpeg or tiff; None keeps each picture's format.
        preview: path of a before | after | difference contact sheet (PNG).
        html: path of a web page with sliders between inputs and results, difference maps and the report.
        report: path of a JSON Lines file with one line for each picture.
        workers: number of decoding threads, and of encoding threads.
        max_pixels: larger pictures fail; None uses the limit of `images.read`.
        salvage: restore the available part of pictures with missing pixels; else they fail.
        executor: a key of `executors.EXECUTORS`.
        device: the device of the step's network, which an executor on many machines reserves; `restore.run` sets it.
        shard: the part of the pictures that this run restores; None for all. Runs of the other parts may share the output folder.
    """

    overwrite: bool = False
    format: str | None = None
    preview: Path | None = None
    html: Path | None = None
    report: Path | None = None
    workers: int = field(default_factory=_default_workers)
    max_pixels: int | None = None
    salvage: bool = False
    executor: str = "threads"
    device: str = "cpu"
    shard: Shard | None = None
