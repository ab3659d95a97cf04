"""The Ray executor: workers on the nodes of a Ray cluster, each with its own network, restore chunks of the pictures.

A worker has the next chunk before it ends one, so it never waits for the driver. A node that is lost costs its chunks: they go to other
workers, which skip what was already committed. See docs/decisions/cluster.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import NewType

from restore.pipeline.batch_context import BatchContext
from restore.pipeline.discovery import Job
from restore.pipeline.ray_worker import Chunk, Worker
from restore.pipeline.records import Record
from restore.pipeline.step import RunLog

log = logging.getLogger(__name__)

LARGEST_CHUNK, CHUNKS_A_WORKER = 32, 16
"""Pictures of a chunk: at most so many, and so few that each worker gets several chunks."""
PICTURES_AHEAD = 8
"""Pictures that a worker has besides the chunk in work, so that decoding can go ahead; at least one chunk."""
DEATHS = 3
"""So many workers may die of one picture before it fails."""
FAILED_STARTS = 5
"""So many workers in a row may die before their first picture."""
GRACE = 2.0
"""Seconds in which an interrupted run may finish the pictures that are being written."""

OnRecord = Callable[[Record], None]
Handle = NewType("Handle", object)
"""A worker on the cluster."""
Reference = NewType("Reference", object)
"""A call of a worker that may not have ended."""


@dataclass(eq=False)
class _Place:
    """A worker that is ready, and the chunks that it has."""

    worker: Handle
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether it restores a picture that may kill it, which it does alone."""
        return any(chunk.deaths for chunk in self.chunks)


class RayCluster:
    """Runs jobs on the cluster of RAY_ADDRESS, or on one of this machine.

    Raises:
        ValueError: Ray is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise ValueError("the executor ray needs a package: pip install 'restore-suite[cluster]'")

    def run(self, context: BatchContext, jobs: Sequence[Job], on_record: OnRecord) -> None:
        """See `Executor.run`.

        Raises:
            ValueError: no worker can start.
        """
        if not jobs:
            return
        with _connected() as ray:
            count, resources = _resources(ray, context.options.device)
            chunks = _chunks(jobs, count)
            make = ray.remote(Worker).options(max_concurrency=PICTURES_AHEAD + 2, scheduling_strategy="SPREAD", **resources).remote
            shared = ray.put(context)
            run = _Run(ray, lambda name: make(shared, name), chunks, on_record, context.step.run_logs())
            try:
                run.work(min(count, len(chunks)))
            except KeyboardInterrupt:
                run.interrupt()
                raise
            except ray.exceptions.RayError as error:
                raise ValueError(f"the cluster failed; a rerun goes on: {_last_line(error)}") from error
            finally:
                run.close()


class _Run:
    """The chunks of one run and its workers."""

    def __init__(
        self, ray: ModuleType, make: Callable[[str], Handle], chunks: Sequence[Chunk], on_record: OnRecord, logs: Sequence[RunLog]
    ) -> None:
        self.ray, self.make, self.on_record, self.logs = ray, make, on_record, logs
        self.waiting = deque(chunks)
        self.starting: dict[Reference, Handle] = {}
        self.ready: list[_Place] = []
        self.running: dict[Reference, tuple[_Place, Chunk]] = {}
        self._ahead = max(1, PICTURES_AHEAD // max(1, len(chunks[0].jobs)))
        self._records: dict[int, Record] = {}
        self._reported = self._started = self._failed_starts = 0

    def work(self, count: int) -> None:
        """Restore all chunks by `count` workers. A worker that dies is replaced; the others go on meanwhile."""
        for _ in range(count):
            self._start()
        while self.waiting or self.running:
            done, _ = self.ray.wait([*self.running, *self.starting], timeout=1.0)
            for reference in done:
                if reference in self.starting:
                    self._take_start(reference)
                else:
                    self._take_records(reference)
            while self._give():
                pass
            while self._reported in self._records:
                self._report(self._reported)

    def interrupt(self) -> None:
        """Stop the workers and report the pictures that are done, in their order."""
        for place in self.ready:
            place.worker.stop.remote()  # type: ignore[attr-defined]  # an actor has its class's methods
        done, _ = self.ray.wait([*self.running], num_returns=len(self.running), timeout=GRACE) if self.running else ([], [])
        for reference in done:
            with suppress(self.ray.exceptions.RayError):
                self._take(reference)
        for index in sorted(self._records):
            self._report(index)

    def close(self) -> None:
        """End the workers."""
        closing = [place.worker.close.remote() for place in self.ready if not place.chunks]  # type: ignore[attr-defined]  # as above
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=GRACE)
        for worker in (*self.starting.values(), *(place.worker for place in self.ready)):
            self.ray.kill(worker)

    def _give(self) -> bool:
        """Give a chunk to the worker that has the fewest. Returns False if there is none, or if all have enough.

        The fewer chunks are left, the fewer a worker gets ahead, so that none of them waits for a slow worker at the end.
        """
        places = [place for place in self.ready if not place.is_full]
        if not self.waiting or not places:
            return False
        place, chunk = min(places, key=lambda one: len(one.chunks)), self.waiting[0]
        ahead = min(self._ahead, len(self.waiting) // (2 * (len(self.ready) + len(self.starting))))
        if len(place.chunks) > (0 if chunk.deaths else ahead):
            return False
        self.waiting.popleft()
        place.chunks.append(chunk)
        self.running[place.worker.restore.remote(chunk)] = place, chunk  # type: ignore[attr-defined]  # as above
        return True

    def _start(self) -> None:
        worker = self.make(f"worker-{self._started}")
        self._started += 1
        self.starting[worker.ready.remote()] = worker  # type: ignore[attr-defined]  # an actor has its class's methods

    def _take_start(self, reference: Reference) -> None:
        worker = self.starting.pop(reference)
        try:
            self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= FAILED_STARTS:
                raise ValueError(
                    f"the cluster's workers cannot start; is this suite installed on every node? ({_last_line(error)})"
                ) from error
            self._start()
        else:
            self._failed_starts = 0
            self.ready.append(_Place(worker))

    def _take_records(self, reference: Reference) -> None:
        place, chunk = self.running.pop(reference)
        place.chunks.remove(chunk)
        errors = self.ray.exceptions
        try:
            self._take(reference)
        except (errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError) as error:
            log.warning("a worker of the cluster was lost; its %d pictures go to another one", len(chunk.jobs))
            log.debug("%s", error)
            self._lost(chunk)
            if place in self.ready:  # else another chunk of it has said so
                self.ready.remove(place)
                self.ray.kill(place.worker)  # it may live where only its answer was lost
                self._start()

    def _take(self, reference: Reference) -> None:
        records, logs = self.ray.get(reference)
        self._records.update(records)
        for own, other in zip(self.logs, logs, strict=True):
            own.merge(other)

    def _lost(self, chunk: Chunk) -> None:
        """Give a dead worker's jobs to others, one by one: one of them may have killed it."""
        for index, job in reversed(chunk.jobs):
            if chunk.deaths + 1 < DEATHS:
                self.waiting.appendleft(Chunk(((index, job),), chunk.deaths + 1))
            else:
                error = f"{DEATHS} workers died while they restored it: it may need more memory than a node has"
                self._records[index] = Record(job.source, None, "failed", error=error, name=job.name)

    def _report(self, index: int) -> None:
        self.on_record(self._records.pop(index))
        self._reported = index + 1


def _chunks(jobs: Sequence[Job], workers: int) -> list[Chunk]:
    """The jobs in chunks, in their order."""
    size = max(1, min(LARGEST_CHUNK, len(jobs) // (CHUNKS_A_WORKER * workers)))
    numbered = tuple(enumerate(jobs))
    return [Chunk(numbered[start : start + size]) for start in range(0, len(numbered), size)]


def _resources(ray: ModuleType, device: str) -> tuple[int, dict[str, float]]:
    """How many workers the cluster has room for, and what each reserves: a GPU, or the cores of the smallest node.

    Raises:
        ValueError: no node has a GPU, or no node has cores.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if device.startswith("cuda"):
        nodes = [node for node in nodes if node.get("GPU", 0) >= 1]
        if not nodes:
            raise ValueError("no node of the cluster has a GPU: use --device cpu")
        cores = min(int(node["CPU"] // node["GPU"]) for node in nodes)
        return int(sum(node["GPU"] for node in nodes)), {"num_cpus": max(1, cores), "num_gpus": 1}
    if not nodes:
        raise ValueError("no node of the cluster has a free core")
    cores = min(int(node["CPU"]) for node in nodes)
    return sum(int(node["CPU"]) // cores for node in nodes), {"num_cpus": cores}


@contextmanager
def _connected() -> Iterator[ModuleType]:
    """Ray, connected; a connection that exists already is used and kept."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = importlib.import_module("ray")
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    except (ConnectionError, RuntimeError) as error:
        raise ValueError(f"cannot connect to the Ray cluster: {_last_line(error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _last_line(error: BaseException) -> str:
    return str(error).strip().rpartition("\n")[2]
