"""Time and memory of `restore evaluate`: pairs of one megapixel, PSNR and SSIM.

    python benchmarks/evaluate.py [--pairs 1000] [--side 1024] [--format png]

Writes some pictures into a temporary folder (the pairs are links to them), compares them, and prints the wall time, the seconds of decoding
and scoring summed over the threads, and the resident memory at a tenth and at the end of the pairs. Memory is flat if the two are alike.
With `--html`, a page of the comparison is written as well; its size and its time are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from restore.metrics import METRICS
from restore.metrics.comparison import Listeners, PictureScores, Problem, Setting, compare, page

DIFFERENT = 8
"""Number of pictures that are written."""


def write_pairs(folder: Path, pairs: int, side: int, suffix: str) -> None:
    """Smooth pictures with grain; the results have noise of sigma 5 of 255."""
    generator = np.random.default_rng(0)
    for index in range(DIFFERENT):
        coarse = Image.fromarray(generator.integers(30, 220, (16, 16, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        picture = np.asarray(coarse, np.float32) + generator.normal(0, 2, (side, side, 1))
        for name, sigma in (("reference", 0), ("results", 5)):
            noisy = np.rint(np.clip(picture + generator.normal(0, sigma, picture.shape), 0, 255)).astype(np.uint8)
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(noisy).save(folder / name / f"{index:05d}.{suffix}")
    for index in range(DIFFERENT, pairs):
        for name in ("reference", "results"):
            (folder / name / f"{index:05d}.{suffix}").symlink_to(f"{index % DIFFERENT:05d}.{suffix}")


def measure(folder: Path, pairs: int, html: bool) -> dict[str, float]:
    """Compare the folders; seconds and MB."""
    process = psutil.Process()
    memory: list[float] = []

    def happened(_: PictureScores | Problem) -> None:
        memory.append(process.memory_info().rss / 1e6)

    setting = Setting({name: METRICS[name] for name in ("psnr", "ssim")})
    found = compare(folder / "results", folder / "reference", setting=setting, listeners=Listeners(happened=happened))
    numbers = {
        "pairs": float(pairs), "threads": float(min(8, os.cpu_count() or 1)), **found.seconds,
        "pairs_per_second": pairs / found.seconds["wall"],
        "memory_at_a_tenth": max(memory[: max(1, len(memory) // 10)]), "memory_of_all": max(memory),
    }  # fmt: skip
    if html:
        start = time.perf_counter()
        page.write(folder / "page.html", found, "benchmark")
        numbers |= {"page_seconds": time.perf_counter() - start, "page_megabytes": (folder / "page.html").stat().st_size / 1e6}
        numbers["memory_with_page"] = process.memory_info().rss / 1e6
    return {name: round(value, 2) for name, value in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--format", default="png", choices=("png", "jpg", "tif", "bmp"))
    parser.add_argument("--html", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_pairs(Path(name), arguments.pairs, arguments.side, arguments.format)
        print(json.dumps(measure(Path(name), arguments.pairs, arguments.html)))


if __name__ == "__main__":
    main()
