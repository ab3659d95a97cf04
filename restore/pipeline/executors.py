"""Executors run the jobs of a batch: one picture after the other, with overlapping decoding, network and encoding, or on many machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from restore.pipeline.batch_context import BatchContext
from restore.pipeline.discovery import Job
from restore.pipeline.process import process
from restore.pipeline.ray_cluster import RayCluster
from restore.pipeline.records import Record
from restore.pipeline.threaded import Threaded

OnRecord = Callable[[Record], None]


class Executor(Protocol):
    """Runs jobs."""

    def run(self, context: BatchContext, jobs: Sequence[Job], on_record: OnRecord) -> None:
        """Restore every job's picture.

        Args:
            on_record: called with each final record, in the order of the jobs, in the calling thread.

        Raises:
            KeyboardInterrupt: the user stopped the run. `on_record` was called for all pictures that are done.
        """


class Serial:
    """One picture after the other in the calling thread."""

    def run(self, context: BatchContext, jobs: Sequence[Job], on_record: OnRecord) -> None:
        """See `Executor.run`."""
        for job in jobs:
            on_record(process(context, job))


EXECUTORS: dict[str, Callable[[int], Executor]] = {
    "serial": lambda workers: Serial(),
    "threads": Threaded,
    "ray": lambda workers: RayCluster(),
}
"""Name -> function that makes the executor for a number of worker threads."""
