"""The worker of the Ray executor and how chunks are given to workers, in this process and without Ray."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from batch_steps import Inverse, folder, results

from restore.pipeline.batch_context import BatchContext
from restore.pipeline.batch_options import BatchOptions
from restore.pipeline.discovery import Job, plan
from restore.pipeline.manifest import Manifest
from restore.pipeline.ray_cluster import PICTURES_AHEAD, Handle, _Place, _Run
from restore.pipeline.ray_worker import Chunk, Worker
from restore.pipeline.records import Record
from restore.pipeline.step import Image, Result, RunLog, Sidecars


class Meeting(Inverse):
    """Holds back the end of one picture, in its encoding thread, until a picture of the next chunk is restored."""

    def __init__(self) -> None:
        super().__init__()
        self.restored = threading.Event()
        self.met = False

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        if image.info.path.name == "002.png":
            self.restored.set()
        return super().__call__(image)

    def write_side_files(self, job: Job, frames: int, masks: object) -> None:
        if job.source.name == "001.png":
            self.met = self.restored.wait(60)


def worker_of(step: Inverse, source: Path, out: Path) -> tuple[Worker, list[Chunk]]:
    """A worker, and the jobs in chunks of two."""
    jobs = plan([source], out).jobs
    with Manifest(out, {}) as manifest:
        context = BatchContext(step, manifest, BatchOptions(workers=1), "{}")
    numbered = list(enumerate(sorted(jobs, key=lambda job: job.source.name)))
    return Worker(context, "worker"), [Chunk(tuple(numbered[start : start + 2])) for start in range(0, len(numbered), 2)]


def test_the_next_chunk_begins_before_one_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Meeting()
    worker, chunks = worker_of(step, folder(tmp_path / "in", 6), tmp_path / "out")
    asked = iter(range(2))
    monkeypatch.setattr(worker, "_next", lambda: worker._waiting.get(timeout=60) if next(asked, None) is not None else None)
    with ThreadPoolExecutor(3) as pool:
        answers = [one.result()[0] for one in [pool.submit(worker.restore, chunk) for chunk in chunks]]
    assert step.met
    for sent, answer in zip(chunks, answers, strict=True):
        assert [(index, record.input) for index, record in answer] == [(index, job.source) for index, job in sent.jobs]
    assert {record.status for answer in answers for _, record in answer} == {"done"}
    assert len(results(tmp_path / "out")) == 6


def test_a_stopped_worker_answers_all_calls(tmp_path: Path) -> None:
    worker, chunks = worker_of(Inverse(0.05), folder(tmp_path / "in", 20), tmp_path / "out")
    first = worker.restore(chunks[0])[0]
    assert len(first) == 2
    with ThreadPoolExecutor(9) as pool:
        calls = [pool.submit(worker.restore, chunk) for chunk in chunks[1:]]
        calls[0].result(60)
        worker.stop()
        answers = [call.result(60)[0] for call in calls]
    ended = [record for answer in answers for _, record in answer]
    assert len(ended) < 18
    assert {record.output for record in ended if record.status == "done"} <= {tmp_path / "out" / name for name in results(tmp_path / "out")}


def test_what_breaks_the_executor_reaches_the_call_and_the_worker_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, chunks = worker_of(Inverse(), folder(tmp_path / "in", 4), tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("restore.pipeline.threaded.free_memory", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            worker.restore(chunks[0])
    assert len(worker.restore(chunks[1])[0]) == 2


def test_logs_are_copies() -> None:
    log = RunLog({Path("a")}, {"b"})
    copy = log.copied()
    log.used.add(Path("c"))
    assert copy == RunLog({Path("a")}, {"b"})


class Remote:
    """A worker that never answers."""

    def __init__(self) -> None:
        self.restore = self
        self.chunks: list[Chunk] = []

    def remote(self, chunk: Chunk) -> object:
        self.chunks.append(chunk)
        return object()


def run_of(chunks: list[Chunk], workers: int) -> tuple[_Run, list[Remote]]:
    run = _Run(ModuleType("ray"), Handle, chunks, lambda record: None, [])
    remotes = [Remote() for _ in range(workers)]
    run.ready = [_Place(Handle(remote)) for remote in remotes]
    return run, remotes


def chunk(index: int, pictures: int = 1, deaths: int = 0) -> Chunk:
    return Chunk(tuple((index + place, Job(Path(f"{index + place}.png"), Path("out.png"))) for place in range(pictures)), deaths)


def give(run: _Run) -> None:
    while run._give():
        pass


@pytest.mark.parametrize(("pictures", "ahead"), [(1, PICTURES_AHEAD), (4, 2), (32, 1)])
def test_workers_have_chunks_ahead_and_fewer_at_the_end(pictures: int, ahead: int) -> None:
    run, remotes = run_of([chunk(32 * index, pictures) for index in range(200)], 2)
    give(run)
    assert [len(remote.chunks) for remote in remotes] == [1 + ahead] * 2
    run, remotes = run_of([chunk(index) for index in range(3)], 2)
    give(run)
    assert [len(remote.chunks) for remote in remotes] == [1, 1], "the last chunk waits for whichever worker is free first"


def test_a_picture_that_a_worker_died_of_is_restored_alone() -> None:
    run, (first, second) = run_of([chunk(0, deaths=1), *[chunk(index) for index in range(1, 20)]], 2)
    give(run)
    assert [len(one.jobs) for one in first.chunks] == [1] and len(second.chunks) > 1
    run, (first, second) = run_of([chunk(0), chunk(1), *[chunk(index, deaths=1) for index in range(2, 20)]], 2)
    give(run)
    assert (len(first.chunks), len(second.chunks)) == (1, 1)


def test_a_lost_picture_fails_after_three_workers() -> None:
    run, _ = run_of([chunk(0)], 1)
    run._lost(chunk(0, 3))
    assert [(one.jobs[0][0], one.deaths) for one in run.waiting][:3] == [(0, 1), (1, 1), (2, 1)]
    run._lost(chunk(5, deaths=2))
    failed: Record = run._records[5]
    assert failed.status == "failed" and "3 workers died" in failed.error
