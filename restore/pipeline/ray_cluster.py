"""The Ray executor: workers on the nodes of a Ray cluster, each with its own network, restore chunks of the pictures.

A worker runs the threaded executor, so that its node's cores decode and encode while its network runs. A node that is lost costs its chunk:
that goes to another worker, which skips what was already committed. See docs/decisions/cluster.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import NewType

from restore.pipeline.batch_context import BatchContext
from restore.pipeline.discovery import Job
from restore.pipeline.records import Record
from restore.pipeline.step import RunLog
from restore.pipeline.threaded import Threaded

log = logging.getLogger(__name__)

LARGEST_CHUNK, CHUNKS_A_WORKER = 32, 8
"""Pictures that a worker is given at once: at most so many, and so few that each worker gets several chunks."""
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


@dataclass(frozen=True)
class _Chunk:
    """Some jobs by their index, and how many workers have died of them."""

    jobs: tuple[tuple[int, Job], ...]
    deaths: int = 0


class Worker:
    """What runs on a node: the step with its network. `stop` may be called while `restore` runs."""

    def __init__(self, context: BatchContext, name: str) -> None:
        self._context = replace(context, manifest=context.manifest.for_worker(name))

    def ready(self) -> bool:
        """Answered once the worker has its resources and its packages."""
        return True

    def restore(self, chunk: _Chunk) -> tuple[list[tuple[int, Record]], list[RunLog]]:
        """The final records with the index of their jobs, not all of them if the run was stopped; and what the step has met so far."""
        self._context = replace(self._context, stopped=threading.Event())
        records: list[Record] = []
        Threaded(self._context.options.workers).run(self._context, [job for _, job in chunk.jobs], records.append)
        left = iter(chunk.jobs)  # records come in the order of the jobs
        numbered = [(next(index for index, job in left if job.source == record.input), record) for record in records]
        return numbered, self._context.step.run_logs()

    def stop(self) -> None:
        """End `restore` after the pictures that are almost written."""
        self._context.stopped.set()

    def close(self) -> None:
        """Remove copies of objects from this node."""
        if self._context.stage is not None:
            shutil.rmtree(self._context.stage, ignore_errors=True)


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
            make = ray.remote(Worker).options(max_concurrency=2, scheduling_strategy="SPREAD", **resources).remote
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
        self, ray: ModuleType, make: Callable[[str], Handle], chunks: Sequence[_Chunk], on_record: OnRecord, logs: Sequence[RunLog]
    ) -> None:
        self.ray, self.make, self.on_record, self.logs = ray, make, on_record, logs
        self.waiting = deque(chunks)
        self.starting: dict[Reference, Handle] = {}
        self.running: dict[Reference, tuple[Handle, _Chunk]] = {}
        self.idle: list[Handle] = []
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
            while self.waiting and self.idle:
                worker, chunk = self.idle.pop(), self.waiting.popleft()
                self.running[worker.restore.remote(chunk)] = worker, chunk  # type: ignore[attr-defined]  # an actor has its class's methods
            while self._reported in self._records:
                self._report(self._reported)

    def interrupt(self) -> None:
        """Stop the workers and report the pictures that are done, in their order."""
        for worker, _ in self.running.values():
            worker.stop.remote()  # type: ignore[attr-defined]  # an actor has its class's methods
        done, _ = self.ray.wait([*self.running], num_returns=len(self.running), timeout=GRACE) if self.running else ([], [])
        for reference in done:
            with suppress(self.ray.exceptions.RayError):
                self._take(reference)
        for index in sorted(self._records):
            self._report(index)

    def close(self) -> None:
        """End the workers."""
        workers = [*self.idle, *self.starting.values(), *(worker for worker, _ in self.running.values())]
        closing = [worker.close.remote() for worker in self.idle]  # type: ignore[attr-defined]  # an actor has its class's methods
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=GRACE)
        for worker in workers:
            self.ray.kill(worker)

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
            self.idle.append(worker)

    def _take_records(self, reference: Reference) -> None:
        worker, chunk = self.running.pop(reference)
        errors = self.ray.exceptions
        try:
            self._take(reference)
        except (errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError) as error:
            log.warning("a worker of the cluster was lost; its %d pictures go to another one", len(chunk.jobs))
            log.debug("%s", error)
            self._lost(chunk)
            self._start()
        else:
            self.idle.append(worker)

    def _take(self, reference: Reference) -> None:
        records, logs = self.ray.get(reference)
        self._records.update(records)
        for own, other in zip(self.logs, logs, strict=True):
            own.merge(other)

    def _lost(self, chunk: _Chunk) -> None:
        """Give a dead worker's jobs to others, one by one: one of them may have killed it."""
        for index, job in reversed(chunk.jobs):
            if chunk.deaths + 1 < DEATHS:
                self.waiting.appendleft(_Chunk(((index, job),), chunk.deaths + 1))
            else:
                error = f"{DEATHS} workers died while they restored it: it may need more memory than a node has"
                self._records[index] = Record(job.source, None, "failed", error=error, name=job.name)

    def _report(self, index: int) -> None:
        self.on_record(self._records.pop(index))
        self._reported = index + 1


def _chunks(jobs: Sequence[Job], workers: int) -> list[_Chunk]:
    """The jobs in chunks, in their order."""
    size = max(1, min(LARGEST_CHUNK, len(jobs) // (CHUNKS_A_WORKER * workers)))
    numbered = tuple(enumerate(jobs))
    return [_Chunk(numbered[start : start + size]) for start in range(0, len(numbered), size)]


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
