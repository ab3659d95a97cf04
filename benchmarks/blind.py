"""Blind denoising as users run it, on 8-bit gray pictures without any option, compared with what is possible where the noise is known.

    python benchmarks/blind.py DATASETS xray  [--limit N] [--sizes full,half,full256,half256] [--bm3d]
    python benchmarks/blind.py DATASETS photo [--limit N] [--noise 'g 25,p 30 0']

DATASETS is the folder with xray/ and photos/. Noise is made on [0, 1], then rounded and clipped to 8 bits; results are rounded to 8 bits;
PSNR over all pixels. `g S` is Gaussian of sigma S (of 255), `p N R` Poisson of N counts at white with readout sigma R.
  xray    xray/test at full size, half size (area mean), and the centre 256 x 256 of both; 20, 50 and 200 counts, readout 2. BM3D is told
          the noise, on the generalised Anscombe transform (benchmarks/denoise.py); it takes minutes for a whole X-ray.
  photo   the first N of photos/bsds500/val, compared with the best of denoise-gray and denoise-xray that are told the noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import denoise as tables  # benchmarks/denoise.py
import numpy as np

import restore
from restore import images
from restore.datasets.degrade import gaussian, poisson_gaussian, to_8_bits
from restore.images import Frame
from restore.images.mappings import plain
from restore.images.noise_model import NoiseLevel
from restore.metrics import psnr
from restore.pipeline.step import image_of

NOISES = "g 5,g 15,g 25,g 50,p 10 0,p 30 0,p 100 0,p 200 0,p 30 10,p 100 15,p 200 4"
Damaged = tuple[np.ndarray, NoiseLevel]


def noisy(clean: np.ndarray, noise: str, name: str) -> Damaged:
    """An 8-bit noisy picture (H, W, 1) in [0, 1], and the truth about its noise."""
    kind, *numbers = noise.split()
    rng = tables.generator(Path(name), noise)
    if kind == "g":
        damaged, level = gaussian(clean, float(numbers[0]) / 255, rng)
    else:
        damaged, level = poisson_gaussian(clean, float(numbers[0]), float(numbers[1]) / 255, rng)
    return to_8_bits(damaged), level


def xrays(root: Path, limit: int, size: str) -> Iterator[tuple[str, np.ndarray]]:
    """The test X-rays at a size."""
    for path in sorted((root / "xray/test").glob("*"))[:limit]:
        picture = tables.picture(path, cv2.IMREAD_GRAYSCALE)
        if size.startswith("half"):
            half = picture.shape[1] // 2, picture.shape[0] // 2
            picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)[:, :, None]
        if size.endswith("256"):
            top, left = ((length - 256) // 2 for length in picture.shape[:2])
            picture = picture[max(0, top) : max(0, top) + 256, max(0, left) : max(0, left) + 256]
        yield path.name, np.ascontiguousarray(picture)


class Blind:
    """The step of `restore denoise` without options, on arrays."""

    def __init__(self, any_picture: Path) -> None:
        self.step = restore.step("denoise")
        self.picture = images.read(any_picture)  # of a format that does not say what it shows

    def __call__(self, damaged: np.ndarray) -> tuple[np.ndarray, str]:
        stored = np.rint(damaged[:, :, 0] * 255).astype(np.uint8)
        result = self.step(image_of(Frame(stored, plain(stored)), self.picture, 0, self.picture.path))
        return to_8_bits(result.pixels), str(result.stats["weights"])


def report(case: str, rows: list[tuple[float, float, str]], rival: str) -> None:
    """One line of the table: the mean, and the picture that fares worst."""
    ours, theirs = (np.array([row[index] for row in rows]) for index in (0, 1))
    gain = ours - theirs
    used = ", ".join(sorted({row[2] for row in rows}))
    ends = f"gain {gain.mean():+.2f}, worst {gain.min():+.2f}  n={len(rows)}  {used}"
    print(f"{case:24} {ours.mean():6.2f} dB  {rival} {theirs.mean():6.2f}  {ends}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("kind", choices=("xray", "photo"))
    parser.add_argument("--limit", type=int, default=30)
    parser.add_argument("--sizes", default="half256,full256,half,full")
    parser.add_argument("--noise", default=NOISES)
    parser.add_argument("--bm3d", action="store_true")
    options = parser.parse_args()
    photographs = sorted((options.datasets / "photos/bsds500/val").glob("*.jpg"))[: options.limit]
    blind = Blind(photographs[0])
    if options.kind == "xray":
        rival: Callable[[np.ndarray, NoiseLevel], np.ndarray] = tables.anscombe(tables.bm3d) if options.bm3d else lambda noise, level: noise
        for size in options.sizes.split(","):
            for counts in (20, 50, 200):
                rows = []
                for name, clean in xrays(options.datasets, options.limit, size):
                    damaged, level = noisy(clean, f"p {counts} 2", name)
                    restored, used = blind(damaged)
                    rows.append((psnr(restored, clean), psnr(to_8_bits(rival(damaged, level)), clean), used))
                report(f"xray {size} {counts} counts", rows, "BM3D" if options.bm3d else "noisy")
        return
    told = [restore.load("denoise-gray", ensemble=2), restore.load("denoise-xray")]
    for noise in options.noise.split(","):
        found: list[tuple[float, ...]] = []
        names = []
        for path in photographs:
            clean = tables.picture(path, cv2.IMREAD_GRAYSCALE)
            damaged, level = noisy(clean, noise, path.name)
            restored, used = blind(damaged)
            found.append((psnr(restored, clean), *(psnr(to_8_bits(one.denoise(damaged, level)[0]), clean) for one in told)))
            names.append(used)
        best = int(np.argmax(np.mean([row[1:] for row in found], axis=0)))
        rows = [(row[0], row[1 + best], used) for row, used in zip(found, names, strict=True)]
        report(f"photo {noise}", rows, ("denoise-gray", "denoise-xray")[best] + " told")


if __name__ == "__main__":
    main()
