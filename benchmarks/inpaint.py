"""Quality of inpainting: ours next to Telea's and the Navier-Stokes method, on seeded holes, narrow, medium and wide.

    RESTORE_BACKBONES=FOLDER python benchmarks/inpaint.py DATASETS [--weights inpaint] [--sets bsd100,set14] [--limit N] [--sheet FILE.png]

DATASETS is the folder with test/ and photos/. Protocol: masks of `restore.datasets.masks`, seeded by the picture's name and the preset;
PSNR over the missing pixels alone; LPIPS (alex) over the whole picture; FID and KID between all filled and all whole pictures on features
of a stand-in (named next to the numbers; not comparable with published ones); the seam is the mean gradient across the holes' edges
over that within four pixels on either side, 1 where no edge is to be seen; seconds a picture.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

import restore
from restore.datasets import masks
from restore.datasets.masks import PRESETS, MaskConfig
from restore.inference.inpainter import Inpainter
from restore.metrics import SET_METRICS, lpips
from restore.metrics.extractors import DEFAULT_EXTRACTOR, EXTRACTORS, features

SETS = {"set14": "test/set14", "bsd100": "photos/bsds500/val"}
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cases(root: Path, name: str, preset: str, limit: int | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures (H, W, 3) float32 in [0, 1] and where they are missing, (H, W) bool."""
    for path in sorted((root / SETS[name]).glob("*.*g"))[:limit]:
        picture = np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]).astype(np.float32) / 255
        rng = np.random.default_rng(zlib.crc32(f"{path.name}/{preset}".encode()))
        yield picture, masks.draw(*picture.shape[:2], rng, MaskConfig(preset=preset))[:, :, 0] > 0  # type: ignore[arg-type]


def seam(picture: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference of neighbours of which one is missing and the other is not, over that of other neighbours nearby."""
    disc = np.ones((9, 9), np.uint8)
    near = (cv2.dilate(mask.astype(np.uint8), disc) != cv2.erode(mask.astype(np.uint8), disc)).astype(bool)
    on, off = [], []
    for axis in (0, 1):
        first, second = (np.s_[:-1], np.s_[1:]) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
        steps, crossed = np.abs(np.diff(picture, axis=axis)).mean(2), mask[first] != mask[second]
        on.append(steps[crossed])
        off.append(steps[near[first] & near[second] & ~crossed])
    return float(np.concatenate(on).mean() / max(np.concatenate(off).mean(), 1e-6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default="inpaint")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--sheet", type=Path, help="PNG: rows of missing | filled, ours, Telea, whole, of the first pictures")
    options = parser.parse_args()
    fillers = {
        options.weights: restore.load(options.weights),
        "telea": Inpainter(method="telea"),
        "navier-stokes": Inpainter(method="navier-stokes"),
    }  # fmt: skip
    print(f"features: {EXTRACTORS[DEFAULT_EXTRACTOR].protocol}")
    rows: list[np.ndarray] = []
    for name in options.sets.split(","):
        for preset in options.presets.split(","):
            found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
            made: dict[str, list[np.ndarray]] = defaultdict(list)
            whole = []
            for picture, mask in cases(options.datasets, name, preset, options.limit):
                whole.append(picture)
                for method, fill in fillers.items():
                    since = time.perf_counter()
                    filled = fill(picture, mask)
                    took = time.perf_counter() - since
                    decibels = -10 * np.log10(max(np.square(filled - picture)[mask].mean(), 1e-10))
                    found[method].append((decibels, lpips(filled, picture), seam(filled, mask), took))
                    made[method].append(filled)
                if len(whole) <= 3:
                    shown = [np.where(mask[:, :, None], 1, picture), made[options.weights][-1], made["telea"][-1], picture]
                    rows.append(np.concatenate([_square(one) for one in shown], 1))
            real = features(whole)
            for method, values in found.items():
                decibels, distance, ratio, took = np.mean(values, 0)
                sets = "  ".join(f"{key} {metric.function(features(made[method]), real).value:8.4f}" for key, metric in SET_METRICS.items())
                print(
                    f"{name:7} {preset:7} {method:14} {decibels:6.2f} dB in the hole  LPIPS {distance:.4f}  {sets}  seam {ratio:.2f}"
                    f"  {took:6.3f} s  n={len(values)}",
                    flush=True,
                )
    if options.sheet:
        sheet = (np.clip(np.concatenate(rows), 0, 1)[:, :, ::-1] * 255).round().astype(np.uint8)
        cv2.imwrite(str(options.sheet), sheet)


def _square(picture: np.ndarray, side: int = 256) -> np.ndarray:
    """The middle of a picture, pixel for pixel, at most `side` on each; mirrored where there is less."""
    top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
    piece = picture[top : top + side, left : left + side]
    return np.pad(piece, ((0, side - piece.shape[0]), (0, side - piece.shape[1]), (0, 0)), mode="symmetric")


if __name__ == "__main__":
    main()
