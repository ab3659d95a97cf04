"""Executors run `process` over the jobs of a run: one picture after the other, or with decoding, network and encoding overlapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from restore.pipeline.discovery import Job
from restore.pipeline.process import RunContext, process
from restore.pipeline.report import Record
from restore.pipeline.threaded import Threaded

Tell = Callable[[Record], None]


class Executor(Protocol):
    """Runs jobs."""

    def run(self, context: RunContext, jobs: Sequence[Job], tell: Tell) -> None:
        """Restore every job's picture.

        Args:
            tell: takes the final records, in the order of the jobs, in the calling thread.

        Raises:
            KeyboardInterrupt: the user stopped the run. The records of what is done by then have been told.
        """


class Serial:
    """One picture after the other in the calling thread."""

    def run(self, context: RunContext, jobs: Sequence[Job], tell: Tell) -> None:
        """See `Executor.run`."""
        for job in jobs:
            tell(process(context, job))


EXECUTORS: dict[str, Callable[[int], Executor]] = {
    "serial": lambda workers: Serial(),
    "threaded": Threaded,
}
"""Name -> the executor, made for a number of helper threads."""
