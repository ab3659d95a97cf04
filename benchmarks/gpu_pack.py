"""What `gpu_kit.py` carries to a GPU machine and back: the code and the pictures within a limit, and the runs in parts."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parents[1]
RUNGS = (0, 1024, 896, 768, 640, 512, 384)
"""Pixels to which the shorter side of pictures is reduced, largest first, until all fit; 0 keeps the files as they are."""
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""How a reduced picture is coded; the reduction takes away most of what the coder would add."""
PART = 15 << 20
"""Bytes of a part of a checkpoint."""
MARK = "-checkpoint."
"""Between a run's name and the number of a part of its checkpoint."""
RETURNED = ("*.safetensors", "*.md", "config.toml", "log.jsonl", "losses.png", "contact_sheet.png", "run.html")
"""What comes back of a run besides its checkpoint."""
THINNED = "imagecodecs"
"""A package of many libraries, each loaded when it is first used: a kit takes the few that pictures in JPEG need."""
NEEDED = ("_jpeg8.", "_shared.", "_shared_cython.", "_imcd.", "libjpeg-")
"""How the names of these libraries begin."""
SCRIPT = """#!/bin/bash
# Trains on this machine: run.sh --job NAME --minutes N --out DIR
set -e
out=$PWD && cd "$(dirname "$0")"
for wheel in $(ls wheels/*.whl 2>/dev/null); do python3 -m zipfile -e $wheel site; done
PYTHONPATH=site:. exec python3 -u benchmarks/gpu_kit.py run --data data --beside "$out" "$@"
"""


def copy_code(out: Path, weights: Sequence[str], wheels: Path | None) -> None:
    """Copy the package with its recipes and the named shipped weights, this program, and wheels of packages that the machine lacks."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "restore", out / "restore", ignore=ignored)
    shipped = out / "restore" / "shipped"
    (shipped / "recipes").mkdir(parents=True)
    for path in [ROOT / "weights" / "__init__.py", *(ROOT / "weights" / f"{name}.safetensors" for name in weights)]:
        shutil.copy(path, shipped)
    (out / "benchmarks").mkdir()
    for name in ("gpu_kit.py", "gpu_pack.py"):
        shutil.copy(ROOT / "benchmarks" / name, out / "benchmarks")
    shutil.copytree(ROOT / "benchmarks" / "gpu_jobs", out / "benchmarks" / "gpu_jobs")
    for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
        _copy_wheel(wheel, _placed(out / "wheels" / wheel.name))
    (out / "run.sh").write_text(SCRIPT)


def _copy_wheel(wheel: Path, target: Path) -> None:
    """Copy a wheel; that of THINNED without the libraries that are not NEEDED."""
    if not wheel.name.startswith(THINNED):
        shutil.copy(wheel, target)
        return
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as thin:
        for name in whole.namelist():
            if ".so" not in name or Path(name).name.startswith(NEEDED):
                thin.writestr(name, whole.read(name))


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def copy_pictures(files: Sequence[Path], root: Path, out: Path, budget: int) -> str:
    """Write the pictures below `out` under their paths below `root`, and `listing.tsv`: each one's size, hash, source and reduction.

    All are reduced alike, as little as the budget of bytes asks for. What does not fit at the smallest size is left out, by a draw that
    depends on the names alone.

    Returns:
        What was done, in words.
    """
    notes = sorted({note for path in files for pattern in ("*.tsv", "*.txt") for note in path.parent.glob(pattern)})
    budget -= sum(note.stat().st_size for note in notes) + 300 * len(files)  # and a line of the listing each
    for rung in RUNGS:
        packed = {path: reduced(path, rung) for path in files}
        if sum(map(len, packed.values())) <= budget:
            break
    kept: dict[Path, bytes] = {}
    for path in sorted(files, key=lambda path: hashlib.sha256(path.relative_to(root).as_posix().encode()).digest()):
        if len(packed[path]) <= budget:
            kept[path] = packed[path]
            budget -= len(packed[path])
    _write(kept, root, out, rung)
    for note in notes:
        _placed(out / "data" / note.relative_to(root)).write_bytes(note.read_bytes())
    how = f"reduced to a shorter side of {rung} at most" if rung else "as they are"
    return f"{len(kept)} of {len(files)} pictures, {how}"


def reduced(path: Path, short_side: int) -> bytes:
    """A picture's file, or where its shorter side is longer than `short_side` (not 0), a smaller one, area-averaged, as JPEG."""
    pixels = cv2.imread(str(path), cv2.IMREAD_ANYCOLOR) if short_side else None
    if pixels is None or min(pixels.shape[:2]) <= short_side:
        return path.read_bytes()
    factor = short_side / min(pixels.shape[:2])
    smaller = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", smaller, QUALITY)[1])


def _write(packed: Mapping[Path, bytes], root: Path, out: Path, rung: int) -> None:
    lines = ["file\tbytes\tsha256\tsource\tas"]
    for path in sorted(packed):
        content, inside = packed[path], path.relative_to(root)
        same = len(content) == path.stat().st_size and content == path.read_bytes()
        target = inside if same or path.suffix.lower() in (".jpg", ".jpeg") else inside.with_name(f"{inside.name}.jpg")
        _placed(out / "data" / target).write_bytes(content)
        how = "the file" if same else f"shorter side {rung}, JPEG 95, 4:4:4"
        lines.append(f"{target}\t{len(content)}\t{hashlib.sha256(content).hexdigest()}\t{inside}\t{how}")
    _placed(out / "data" / "listing.tsv").write_text("\n".join(lines) + "\n")


def bring_back(run: Path, out: Path) -> None:
    """Write what a run has so far below `out`: NAME.zip, and its checkpoint in parts; each file appears whole."""
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f"{run.name}.zip.part"
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted({path for pattern in RETURNED for path in run.glob(pattern)}):
            archive.write(path, path.name)
    draft.replace(out / f"{run.name}.zip")
    checkpoint = (run / "checkpoint.pt").read_bytes()
    for number, start in enumerate(range(0, len(checkpoint), PART)):
        (out / f"{run.name}{MARK}{number}").write_bytes(checkpoint[start : start + PART])


def unpack(brought: Path, runs: Path) -> list[Path]:
    """Make run folders again from what `bring_back` wrote; `restore train --resume` goes on from them."""
    folders = []
    for archive in sorted(brought.glob("*.zip")):
        folder = runs / archive.stem
        if folder.exists():
            raise ValueError(f"{folder} is there already: give another --runs")
        folder.mkdir(parents=True)
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        parts = sorted(brought.glob(f"{archive.stem}{MARK}*"), key=lambda path: int(path.name.rpartition(".")[2]))
        if parts:
            (folder / "checkpoint.pt").write_bytes(b"".join(path.read_bytes() for path in parts))
        folders.append(folder)
    return folders


def _placed(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
