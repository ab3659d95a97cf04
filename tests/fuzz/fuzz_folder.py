"""A folder of mutants and good pictures: every good one is restored, every bad one is a line, and they cost the good ones no time."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_harness import cases, suffix
from fuzz_samples import samples

from restore.images.codecs import suffix_of
from restore.pipeline.batch import BatchOptions, Report, run
from restore.pipeline.step import Image, Result, Sidecars, Step


@dataclass
class Slow(Step[None]):
    """Stands for a network: compresses the values a little, and takes its time."""

    seconds: float
    name = "slow"

    def settings(self) -> dict[str, Any]:
        return {}

    def __call__(self, image: Image, analysis: None = None, sidecars: Sidecars | None = None) -> Result:
        time.sleep(self.seconds)
        return Result(image.pixels * np.float32(0.9) + np.float32(0.05))


def fill(root: Path, mutants: int, good: int, seed: int) -> None:
    """Write `good` pictures, and among them as they are sorted `mutants`."""
    root.mkdir()
    valid = [sample for sample in samples() if sample.kind != "raw"]  # no result can be raw
    for number in range(good):
        sample = valid[number * 7 % len(valid)]
        (root / f"{number:04d}-good{suffix_of(sample.name)}").write_bytes(sample.data)
    for case in cases(mutants, seed):
        (root / f"{case.number % max(1, good):04d}-mutant-{case.number:04d}{suffix(case.kind)}").write_bytes(case.data)


def wrong(report: Report, root: Path, good: int) -> list[str]:
    """What a run over such a folder left undone, one line each."""
    rows = {record.input.name: record for record in report.records}
    found = [
        f"{name} is good, and {record.status}: {record.error}"
        for name, record in rows.items()
        if "good" in name and record.status != "done"
    ]
    found += [f"{name} failed without a reason" for name, record in rows.items() if record.status == "failed" and not record.error.strip()]
    if sum("good" in name for name in rows) != good:
        found.append("a good picture has no record")
    files = sum(1 for _ in root.iterdir())
    if len(rows) + report.ignored + sum(report.objects.values()) != files:
        found.append(f"{files} files, {len(rows)} rows, {report.ignored} ignored")
    return found


def main(mutants: int, good: int, seed: int, seconds: float = 0.1) -> int:
    """The long form: what was wrong, and how long the good pictures take alone and among the mutants."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fill(root / "alone", 0, good, seed)
        fill(root / "both", mutants, good, seed)
        walls = {}
        for name in ("alone", "alone", "both"):  # the first run starts what decodes
            report = run(Slow(seconds), [root / name], root / f"{name}-out", BatchOptions(overwrite=True))
            walls[name] = report.wall
        found = wrong(report, root / "both", good)
    restored = report.done - good
    network = sum(record.seconds["network"] for record in report.records if "good" not in record.input.name)  # of each frame
    each = (walls["both"] - network) / walls["alone"]
    print(
        f"{good} good pictures alone {walls['alone']:.1f} s; "
        f"with {mutants} mutants ({restored} restored) {walls['both']:.1f} s, "
        f"{network:.1f} s of it in the network with those"
    )
    print(f"without the network's time for those: {each:.2f} times as long; {len(found)} findings", *found, sep="\n")
    return 1 if found else 0
