"""One picture's way through a run: opened and decoded by one thread, restored by the caller's, written by another."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from restore import images
from restore.images import Frame, Picture
from restore.images.frame import bands
from restore.machine import free_memory, out_of_memory
from restore.pipeline import readback
from restore.pipeline.concurrency import BoundedQueue, MemoryLimiter, Stopped, Workers
from restore.pipeline.discovery import Job
from restore.pipeline.manifest import Manifest, digest, digest_file
from restore.pipeline.report import Row, merged
from restore.writing import blamed, reason

log = logging.getLogger(__name__)

SMALLEST = 1 << 20
"""Samples that a picture counts for at least, so that thumbnails do not queue by the thousand."""
FRAMES_AHEAD = 3
"""Frames of one picture in flight beside the one in the network: one decoded, one on the queue, one being written."""


@dataclass(frozen=True)
class Decoded(Frame):
    """A frame that keeps what it shows, converted by the decoding thread rather than in the network's."""

    kept: np.ndarray
    known: Any = None
    """What the work's `look` found, in that thread too; None where the work has none."""

    def normalized(self) -> np.ndarray:
        """Float32 (H, W, 1 or 3), the same array at each call."""
        return self.kept

    def _normalized(self, rows: slice) -> np.ndarray:
        return self.kept[rows]


class Work(Protocol):
    """What is done to each picture: a task with its network and options.

    A work may have more: `look(frame, picture)`, what can be found out before its network runs, in the thread that decodes (and without
    torch, whose threads wait less eagerly for each other once a second thread has had some of its own); `sidecars(source, relative)`,
    the other files that decide a result; `notes()`, lines for the report.
    """

    name: str
    scale: float
    """How many times as high and wide the restored picture is."""

    def settings(self) -> dict[str, Any]:
        """All that decides the result beside the input (hash of the weights, options), JSON-able. Loads no network."""

    def restore(self, frame: Frame, picture: Picture) -> tuple[np.ndarray, dict[str, Any]]:
        """The restored frame, float32 (H, W, 1 or 3) like `frame.normalized()` but for its size, and facts for the report.

        A fact called `warnings` is a list of sentences that the user should read; the report keeps them apart.
        """


@runtime_checkable
class WritesSideFiles(Protocol):
    """A work that writes files beside the results. One that cannot be written costs no picture."""

    def unwritten(self) -> list[str]:
        """What it could not write, one line each; asked once, after the last picture."""


@runtime_checkable
class TakesPlan(Protocol):
    """A work that is told before the first picture which there are."""

    def planned(self, jobs: Sequence[Job]) -> None:
        """Once a run."""


@dataclass(frozen=True)
class RunContext:
    """What all pictures of a run share. `stopped` is set once the user wants no more of it."""

    step: Work
    manifest: Manifest
    limiter: MemoryLimiter
    decoders: Workers
    encoders: Workers
    stopped: threading.Event
    overwrite: bool
    format: str | None
    max_pixels: int | None
    salvage: bool
    settings: str
    relieve: Callable[[], None] = lambda: None
    """Called by a picture for which memory ran out: waits until those before it are written, and has those behind it let go of theirs."""


class Item:
    """One picture on its way. Failures are kept in `row`, never raised.

    `ready` resolves when `restore` may be called (or the picture is skipped or failed); `finished` when the row is
    final, with whether it is: False for a picture that the user's stop has caught on its way.
    """

    def __init__(self, line: RunContext, ticket: int, job: Job) -> None:
        self.context, self.ticket, self.job = line, ticket, job
        self.row = Row(job.source, None, "failed", warnings=list(job.warnings))
        self.ready: Future[None] = Future()
        self.finished: Future[bool] = Future()
        self.handed_over = False  # the network is through with it
        self._queue = BoundedQueue(1)
        self._size = 0
        self._content = ""
        self._picture: Picture | None = None
        self._first: Frame | None = None
        self._starved = False  # its first frame is to be decoded once there is memory
        self._facts: list[dict[str, Any]] = []

    def start(self) -> None:
        """Have the picture opened and, when the limiter lets it in, its first frame decoded."""
        self.context.decoders.submit(self._open)

    def cancel(self) -> None:
        """Have a half-written picture dropped."""
        self._queue.cut()

    def let_go(self) -> None:
        """Give up the first frame, if the picture waits for the network with it; it is decoded again then."""
        if self._first is not None and self.ready.done():
            self._first, self._starved = None, True

    def _open(self) -> None:
        with self._guard("decode"):
            if self.context.stopped.is_set():
                raise Stopped
            if self.job.error:
                raise ValueError(self.job.error)
            self._look()
        self.context.limiter.enter(self.ticket, self._size, self._entered)

    def _look(self) -> None:
        """Read enough of the file to know whether there is work, and how much."""
        manifest, target = self.context.manifest, self.job.target
        self._content = digest_file(self.job.source)
        # files that decide the result beside the picture, such as its mask; not every work has some
        sidecars = getattr(self.context.step, "sidecars", None)
        for path in sidecars(self.job.source, self.job.relative) if sidecars else ():
            self._content = digest(f"{self._content} {digest_file(path)}".encode())
        if not self.context.overwrite:
            if manifest.is_done(target, self._content):
                self.row.status, self.row.output = "skipped", target
                return
            if manifest.is_unmanaged(target):
                raise ValueError(f"{target} is already there and was not made by this program: move it, or --overwrite")
        limit = {} if self.context.max_pixels is None else {"max_pixels": self.context.max_pixels}
        picture = images.read(self.job.source, salvage=self.context.salvage, **limit)
        row = self.row
        row.size, row.frames, row.bits, row.format = (picture.size[0], picture.size[1]), picture.frames, picture.bits, picture.format
        self._picture = picture
        pixels = round(picture.size[0] * picture.size[1] * max(1.0, self.context.step.scale) ** 2)
        self._size = max(SMALLEST, pixels * min(picture.frames, 1 + FRAMES_AHEAD))

    def _entered(self) -> None:
        if self._picture is None:
            self._finish()
        else:
            self.context.decoders.submit(self._begin)

    def _begin(self) -> None:
        picture = self._picture
        assert picture is not None
        with self._guard("decode"):
            try:
                self._first = self._decode(picture, 0)
            except MemoryError:
                log.warning("%s: not enough memory to decode it beside others; it waits for them", self.job.source)
                self._starved = True
        if self._first is None and not self._starved:
            self._finish()
        else:
            self.ready.set_result(None)

    def _decode(self, picture: Picture, index: int) -> Frame:
        if self.context.stopped.is_set():
            raise Stopped
        frame = picture.frame(index)
        height, width = frame.stored.shape[:2]
        needed = 4 * height * width * frame.mapping.channels
        if needed > (free := free_memory()):
            raise MemoryError(f"it takes {needed >> 20:,} MB, {free >> 20:,} MB are free")
        decoded = Decoded(frame.stored, frame.mapping, frame.normalized())
        # the network's thread must not do alone what a helper can do beside it
        look = getattr(self.context.step, "look", None)
        return replace(decoded, known=look(decoded, picture)) if look else decoded

    def restore(self) -> None:
        """Put every frame through the network, in the calling thread, and on towards the encoder."""
        picture = self._picture  # the encoding thread lets go of it where it fails
        if picture is None or (self._first is None and not self._starved):
            return
        sent = False
        with self._guard():
            if self._starved:
                self.context.relieve()
                self._first = self.context.decoders.submit(partial(self._timed_decode, picture, 0)).result()
            for index in range(picture.frames):
                frame, self._first = self._first, None
                assert frame is not None
                ahead = self._ahead(picture, index + 1)
                with self._timed("network"):
                    image, facts = self._restored(picture, frame)
                self._facts.append(facts)
                if not sent:
                    self.context.encoders.submit(self._save)
                    sent = True
                self._queue.put((frame, image))
                del frame, image
                self._first = ahead()
            self._queue.end()
            self.handed_over = True
            return
        if sent:
            self._queue.cut()
        else:
            self._finish()

    def _restored(self, picture: Picture, frame: Frame) -> tuple[np.ndarray, dict[str, Any]]:
        """A frame through the network; where memory runs out once more with all that can be had."""
        try:
            return self.context.step.restore(frame, picture)
        except Exception as error:
            if not out_of_memory(error):
                raise
            log.warning("%s: out of memory; trying again without other pictures in it", self.job.source)
        self.context.relieve()
        return self.context.step.restore(frame, picture)

    def _ahead(self, picture: Picture, index: int) -> Callable[[], Frame | None]:
        """Start decoding frame `index` in a helper thread; call the result to have it."""
        if index >= picture.frames:
            return lambda: None
        return self.context.decoders.submit(partial(self._timed_decode, picture, index)).result

    def _timed_decode(self, picture: Picture, index: int) -> Frame:
        with self._timed("decode"):
            return self._decode(picture, index)

    def _save(self) -> None:
        target, picture = self.job.target, self._picture
        temporary: Path | None = None
        with self._guard("encode"):
            assert picture is not None
            temporary = self.context.manifest.temporary(target)
            self._write(picture, temporary)
            told = [text for facts in self._facts for text in facts.pop("warnings", ())]
            self.row.warnings = list(dict.fromkeys([*self.job.warnings, *picture.warnings, *told]))
            self.row.status, self.row.output, self.row.facts = "done", target, merged(self._facts)
        if temporary is not None:
            with suppress(OSError):  # swept up with the others
                temporary.unlink(missing_ok=True)
        self._finish()

    def _write(self, picture: Picture, temporary: Path) -> None:
        """Write the restored frames as they come, and put the whole file in its place."""
        written = self._stored()
        try:
            picture.save(
                temporary,
                written,
                description=f"restore {self.context.step.name}",
                settings=self.context.settings,
                format=self.context.format,
                scale=self.context.step.scale,
            )
        except OSError as error:  # a full disk: the user knows the target, not the temporary file; the input's own errors name that
            if error.filename is not None and Path(os.fsdecode(error.filename)) == picture.path:
                raise
            raise blamed(error, self.job.target) from error
        if self.context.stopped.is_set():
            raise Stopped
        readback.check(temporary, picture, self.context.step.scale)
        if len(self._facts) != picture.frames or next(written, None) is not None:
            raise RuntimeError("not every frame was written")
        self.context.manifest.commit(temporary, self.job.target, self._content)

    def _stored(self) -> Iterator[np.ndarray]:
        """The restored frames as the file stores them, while the network is at the next."""
        waited = time.perf_counter()
        for frame, image in self._queue:
            self.row.seconds["encode"] -= time.perf_counter() - waited
            if not all(np.isfinite(image[rows]).all() for rows in bands(image.shape)):
                raise ValueError("the network's result holds values that are no numbers (NaN or infinite)")
            yield frame.resized(*image.shape[:2]).encode(image)
            del frame, image
            waited = time.perf_counter()
        self.row.seconds["encode"] -= time.perf_counter() - waited

    def _finish(self) -> None:
        """The row is final: let go of the picture and of the place it held."""
        self._queue.cut()
        if self._picture is not None and self.row.status == "failed":
            self.row.warnings = list(dict.fromkeys([*self.job.warnings, *self._picture.warnings]))
        self._picture = self._first = None
        size, self._size = self._size, 0
        if size:
            self.context.limiter.leave(size)
        if not self.ready.done():
            self.ready.set_result(None)
        self.finished.set_result(bool(self.row.error) or self.row.status != "failed")

    @contextmanager
    def _guard(self, step: str | None = None) -> Iterator[None]:
        """Keep what goes wrong as this row's error (the first counts), and time the rest as `step`."""
        try:
            with self._timed(step):
                yield
        except Stopped:
            pass
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # Rust's panics are no Exceptions, and in a helper thread nobody would hear of one
            log.debug("%s: failed", self.job.source, exc_info=True)
            if not self.row.error and self.row.status != "done":
                self.row.status, self.row.output, self.row.error = "failed", None, reason(error)

    @contextmanager
    def _timed(self, step: str | None) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            if step:
                self.row.seconds[step] += time.perf_counter() - start
