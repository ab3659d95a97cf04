"""Batch runs that a power cut ends at any moment, and what it leaves: whatever was not flushed is lost, its content or its name."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipeline"))

import numpy as np
import preloaded
import tifffile
from batch_steps import Inverse, folder, tree
from pydicom.data import get_testdata_file

from restore.pipeline.batch import run

_WAIT = 300
"""Seconds after which a process that should have ended is given up."""
_SCRIPT = Path(__file__).with_name("cut_batch.py")


def pictures(root: Path) -> Path:
    """A small folder: gray PNGs, a TIFF of pages, a JPEG and a DICOM file."""
    from batch_steps import picture

    folder(root, 4)
    picture(root / "a.jpg", 7, (40, 40))
    samples = np.random.default_rng(1).integers(0, 65536, (3, 20, 20), dtype=np.uint16)
    tifffile.imwrite(root / "pages.tif", samples, photometric="minisblack")
    (root / "deep/ct.dcm").write_bytes(Path(str(get_testdata_file("CT_small.dcm"))).read_bytes())
    return root


def killed(source: Path, out: Path, log: Path, number: int) -> int:
    """Run the batch until its file operation of that number, or to the end where it has fewer; how many it made, 0 if it was killed."""
    ended = preloaded.run([_SCRIPT, source, out, log, number], timeout=_WAIT, stdout=preloaded.PIPE)
    if ended.returncode == 0:
        return int(ended.stdout.split()[0])
    assert ended.returncode == -signal.SIGKILL, f"the run ended with {ended.returncode}"
    return 0


def lose(out: Path, log: Path, random: Random) -> int:
    """Take from `out` what a power cut would take; how many files were harmed."""
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    flushed = {entry["flushed"]: entry["size"] for entry in entries if "flushed" in entry}
    unsure: dict[str, str] = {}
    """Names given since their folder was flushed last."""
    for entry in entries:
        if "named" in entry:
            unsure[entry["to"]] = str(Path(entry["to"]).parent)
        elif "folder" in entry:
            unsure = {name: parent for name, parent in unsure.items() if parent != entry["folder"]}
    harmed = 0
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        status = path.stat()
        if str(path) in unsure and random.random() < 0.5:
            path.unlink()
        elif status.st_size and flushed.get(status.st_ino) != status.st_size:
            length = random.choice((0, 0, random.randrange(status.st_size)))
            with path.open("r+b") as file:
                file.truncate(length)
                if random.random() < 0.3:
                    file.truncate(status.st_size)  # zeros where the content would be
        else:
            continue
        harmed += 1
    return harmed


def trial(root: Path, whole: dict[str, bytes | None], operations: int, random: Random) -> str:
    """Kill the run once or more at random moments, lose what was not flushed, and run it again; what is wrong with that, or ""."""
    out = Path(tempfile.mkdtemp(dir=root)) / "out"
    for turn in range(random.choice((1, 1, 2))):
        log = out.with_name(f"log{turn}")
        killed(root / "in", out, log, random.randint(1, operations))
        if out.exists():
            lose(out, log, random)
    report = run(Inverse(), [root / "in"], out)
    bad = [f"{record.input.name}: {record.error}" for record in report.records if record.status == "failed"]
    if bad:
        return f"a rerun failed: {'; '.join(bad)}"
    result = tree(out)
    differing = sorted(name for name in result.keys() | whole.keys() if result.get(name, b"absent") != whole.get(name, b"absent"))
    return f"the tree differs from an uninterrupted run's: {', '.join(differing)}" if differing else ""


def trials(count: int, seed: int, root: Path) -> list[str]:
    """`count` trials in `root`; what went wrong, one line each."""
    source = pictures(root / "in")
    operations = killed(source, root / "whole", root / "log", 0)
    assert operations > 40, operations
    whole = tree(root / "whole")
    wrong = [(number, trial(root, whole, operations, Random(f"{seed} {number}"))) for number in range(count)]
    return [f"trial {number} of seed {seed}: {text}" for number, text in wrong if text]


def main(count: int, seed: int) -> int:
    """The long form: the number of trials and what went wrong in them, on standard output."""
    with tempfile.TemporaryDirectory() as root:
        wrong = trials(count, seed, Path(os.path.realpath(root)))
    print(f"{count} killed runs with the loss of what was not flushed, {len(wrong)} findings", *wrong, sep="\n")
    return 1 if wrong else 0
