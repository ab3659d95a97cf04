"""A process that restores one file after the other as a run does and tells what came of each: a path a line in, a JSON object a line out.

    python fuzz_worker.py FOLDER

The result is written with changed pixels, so that the encoders are at work, and is read again; some are converted.
FOLDER takes the results.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import sys
import traceback
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from restore import images
from restore.pipeline.batch import BatchOptions, Record, run
from restore.pipeline.step import Image, Result, Sidecars, Step

ROOM = str(Path(images.__file__).resolve().parents[1])
GUARD = 14 << 30
"""Bytes of address space after which a case fails by itself, so that the machine lives."""
PER_PIXEL = 64
"""Bytes that a pixel of a picture in flight may honestly need: three channels, stored, shown and restored in float32, each twice."""
IN_FLIGHT = 4
"""Frames of one picture in flight."""


class Changed(Step[None]):
    """Compresses the values a little, so that nothing can be copied."""

    name = "changed"

    def settings(self) -> dict[str, Any]:
        return {}

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        return Result(image.pixels * np.float32(0.9) + np.float32(0.05))


class _Caught(logging.Handler):
    """The exception behind a row's error."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.error = record.exc_info[1]


def _peak() -> int:
    """Bytes of the most memory this process has held since `_forget_peak`, with what its children held since then."""
    return _status("self", "VmHWM") + sum(_status(child, "VmHWM") for child in _children())


def _children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            found += (task / "children").read_text().split()
    return found


def _status(process: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _forget_peak() -> None:
    for process in ("self", *_children()):
        with suppress(OSError):  # a child that has ended meanwhile
            Path(f"/proc/{process}/clear_refs").write_text("5")


def _where(error: BaseException) -> str:
    """The innermost place in the suite's own code that an exception went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(ROOM)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "outside"


def _refused_clearly(error: BaseException | None, text: str) -> bool:
    """Whether a failure is the file's own and was said so: an ImageError, or a ValueError or MemoryError that the suite itself raised."""
    if error is None or isinstance(error, images.ImageError):
        return bool(text.strip()) and "\n" not in text
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return type(error) in (ValueError, MemoryError) and last.startswith(ROOM) and bool(str(error))


def _reopened(path: Path, size: tuple[int, int] | None, frames: int | None) -> str:
    """What is wrong with a result, or ""."""
    try:
        picture = images.read(path)
        for index in range(picture.frames):
            picture.frame(index).normalized()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if (picture.size, picture.frames) != (size, frames):
        return f"{picture.frames} frames of {picture.size} instead of {frames} of {size}"
    return ""


def _target(path: Path) -> str | None:
    """The format that a file is converted to: one of all for every fourth "converted" by its content; its own for the others."""
    number = zlib.crc32(path.read_bytes())
    return sorted(images.TARGETS)[number // 4 % len(images.TARGETS)] if path.stem == "converted" and number % 4 == 0 else None


def _row(path: Path, out: Path) -> Record:
    """The file's row: as one of a folder, or as one that was named itself where the walk finds that it is no picture."""
    options = BatchOptions(overwrite=True, workers=1, format="tiff" if path.suffix == ".dng" else _target(path))
    rows = run(Changed(), [path.parent], out, options).records or run(Changed(), [path], out, options).records
    return rows[0]


def restored(path: Path, out: Path, caught: _Caught) -> dict[str, str]:
    """What came of one file: `outcome` and `detail`, and `place`, where in the suite it went wrong."""
    caught.error = None
    _forget_peak()
    before = _status("self", "VmRSS")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        row = _row(path, out)
        wrong = _reopened(row.output, row.size, row.frames) if row.output else ""
    taken = _peak() - before
    shutil.rmtree(out, ignore_errors=True)
    place = _where(caught.error) if caught.error else ""
    honest = 0
    if row.status == "done" and row.size:
        honest = row.size[0] * row.size[1] * min(row.frames or 1, IN_FLIGHT) * PER_PIXEL
    if taken > honest + (1 << 30):
        return {"outcome": "memory", "detail": f"{taken >> 20} MB, honest {honest >> 20} MB; {row.error}", "place": place}
    if told:
        return {"outcome": "warning", "detail": f"{told[0].category.__name__}: {told[0].message}", "place": str(told[0].filename)}
    if wrong:
        return {"outcome": "unreadable", "detail": wrong, "place": ""}
    if row.status == "failed" and not _refused_clearly(caught.error, row.error):
        return {"outcome": "unexpected", "detail": row.error, "place": f"{place} {type(caught.error).__name__}"}
    return {"outcome": "restored" if row.status == "done" else "refused", "detail": row.error, "place": place}


def main() -> None:
    out = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (GUARD, GUARD))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    caught = _Caught()
    own = logging.getLogger("restore")
    own.setLevel(logging.DEBUG)
    own.addHandler(caught)
    own.propagate = False
    logging.lastResort = None
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    print("ready", file=answer, flush=True)
    for line in sys.stdin:
        print(json.dumps(restored(Path(line.rstrip("\n")), out, caught)), file=answer, flush=True)


if __name__ == "__main__":
    main()
