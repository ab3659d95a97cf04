"""What runs on a node of a Ray cluster: the threaded executor, whose pictures overlap also where one chunk ends and the next begins."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

from restore.pipeline.batch_context import BatchContext
from restore.pipeline.discovery import Job
from restore.pipeline.records import Record
from restore.pipeline.step import RunLog
from restore.pipeline.threaded import Threaded

Numbered = list[tuple[int, Record]]
"""Records with the index of their jobs."""


@dataclass(frozen=True)
class Chunk:
    """Some jobs by their index, and how many workers have died of them."""

    jobs: tuple[tuple[int, Job], ...]
    deaths: int = 0


@dataclass
class _Given:
    """A chunk in work: its records so far, and all of them once they are final."""

    chunk: Chunk
    records: Numbered = field(default_factory=list)
    answer: Future[Numbered] = field(default_factory=Future)

    def add(self, index: int, record: Record) -> None:
        self.records.append((index, record))
        if len(self.records) == len(self.chunk.jobs):
            self.answer.set_result(self.records)


class Worker:
    """The step with its network. `restore` may be called while it runs, and so may `stop`.

    One thread restores the pictures of all chunks, as torch's threads belong to the thread that calls them.
    """

    def __init__(self, context: BatchContext, name: str) -> None:
        self._context = replace(context, manifest=context.manifest.for_worker(name))
        self._waiting: SimpleQueue[_Given] = SimpleQueue()
        self._stopped = False
        threading.Thread(target=self._work, name="restore", daemon=True).start()

    def ready(self) -> bool:
        """Answered once the worker has its resources and its packages."""
        return True

    def restore(self, chunk: Chunk) -> tuple[Numbered, list[RunLog]]:
        """The final records, not all of them if the run was stopped; and what the step has met so far."""
        given = _Given(chunk)
        self._waiting.put(given)
        return given.answer.result(), [log.copied() for log in self._context.step.run_logs()]

    def stop(self) -> None:
        """End `restore` after the pictures that are almost written."""
        self._stopped = True
        self._context.stopped.set()

    def close(self) -> None:
        """Remove copies of objects from this node."""
        if self._context.stage is not None:
            shutil.rmtree(self._context.stage, ignore_errors=True)

    def _work(self) -> None:
        while True:
            begun = [self._waiting.get()]
            try:
                self._restore(begun)
            except BaseException as error:  # the thread goes on, and the calls that wait for it learn why they failed
                for given in begun:
                    if not given.answer.done():
                        given.answer.set_exception(error)

    def _restore(self, begun: list[_Given]) -> None:
        """Restore a chunk and those that come meanwhile, which are appended to `begun`."""
        self._context = replace(self._context, stopped=threading.Event())
        sent: deque[tuple[_Given, int, Job]] = deque()

        def jobs() -> Iterator[Job]:
            given: _Given | None = begun[0]
            while given is not None and not self._stopped:
                for index, job in given.chunk.jobs:
                    sent.append((given, index, job))
                    yield job
                if (given := self._next()) is not None:
                    begun.append(given)

        def take(record: Record) -> None:
            given, index, job = sent.popleft()
            while job.source != record.input:  # records come in the order of the jobs; a stopped picture has none
                given, index, job = sent.popleft()
            given.add(index, record)

        Threaded(self._context.options.workers).run(self._context, jobs(), take)
        for given in begun:
            if not given.answer.done():
                given.answer.set_result(given.records)

    def _next(self) -> _Given | None:
        try:
            return self._waiting.get_nowait()
        except Empty:
            return None
