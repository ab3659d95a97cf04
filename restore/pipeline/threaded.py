"""The threaded executor: worker threads decode and encode while the network runs in the calling thread.

The network runs in the calling thread so that Ctrl-C reaches it between two calls. A limiter by pixels bounds the memory.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from restore.available_memory import free_memory
from restore.parallel import awaited
from restore.pipeline.batch_context import BatchContext
from restore.pipeline.concurrency import BoundedQueue, MemoryLimiter, Workers
from restore.pipeline.discovery import Job
from restore.pipeline.frame_stages import AnalysedFrame, RestoredFrame
from restore.pipeline.process import FileProcessor
from restore.pipeline.records import Record

log = logging.getLogger(__name__)

SAMPLES_IN_FLIGHT = 48_000_000
"""Limit for the pixels of all frames in flight; a larger picture runs alone. About 0.6 GB in gray."""
BYTES_A_SAMPLE = 100
"""Memory of a colour pixel in flight: stored, normalized, restored and encoded samples, and as much for the network."""
SMALLEST = 1 << 20
"""Minimum number of pixels that a picture counts for, so that thousands of thumbnails are not in flight."""
FRAMES_AHEAD = 3
"""Frames of one picture in flight besides the one in the network: one decoded, one in the queue, one being written."""
WAITING = 2
"""Additional threads where some only wait: for encoding, for the disk; for decoding, for another store."""
MANY, SMALL_FILES = 8, 2 << 20
"""Number of pictures opened ahead if their files total less than this many bytes."""
GRACE = 1.0
"""Seconds in which an interrupted run may finish the pictures that are being written."""

OnRecord = Callable[[Record], None]


@dataclass(frozen=True)
class _Threads:
    """Objects that all pictures in flight share."""

    context: BatchContext
    limiter: MemoryLimiter
    decoders: Workers
    encoders: Workers


class Threaded:
    """Overlaps the stages of successive pictures.

    Args:
        workers: number of decoding threads, and of encoding threads.
    """

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)

    def run(self, context: BatchContext, jobs: Iterable[Job], on_record: OnRecord) -> None:
        """See `Executor.run`. After Ctrl-C, pictures that are almost written are finished. `jobs` is read as their turn comes."""
        limiter = MemoryLimiter(max(1, min(SAMPLES_IN_FLIGHT, free_memory() // BYTES_A_SAMPLE)))
        decoders = self.workers + WAITING * (context.stage is not None)
        threads = _Threads(context, limiter, Workers(decoders, "decode"), Workers(self.workers + WAITING, "encode"))
        in_flight: deque[InFlight] = deque()
        waiting: deque[InFlight] = deque()
        interrupted = False
        try:
            for picture in _ahead(threads, jobs, self.workers + 1, waiting):
                in_flight.append(picture)
                awaited(picture.ready)
                picture.restore(partial(_make_room, limiter, in_flight, waiting))
                while in_flight and in_flight[0].finished.done():
                    _report(in_flight.popleft(), on_record)
            while in_flight:
                awaited(in_flight[0].finished)
                _report(in_flight.popleft(), on_record)
        except KeyboardInterrupt:
            interrupted = True
            _finish_writing(threads, in_flight, on_record)
            raise
        finally:
            context.stopped.set()
            for picture in in_flight:
                picture.cancel()
            threads.decoders.stop(0 if interrupted else None)
            threads.encoders.stop(0 if interrupted else None)


class InFlight:
    """A processor shared between the threads.

    Its way: `_open` in a decoding thread; the memory limiter calls `_on_admitted`; `_decode_first` in a decoding thread resolves `ready`;
    `restore` in the calling thread, one frame decoded ahead; `_save` in an encoding thread; `_finish` resolves `finished`.

    Attributes:
        ready: resolves when `restore` may be called, or when the picture is skipped or has failed.
        finished: resolves when the work ends; True if the record is final, False if the user stopped the picture.
        handed_over: whether the network is done with the picture.
    """

    def __init__(self, threads: _Threads, ticket: int, job: Job) -> None:
        self.threads, self.ticket = threads, ticket
        self.processor = FileProcessor(threads.context, job)
        self.ready: Future[None] = Future()
        self.finished: Future[bool] = Future()
        self.handed_over = False
        self._queue: BoundedQueue[RestoredFrame] = BoundedQueue(1)
        self._size = 0
        self._first: AnalysedFrame | None = None
        self._needs_decoding = False  # the first frame must be decoded again once there is memory

    def start(self) -> None:
        """Open the picture in a worker thread; decode its first frame once the limiter admits it."""
        self.threads.decoders.submit(self._open)

    def cancel(self) -> None:
        """Drop a half-written picture."""
        self._queue.abort()

    def release_first_frame(self) -> None:
        """Release the first frame if the picture is waiting for the network. It is decoded again later."""
        if self._first is not None and self.ready.done():
            self._first, self._needs_decoding = None, True

    def restore(self, make_room: Callable[[], None]) -> None:
        """Restore every frame in the calling thread and queue it for the encoder."""
        picture = self.processor.picture  # the encoding thread sets it to None if it fails
        if picture is None or (self._first is None and not self._needs_decoding):
            return
        sent = False
        with self.processor.guard():
            if self._needs_decoding:
                make_room()
                self._first = self.threads.decoders.submit(partial(self._decode, 0)).result()
            for index in range(picture.frames):
                frame, self._first = self._first, None
                assert frame is not None
                ahead = self._decode_ahead(index + 1, picture.frames)
                restored = self.processor.restore(frame, make_room)
                if not sent:
                    self.threads.encoders.submit(self._save)
                    sent = True
                self._queue.put(restored)
                del frame, restored
                self._first = ahead()
            self._queue.end()
            self.handed_over = True
            return
        if sent:
            self._queue.abort()
        else:
            self._finish()

    def _open(self) -> None:
        with self.processor.guard("decode"):
            self.processor.open()
        picture = self.processor.picture
        if picture is not None:
            pixels = round(picture.size[0] * picture.size[1] * max(1.0, self.threads.context.step.scale) ** 2)
            self._size = max(SMALLEST, pixels * min(picture.frames, 1 + FRAMES_AHEAD))
        self.threads.limiter.enter(self.ticket, self._size, self._on_admitted)

    def _on_admitted(self) -> None:
        if self.processor.picture is None:
            self._finish()
        else:
            self.threads.decoders.submit(self._decode_first)

    def _decode_first(self) -> None:
        with self.processor.guard("decode"):
            try:
                self._first = self.processor.decode(0)
            except MemoryError:
                log.warning("%s: not enough memory to decode it together with others; it waits for them", self.processor.job.source)
                self._needs_decoding = True
        if self._first is None and not self._needs_decoding:
            self._finish()
        else:
            self.ready.set_result(None)

    def _decode_ahead(self, index: int, frames: int) -> Callable[[], AnalysedFrame | None]:
        """Start decoding frame `index` in a worker thread. Call the result to wait for the frame."""
        if index >= frames:
            return lambda: None
        return partial(awaited, self.threads.decoders.submit(partial(self._decode, index)))

    def _decode(self, index: int) -> AnalysedFrame:
        with self.processor.timed("decode"):
            return self.processor.decode(index)

    def _save(self) -> None:
        with self.processor.guard("encode"):
            self.processor.save(self._queue)
        self._finish()

    def _finish(self) -> None:
        """Release the picture and its memory; the record is final."""
        self._queue.abort()
        self._first = None
        self.processor.close()
        size, self._size = self._size, 0
        if size:
            self.threads.limiter.leave(size)
        if not self.ready.done():
            self.ready.set_result(None)
        record = self.processor.record
        self.finished.set_result(bool(record.error) or record.status != "failed")


def _report(picture: InFlight, on_record: OnRecord) -> None:
    if picture.finished.result():
        on_record(picture.processor.record)


def _finish_writing(threads: _Threads, in_flight: deque[InFlight], on_record: OnRecord) -> None:
    """Give the pictures that the network has finished a moment to be written; cancel the others."""
    deadline = time.monotonic() + GRACE
    if in_flight and not in_flight[-1].handed_over:
        in_flight[-1].cancel()
    threads.decoders.stop(0)
    threads.encoders.stop(max(0.0, deadline - time.monotonic()))
    threads.context.stopped.set()
    for picture in in_flight:
        if picture.finished.done():
            _report(picture, on_record)


def _make_room(limiter: MemoryLimiter, in_flight: Sequence[InFlight], waiting: Sequence[InFlight]) -> None:
    """Free memory for the last of `in_flight`.

    Lower the limit, release the frames of later pictures, and wait until earlier pictures are written.
    """
    limiter.limit = max(SMALLEST, limiter.limit // 2)
    for picture in waiting:
        picture.release_first_frame()
    for picture in list(in_flight)[:-1]:
        awaited(picture.finished)
    gc.collect()


def _ahead(threads: _Threads, jobs: Iterable[Job], count: int, started: deque[InFlight]) -> Iterator[InFlight]:
    """Yield the pictures of the jobs in order. The next `count` are already started (more for small files) and wait in `started`.

    So the network is not idle during a series of files that are skipped or fail at once.
    """
    sizes: deque[int] = deque()
    for ticket, job in enumerate(jobs):
        started.append(InFlight(threads, ticket, job))
        started[-1].start()
        sizes.append(_bytes(job))
        while len(started) > (MANY if sum(sizes) < SMALL_FILES else count):
            sizes.popleft()
            yield started.popleft()
    while started:
        yield started.popleft()


def _bytes(job: Job) -> int:
    if job.origin is not None:
        return max(0, job.origin.size)
    try:
        return job.source.stat().st_size
    except OSError:
        return 0
