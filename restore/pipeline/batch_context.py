"""`BatchContext`: what all pictures of a batch share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from restore.pipeline.batch_options import BatchOptions
from restore.pipeline.concurrency import Stopped
from restore.pipeline.result_store import ResultStore
from restore.pipeline.step import AnyStep


@dataclass(frozen=True)
class BatchContext:
    """What all pictures of a batch share.

    Attributes:
        step: restores each picture.
        manifest: knows the finished results and commits new ones.
        options: of the batch; `format` is a name of `CODECS` or None.
        settings: the step's settings as JSON, for formats that record them.
        stage: folder of this machine for copies of objects of other stores; None if there are none.
        sources: real paths of all pictures of the run, of this machine.
        stopped: set when the user stops the run.
    """

    step: AnyStep
    manifest: ResultStore
    options: BatchOptions
    settings: str
    stage: Path | None = None
    sources: frozenset[str] = frozenset()
    stopped: threading.Event = field(default_factory=threading.Event)

    def __reduce__(self) -> tuple[object, ...]:
        return BatchContext, (self.step, self.manifest, self.options, self.settings, self.stage, self.sources)

    def check_stopped(self) -> None:
        """Raise Stopped if the user has stopped the run."""
        if self.stopped.is_set():
            raise Stopped
