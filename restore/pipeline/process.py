"""Processes one file: open, decode, restore, write. `process` runs these stages in order; executors overlap them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore import images
from restore.available_memory import free_memory, out_of_memory
from restore.images import Frame, Picture, colouring
from restore.images.error_maps import MapFormat
from restore.images.frame import bands
from restore.pipeline import result_check, salvaged, side_images, stack
from restore.pipeline.batch_context import BatchContext
from restore.pipeline.concurrency import Stopped
from restore.pipeline.discovery import Job
from restore.pipeline.frame_stages import AnalysedFrame, DecodedFrame, RestoredFrame
from restore.pipeline.manifest_records import digest, digest_file
from restore.pipeline.packed_masks import Packed, pack, unpack
from restore.pipeline.records import Record, Status, merged
from restore.pipeline.result_store import Seen, kept_warning
from restore.pipeline.side_images import Plane, SideFiles
from restore.pipeline.source_file import SourceFile
from restore.pipeline.stack import Stack
from restore.pipeline.step import Image, Result, Sidecar, image_of
from restore.writing import has_no_room, reason, with_path

log = logging.getLogger(__name__)

MARK = 32
"""Digits of `Job.mark`."""


class FileProcessor:
    """One picture of a run. Under `guard`, a stage's errors go to `record` and are not raised.

    Attributes:
        record: the picture's record in the report.
        picture: the open file; None before `open` and if there is nothing to do.
    """

    def __init__(self, context: BatchContext, job: Job) -> None:
        self.context, self.job = context, job
        self.record = Record(job.source, None, "failed", warnings=list(job.warnings), work=context.step.work, name=job.name)
        self.source = SourceFile(job, context.manifest)
        self.picture: Picture | None = None
        self._content = ""
        self._sidecars: dict[Path, Sidecar] = {}
        self._stats: list[dict[str, object]] = []
        self._warnings: list[str] = []
        self._masks: list[Packed] = []
        self._side_files = SideFiles(context.manifest, job, context.step.side_images)
        self._side: list[dict[str, Plane]] = []
        self._floats = False
        self._stack = Stack()

    def open(self) -> None:
        """Read the file's header, unless the picture is already done."""
        self.context.check_stopped()
        if self.job.error:
            raise ValueError(self.job.error)
        manifest, target = self.context.manifest, self.job.target
        self._content = self._hash()
        if not self.context.options.overwrite:
            whole = self._side_files.are_done(self._content) and manifest.is_done(target, self._content)
            if whole and not self.context.step.lacks_side_files(self.job):
                self._ended("skipped")
                if self.context.options.salvage and manifest.is_salvaged(target):
                    self.record.warnings.append(salvaged.PART)
                return
            self._refuse_to_replace(whole=whole)
        if self.source.fetch():  # only its hash was known
            self._content = self._hash()
        limit = {} if self.context.options.max_pixels is None else {"max_pixels": self.context.options.max_pixels}
        picture = images.read(self.job.source, salvage=self.context.options.salvage, **limit)
        picture.check_target(self.context.options.format)
        record = self.record
        record.size, record.frames, record.bits, record.format = (*picture.size,), picture.frames, picture.bits, picture.format
        self.picture = picture

    def _refuse_to_replace(self, *, whole: bool) -> None:
        """Raise ValueError if a file that no run wrote, or the result of another picture, would be replaced, unless it is the same."""
        manifest, target = self.context.manifest, self.job.target
        unmanaged = target if manifest.is_unmanaged(target) else self._side_files.unmanaged()
        if unmanaged is not None:
            raise ValueError(f"{unmanaged} already exists and was not written by this program: move it, or use --overwrite")
        if whole or self.job.origin is not None:
            return
        rival = manifest.rival(target, self.job.source)
        if rival and rival not in self.context.sources:  # a picture of this run has its own result, by another name now
            raise ValueError(f"{target} is the result of {rival}: choose another --out, or use --overwrite")

    def decode(self, index: int) -> AnalysedFrame:
        """Decode a frame and analyse it.

        Raises:
            MemoryError: there is not enough free memory at the moment.
            Stopped: the picture failed in another thread.
        """
        self.context.check_stopped()
        picture = self.picture
        if picture is None:
            raise Stopped
        frame, image = self._image(picture, index)
        if index == 0:
            self._stack = stack.survey(self.context.step, picture.frames, lambda other: self._image(picture, other)[1] if other else image)
        analysis = self._stack.analyse(self.context.step, image)
        return AnalysedFrame(DecodedFrame(frame.stored, frame.mapping, image=image), analysis)

    def restore(self, decoded: AnalysedFrame, make_room: Callable[[], None] = lambda: None) -> RestoredFrame:
        """Restore a frame with the step. If memory runs out, call `make_room` and try once more."""
        with self.timed(self.record.work):
            result = self._run_step(decoded, make_room)
        self._stats.append(dict(result.stats))
        self._warnings += result.warnings
        self._masks.append(pack(result.masks))
        self._side.append(side_images.planes_of(decoded.frame, result.side))
        self._floats = decoded.frame.stored.dtype.kind == "f"
        pixels = result.pixels
        if result.opaque is not None and decoded.frame.alpha is not None:
            pixels = np.concatenate([pixels, result.opaque[:, :, None].astype(np.float32)], 2)
        return RestoredFrame(decoded.frame, pixels, result.made)

    def save(self, restored: Iterable[RestoredFrame]) -> None:
        """Write the restored frames as they come and commit the complete file."""
        target, picture = self.job.target, self.picture
        assert picture is not None
        temporary = self.context.manifest.temporary(target)
        try:
            self._write(picture, temporary, self._encoded(restored))
        finally:
            with suppress(OSError):  # the manifest removes it later
                temporary.unlink(missing_ok=True)
        self.record.warnings = list(dict.fromkeys([*self.job.warnings, *picture.warnings, *self._warnings]))
        self.record.stats = merged(self._stats)
        self._ended("done")

    def close(self) -> None:
        """Release the picture; the record is final."""
        if self.record.status == "failed":
            own = self.picture.warnings if self.picture is not None else []
            left = salvaged.left_behind(self.context.manifest, self.job.target)
            self.record.warnings = list(dict.fromkeys([*self.job.warnings, *own, *left]))
        self.picture = None
        self.source.release()

    @contextmanager
    def guard(self, stage: str | None = None) -> Iterator[None]:
        """Store the first exception in the block as the record's error, and add the block's time to `stage`."""
        try:
            with self.timed(stage):
                yield
        except Stopped:
            pass
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # Rust's panics are not Exceptions, and would be lost in a worker thread
            log.debug("%s: failed", self.job.source, exc_info=True)
            if not self.record.error and self.record.status != "done":
                self.record.status, self.record.output = "failed", None
                self.record.error = self.source.readable(reason(error).removeprefix(f"{self.job.source.name}: "))  # the record names it

    @contextmanager
    def timed(self, stage: str | None) -> Iterator[None]:
        """Add the block's time to the record's `stage` (decode, `work` or encode); None for no stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if stage:
                self.record.seconds[stage] += time.perf_counter() - start

    def _image(self, picture: Picture, index: int) -> tuple[Frame, Image]:
        """A decoded frame, and as the step's input."""
        frame = picture.frame(index)
        height, width = frame.stored.shape[:2]
        needed = 4 * height * width * frame.mapping.channels
        if needed > (free := free_memory()):
            raise MemoryError(f"it takes {needed >> 20:,} MB, {free >> 20:,} MB are free")
        return frame, image_of(frame, picture, index, self.job.relative)

    def _ended(self, status: Status) -> None:
        self.record.status, self.record.output = status, self.job.target
        self.record.result = self.source.readable(str(self.job.target))

    def _hash(self) -> str:
        """The hash of the picture's file and its sidecars. The job gets it, too."""
        content = own = self.source.content()
        for path in self.context.step.sidecars(self.job.source, self.job.relative):
            content = digest(f"{content} {digest_file(path)}".encode())
            self._sidecars[path] = Sidecar(path)
        self.job = replace(self.job, content=own, mark=digest(f"{content} {self.context.settings}".encode())[:MARK])
        return content

    def _run_step(self, decoded: AnalysedFrame, make_room: Callable[[], None]) -> Result:
        step, image = self.context.step, decoded.frame.image
        try:
            return step(image, decoded.analysis, self._sidecars)
        except Exception as error:
            if not out_of_memory(error):
                raise
            log.warning("%s: out of memory; trying again without other pictures in memory", self.job.source)
        make_room()
        return step(image, decoded.analysis, self._sidecars)

    def _write(self, picture: Picture, temporary: Path, encoded: Iterator[np.ndarray]) -> None:
        step = self.context.step
        size = step.result_size(picture.size)
        description = f"restore {step.name}" + (f" ({step.caution})" if step.caution else "")
        try:
            picture.save(
                temporary, encoded, description=description, settings=self.context.settings, format=self.context.options.format,
                scale=step.scale, finer=step.finer_coding, coloured=step.colours, size=size,
            )  # fmt: skip
        except OSError as error:  # name the target, not the temporary file; errors of the input keep the input's name
            if error.filename is not None and Path(os.fsdecode(error.filename)) == picture.path and not has_no_room(error):
                raise
            raise with_path(error, self.job.target) from error
        self.context.check_stopped()
        result_check.check(temporary, picture, size)
        if len(self._stats) != picture.frames or next(encoded, None) is not None:
            raise RuntimeError("not every frame was written")
        if not self.context.options.overwrite:
            self._keep_edited()
        options = self.context.options
        part = options.salvage and salvaged.is_salvaged(picture, options.max_pixels)
        if part:
            self._stats[0]["salvaged"] = True
        step.write_side_files(self.job, picture.frames, [*map(unpack, self._masks)])
        if step.side_images:
            format = MapFormat(self.context.options.format or picture.format, picture.bits, self._floats, picture.frames)
            self._stats[0]["side_images"] = self._side_files.commit(format, self._side, step.name, self._content, salvaged=part)
        seen = replace(self.source.seen or Seen(), salvaged=part)
        self.context.manifest.commit(temporary, self.job.target, self._content, seen)

    def _keep_edited(self) -> None:
        """Keep what somebody has made of the earlier result and its side images, and warn of it."""
        for path in (self.job.target, *self._side_files.paths()):
            if kept := self.context.manifest.set_aside(path):
                self._warnings.append(kept_warning(path, self.source.readable(str(kept))))

    def _encoded(self, restored: Iterable[RestoredFrame]) -> Iterator[np.ndarray]:
        """The restored frames in the file's sample type. Waiting for a frame does not count as encoding time."""
        waited = time.perf_counter()
        for one in restored:
            self.record.seconds["encode"] -= time.perf_counter() - waited
            if not all(np.isfinite(one.pixels[rows]).all() for rows in bands(one.pixels.shape)):
                raise ValueError("the network's result has NaN or infinite values")
            frame = one.frame.resized(*one.pixels.shape[:2])
            if one.made is not None:
                frame = frame.with_picture(one.made)
            yield (colouring.in_colour(frame) if self.context.step.colours else frame).encode(one.pixels)
            del one
            waited = time.perf_counter()
        self.record.seconds["encode"] -= time.perf_counter() - waited


def process(context: BatchContext, job: Job) -> Record:
    """Process one file from open to commit. Errors are in the record.

    Raises:
        KeyboardInterrupt: the user stopped the run.
    """
    processor = FileProcessor(context, job)
    with processor.guard("decode"):
        processor.open()
    picture = processor.picture
    if picture is not None:
        with processor.guard("encode"):
            processor.save(_frames(processor, picture.frames))
    processor.close()
    return processor.record


def _frames(processor: FileProcessor, count: int) -> Iterator[RestoredFrame]:
    for index in range(count):
        with processor.timed("decode"):
            decoded = processor.decode(index)
        yield processor.restore(decoded)
