"""The threaded executor: decoding and encoding run in helper threads while the network works in the calling one.

The network runs in the calling thread, so that Ctrl-C reaches it between two calls. A limiter by pixels keeps memory flat whatever the
folder holds.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from restore.machine import free_memory
from restore.pipeline.concurrency import BoundedQueue, MemoryLimiter, Workers
from restore.pipeline.discovery import Job
from restore.pipeline.process import Decoded, Item, Restored, RunContext
from restore.pipeline.report import Record

log = logging.getLogger(__name__)

SAMPLES_IN_FLIGHT = 48_000_000
"""Pixels (of all frames in flight) between opening and writing; a larger picture goes alone. About 0.6 GB in gray."""
BYTES_A_SAMPLE = 100
"""That a pixel in flight may take, in colour: stored, normalized, restored and on its way into a file, and as much for the network."""
SMALLEST = 1 << 20
"""Pixels that a picture counts for at least, so that thumbnails do not queue by the thousand."""
FRAMES_AHEAD = 3
"""Frames of one picture in flight besides the one in the network: one decoded, one in the queue, one being written."""
WAITING = 2
"""Encoding threads besides those that compute: they wait until the disk has what is written, and the next picture need not."""
MANY, SMALL_FILES = 8, 2 << 20
"""Pictures that are opened ahead where their files together are smaller than this many bytes."""
GRACE = 1.0
"""Seconds that an interrupted run gives to the pictures that are being written."""

Tell = Callable[[Record], None]


@dataclass(frozen=True)
class _Threads:
    """What the pictures in flight share."""

    context: RunContext
    limiter: MemoryLimiter
    decoders: Workers
    encoders: Workers


class Threaded:
    """Overlaps the stages of successive pictures.

    Args:
        workers: helper threads that decode, and as many that encode.
    """

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)

    def run(self, context: RunContext, jobs: Sequence[Job], tell: Tell) -> None:
        """See `Executor.run`. After Ctrl-C what is nearly written is finished."""
        limiter = MemoryLimiter(max(1, min(SAMPLES_IN_FLIGHT, free_memory() // BYTES_A_SAMPLE)))
        threads = _Threads(context, limiter, Workers(self.workers, "decode"), Workers(self.workers + WAITING, "encode"))
        in_flight: deque[InFlight] = deque()
        waiting: deque[InFlight] = deque()
        interrupted = False
        try:
            for picture in _ahead(threads, jobs, self.workers + 1, waiting):
                in_flight.append(picture)
                picture.ready.result()
                picture.restore(partial(_relieve, limiter, in_flight, waiting))
                while in_flight and in_flight[0].finished.done():
                    _tell(in_flight.popleft(), tell)
            while in_flight:
                in_flight[0].finished.result()
                _tell(in_flight.popleft(), tell)
        except KeyboardInterrupt:
            interrupted = True
            _wind_up(threads, in_flight, tell)
            raise
        finally:
            context.stopped.set()
            for picture in in_flight:
                picture.cancel()
            threads.decoders.stop(0 if interrupted else None)
            threads.encoders.stop(0 if interrupted else None)


class InFlight:
    """An item between the threads.

    `ready` resolves when `restore` may be called (or the picture is skipped or failed). `finished` resolves when the record is final, with
    whether it is: False for a picture that the user's stop has caught on its way.
    """

    def __init__(self, threads: _Threads, ticket: int, job: Job) -> None:
        self.threads, self.ticket = threads, ticket
        self.item = Item(threads.context, job)
        self.ready: Future[None] = Future()
        self.finished: Future[bool] = Future()
        self.handed_over = False  # the network is through with it
        self._queue: BoundedQueue[Restored] = BoundedQueue(1)
        self._size = 0
        self._first: Decoded | None = None
        self._starved = False  # its first frame is to be decoded once there is memory

    def start(self) -> None:
        """Have the picture opened and, when the limiter lets it in, its first frame decoded."""
        self.threads.decoders.submit(self._open)

    def cancel(self) -> None:
        """Have a half-written picture dropped."""
        self._queue.cut()

    def let_go(self) -> None:
        """Give up the first frame, if the picture waits for the network with it; it is decoded again then."""
        if self._first is not None and self.ready.done():
            self._first, self._starved = None, True

    def restore(self, relieve: Callable[[], None]) -> None:
        """Put every frame through the step, in the calling thread, and on towards the encoder."""
        picture = self.item.picture  # the encoding thread lets go of it where it fails
        if picture is None or (self._first is None and not self._starved):
            return
        sent = False
        with self.item.guard():
            if self._starved:
                relieve()
                self._first = self.threads.decoders.submit(partial(self._decode, 0)).result()
            for index in range(picture.frames):
                frame, self._first = self._first, None
                assert frame is not None
                ahead = self._decode_ahead(index + 1, picture.frames)
                restored = self.item.restore(frame, relieve)
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
            self._queue.cut()
        else:
            self._finish()

    def _open(self) -> None:
        with self.item.guard("decode"):
            self.item.open()
        picture = self.item.picture
        if picture is not None:
            pixels = round(picture.size[0] * picture.size[1] * max(1.0, self.threads.context.step.scale) ** 2)
            self._size = max(SMALLEST, pixels * min(picture.frames, 1 + FRAMES_AHEAD))
        self.threads.limiter.enter(self.ticket, self._size, self._entered)

    def _entered(self) -> None:
        if self.item.picture is None:
            self._finish()
        else:
            self.threads.decoders.submit(self._begin)

    def _begin(self) -> None:
        with self.item.guard("decode"):
            try:
                self._first = self.item.decode(0)
            except MemoryError:
                log.warning("%s: not enough memory to decode it beside others; it waits for them", self.item.job.source)
                self._starved = True
        if self._first is None and not self._starved:
            self._finish()
        else:
            self.ready.set_result(None)

    def _decode_ahead(self, index: int, frames: int) -> Callable[[], Decoded | None]:
        """Start decoding frame `index` in a helper thread; call the result to have it."""
        if index >= frames:
            return lambda: None
        return self.threads.decoders.submit(partial(self._decode, index)).result

    def _decode(self, index: int) -> Decoded:
        with self.item.timed("decode"):
            return self.item.decode(index)

    def _save(self) -> None:
        with self.item.guard("encode"):
            self.item.save(self._queue)
        self._finish()

    def _finish(self) -> None:
        """The record is final: let go of the picture and of its part of the memory."""
        self._queue.cut()
        self._first = None
        self.item.close()
        size, self._size = self._size, 0
        if size:
            self.threads.limiter.leave(size)
        if not self.ready.done():
            self.ready.set_result(None)
        record = self.item.record
        self.finished.set_result(bool(record.error) or record.status != "failed")


def _tell(picture: InFlight, tell: Tell) -> None:
    if picture.finished.result():
        tell(picture.item.record)


def _wind_up(threads: _Threads, in_flight: deque[InFlight], tell: Tell) -> None:
    """Give the pictures that have left the network a moment to be written; forbid the rest."""
    deadline = time.monotonic() + GRACE
    if in_flight and not in_flight[-1].handed_over:
        in_flight[-1].cancel()
    threads.decoders.stop(0)
    threads.encoders.stop(max(0.0, deadline - time.monotonic()))
    threads.context.stopped.set()
    for picture in in_flight:
        if picture.finished.done():
            _tell(picture, tell)


def _relieve(limiter: MemoryLimiter, in_flight: Sequence[InFlight], waiting: Sequence[InFlight]) -> None:
    """Make room for the last of `in_flight`: let fewer pictures in from now on, those behind it go, and those before it be written."""
    limiter.limit = max(SMALLEST, limiter.limit // 2)
    for picture in waiting:
        picture.let_go()
    for picture in list(in_flight)[:-1]:
        picture.finished.result()
    gc.collect()


def _ahead(threads: _Threads, jobs: Sequence[Job], count: int, started: deque[InFlight]) -> Iterator[InFlight]:
    """The jobs' pictures in order, `count` of them started before they are asked for, more of small files: those wait in `started`.

    So a row of files that are skipped or refused at once costs no time in which the network could work.
    """
    sizes: deque[int] = deque()
    for ticket, job in enumerate(jobs):
        started.append(InFlight(threads, ticket, job))
        started[-1].start()
        sizes.append(_bytes(job.source))
        while len(started) > (MANY if sum(sizes) < SMALL_FILES else count):
            sizes.popleft()
            yield started.popleft()
    while started:
        yield started.popleft()


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
