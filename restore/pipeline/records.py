"""The report of a run: one record for each picture, and the sums of the summary."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Status = Literal["done", "skipped", "failed"]
STATS = ("weights", "noise", "precision", "tile")
"""Stats that every record has; None if the task does not report them."""


@dataclass
class Record:
    """The record of one picture.

    Attributes:
        input: the picture's path.
        output: the result's path; None if there is none.
        status: done, skipped or failed.
        seconds: by stage (decode, `work`, encode).
        size: (height, width) in pixels; None if the picture could not be opened.
        frames, bits, format: of the input; None if it could not be opened.
        stats: values reported by the task (weights, noise, precision, tile, ...).
        error: why it failed; "" if it did not.
        warnings: one sentence each.
        work: the name of the stage between decoding and encoding; see `Step.work`.
        name, result: `input` and `output` for people: the URL of an object of another store, whose paths exist during the run only.
    """

    input: Path
    output: Path | None
    status: Status
    seconds: dict[str, float] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    frames: int | None = None
    bits: int | None = None
    format: str | None = None
    stats: dict[str, object] = field(default_factory=dict)
    error: str = ""
    warnings: list[str] = field(default_factory=list)
    work: str = "network"
    name: str = ""
    result: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or str(self.input)
        self.seconds = dict.fromkeys(("decode", self.work, "encode"), 0.0) | self.seconds

    def as_dict(self) -> dict[str, object]:
        """The record as JSON-able values; the stats are at the top level."""
        own = {
            "input": self.name,
            "output": None if self.output is None else self.result or str(self.output),
            "status": self.status,
            "error": self.error or None,
            "seconds": {step: round(seconds, 4) for step, seconds in self.seconds.items()},
            "size": None if self.size is None else list(self.size),
            "frames": self.frames,
            "bits": self.bits,
            "format": self.format,
            "warnings": self.warnings,
        }
        return {**own, **dict.fromkeys(STATS), **{key: value for key, value in self.stats.items() if key not in own}}

    def as_json(self) -> str:
        """`as_dict` as one line of ASCII."""
        return json.dumps(self.as_dict(), default=str)


@dataclass
class Report:
    """A run's records, sorted by input, and its sums.

    Attributes:
        records: one for each picture.
        planned: number of pictures in the plan.
        ignored: number of files in the input folders that are not pictures.
        maps: number of files in the input folders that `--confidence` wrote beside a picture.
        work: the name of the stage between decoding and encoding; see `Step.work`.
        wall: seconds from opening the first picture to writing the last one.
        interrupted: whether the user stopped the run; pictures without a record were not reached.
        remarks: messages about the run as a whole.
        objects: number of DICOM objects without pictures in the input folders, by kind ("SR", "RTSTRUCT", "DICOMDIR", ...).
        unwritten: side files (report, preview, JSON lines) that could not be written, each with the reason.
    """

    records: list[Record] = field(default_factory=list)
    planned: int = 0
    ignored: int = 0
    maps: int = 0
    work: str = "network"
    wall: float = 0.0
    interrupted: bool = False
    remarks: list[str] = field(default_factory=list)
    objects: dict[str, int] = field(default_factory=dict)
    unwritten: list[str] = field(default_factory=list)

    def count(self, status: Status) -> int:
        """Number of pictures with this status."""
        return sum(record.status == status for record in self.records)

    @property
    def done(self) -> int:
        """Pictures restored in this run."""
        return self.count("done")

    @property
    def skipped(self) -> int:
        """Pictures that an earlier run had restored."""
        return self.count("skipped")

    @property
    def failed(self) -> int:
        """Pictures that could not be restored."""
        return self.count("failed")

    @property
    def warned(self) -> int:
        """Number of warnings of all pictures."""
        return sum(len(record.warnings) for record in self.records)

    @property
    def objects_in_words(self) -> str:
        """The DICOM objects as text, such as "3 DICOM objects without pictures (2 SR, 1 DICOMDIR)"; "" if there are none."""
        count = sum(self.objects.values())
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.objects.items(), key=lambda item: (-item[1], item[0])))
        return f"{count} DICOM object{'s' if count > 1 else ''} without pictures ({kinds})" if count else ""

    @property
    def unreached(self) -> int:
        """Pictures that an interrupted run did not reach."""
        return self.planned - len(self.records)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage, summed over the records. Stages overlap, so the total may exceed `wall`."""
        return {stage: sum(record.seconds.get(stage, 0.0) for record in self.records) for stage in ("decode", self.work, "encode")}

    @property
    def images_per_second(self) -> float:
        """Pictures restored per second of `wall`."""
        return self.done / self.wall if self.wall else 0.0

    @property
    def busy_fraction(self) -> float:
        """The fraction of `wall` in which the step was working, 0..1."""
        return min(1.0, self.seconds[self.work] / self.wall) if self.wall else 0.0

    @property
    def seconds_per_megapixel(self) -> float:
        """Seconds of `work` for a megapixel of input, over the pictures restored in this run; 0 if there is none."""
        done = [record for record in self.records if record.status == "done"]
        pixels = sum(math.prod(record.size or (0, 0)) * (record.frames or 1) for record in done)
        return sum(record.seconds[self.work] for record in done) / pixels * 1e6 if pixels else 0.0

    def summary(self) -> dict[str, object]:
        """The sums as JSON-able values."""
        return {
            "done": self.done,
            "skipped": self.skipped,
            "failed": self.failed,
            "unreached": self.unreached,
            "ignored": self.ignored,
            "ignored_dicom": self.objects,
            "ignored_maps": self.maps,
            "warnings": self.warned,
            "interrupted": self.interrupted,
            "seconds": {**{step: round(value, 3) for step, value in self.seconds.items()}, "wall": round(self.wall, 3)},
            "images_per_second": round(self.images_per_second, 3),
            "seconds_per_megapixel": round(self.seconds_per_megapixel, 4),
            f"{self.work}_fraction": round(self.busy_fraction, 4),
            "remarks": self.remarks,
            "unwritten": self.unwritten,
        }


@dataclass(frozen=True)
class Event:
    """A progress event of `run`: "learn" where a step learns from the pictures first, "plan" once, then "record" for each picture.

    `total` is the number of pictures.
    """

    kind: Literal["learn", "plan", "record"]
    total: int
    index: int = 0
    record: Record | None = None


def number(value: object) -> str:
    """Format a value for people: fractions with three digits; dictionaries and lists in words."""
    if isinstance(value, bool | str | int) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple) and value:
        return number(value[0]) if len(value) == 1 else f"{number(value[0])} ... {number(value[-1])}"
    return str(value)


def merged(stats: list[dict[str, object]]) -> dict[str, object]:
    """Merge the stats of all frames: a single value if all frames agree, else a list with one value for each frame."""
    keys = dict.fromkeys(key for each in stats for key in each)
    values = {key: [each.get(key) for each in stats] for key in keys}
    return {key: each[0] if all(value == each[0] for value in each) else each for key, each in values.items()}
