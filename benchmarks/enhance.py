"""Exposure and contrast mended: ours beside CLAHE, auto-levels, histogram equalisation and exposure fusion, on seeded faults.

    python benchmarks/enhance.py DATASETS [--weights enhance] [--limit N] [--lpips] [--parts] [--sheet FILE.png]

DATASETS is the folder with photos/bsds500/val, test/set14 and test/bsd68, which no training sees. Each picture of the first gets four
faults, drawn with the picture's number as the seed and stored in 8 bits: under- and over-exposed in linear light, faded (black raised,
white lowered, a cast), low contrast; and none. The pictures of the other two are good, and get none. Ours is the step of `restore enhance`
without options. Results are rounded to 8 bits. PSNR, SSIM and LPIPS (alex) are to the original, over all colours. Of a picture without a
fault, PSNR is its change: the share below 35 dB is of pictures that changed too much. Seconds are for a megapixel. --parts also leaves out
one part of ours at a time, and shows a gamma. --sheet writes some pictures with all results side by side.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import cv2
import numpy as np

import restore
from restore.datasets import exposure
from restore.inference.strengths import Strengths
from restore.metrics import psnr, ssim
from restore.pipeline.step import Image

Method = Callable[[np.ndarray], np.ndarray]
SHOWN = 5
"""Pictures on a sheet."""
GOOD = 35.0
"""A good picture should keep so many dB to itself."""
CAP = 60.0
"""PSNR of pictures that are the same, in means."""
SETS: Mapping[str, str] = {"photos/bsds500/val": "*.jpg", "test/set14": "*.png", "test/bsd68": "*.png"}
"""Folders of test pictures. Those of the first get faults."""


def to_8_bits(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 -> multiples of 1 / 255."""
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.float32) / np.float32(255)


def faulty(picture: np.ndarray, fault: str, seed: int) -> np.ndarray:
    """One of FAULTS, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    return to_8_bits(FAULTS[fault](picture, rng))


def _faded(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    black = rng.uniform(0.1, 0.25) + rng.uniform(-0.06, 0.06, 3)
    white = rng.uniform(0.65, 0.9) + rng.uniform(-0.06, 0.06, 3)
    return np.asarray(black + (white - black) * picture, np.float32)


def _flat(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor = rng.uniform(0.35, 0.65)
    centre = float(picture.mean())
    return np.asarray(centre + factor * (picture - centre), np.float32)


FAULTS: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": lambda picture, rng: picture,
    "under-exposed": lambda picture, rng: exposure.exposed(picture, -rng.uniform(1.0, 2.5)),
    "over-exposed": lambda picture, rng: exposure.exposed(picture, rng.uniform(0.7, 1.3)),
    "faded": _faded,
    "low contrast": _flat,
}


def on_lightness(function: Callable[[np.ndarray], np.ndarray]) -> Method:
    """A function of 8-bit lightness (H, W), in Lab."""

    def method(picture: np.ndarray) -> np.ndarray:
        lab = cv2.cvtColor(np.rint(picture * 255).astype(np.uint8), cv2.COLOR_RGB2LAB)
        lab[:, :, 0] = function(lab[:, :, 0])
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(np.float32) / 255

    return method


def equalised(lightness: np.ndarray) -> np.ndarray:
    """scikit-image's histogram equalisation."""
    from skimage.exposure import equalize_hist

    return np.rint(equalize_hist(lightness) * 255).astype(np.uint8)


def auto_levels(picture: np.ndarray) -> np.ndarray:
    """Each colour from its 0.5 % to its 99.5 % quantile, as "auto levels" of editors do."""
    low, high = np.percentile(picture, (0.5, 99.5), axis=(0, 1))
    return np.asarray((picture - low) / np.maximum(high - low, 1e-3), np.float32)


def auto_gamma(picture: np.ndarray) -> np.ndarray:
    """The exponent that brings the mean to the middle."""
    return np.asarray(picture ** (np.log(0.5) / np.log(np.clip(picture.mean(), 0.01, 0.99))), np.float32)


def fused(picture: np.ndarray) -> np.ndarray:
    """Exposure fusion (Mertens et al. 2007, OpenCV) of the picture with itself one and a half stops darker and brighter."""
    stack = [np.rint(exposure.exposed(picture, stops) * 255).astype(np.uint8) for stops in (-1.5, 0, 1.5)]
    return np.asarray(cv2.createMergeMertens().process(stack), np.float32)


def ours(name: str, **options: float) -> Method:
    """`restore enhance` with these options."""
    step = restore.step("enhance", weights=name, options=options)
    return lambda picture: step(Image(picture)).pixels


def methods(name: str, parts: bool) -> dict[str, Method]:
    """Every contender, by its name in the table."""
    strengths = vars(Strengths())
    found = {"ours": ours(name)}
    if parts:
        found |= {f"ours, no {part}": ours(name, **{part: 0.0}) for part in strengths}
        found |= {f"only {part}": ours(name, **{other: float(other == part) for other in strengths}) for part in strengths}
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    return {
        "as it is": lambda picture: picture,
        "CLAHE": on_lightness(clahe.apply),
        "auto-levels": auto_levels,
        "equalised": on_lightness(equalised),
        "exposure fusion": fused,
        **({"auto-gamma": auto_gamma} if parts else {}),
        **found,
    }


@dataclass(frozen=True)
class Score:
    """What one method made of one picture."""

    psnr: float
    ssim: float
    lpips: float
    seconds: float


def scored(method: Method, given: np.ndarray, original: np.ndarray, lpips: Callable[..., float] | None) -> tuple[np.ndarray, Score]:
    """Run a method on a picture, and compare its result, in 8 bits, with the original."""
    since = time.perf_counter()
    result = method(given)
    seconds = (time.perf_counter() - since) / given[..., 0].size * 1e6
    result = to_8_bits(result)
    distance = lpips(result, original) if lpips else np.nan
    return result, Score(min(psnr(result, original), CAP), ssim(result, original), distance, seconds)


def line(name: str, scores: Sequence[Score]) -> str:
    """The line of a method."""
    rows = np.array([astuple(score) for score in scores])
    means = rows.mean(0)
    quality = f"{means[0]:6.2f} dB  SSIM {means[1]:.4f}  LPIPS {means[2]:.4f}"
    low = f"below {GOOD:g} dB {(rows[:, 0] < GOOD).mean():4.0%}"
    return f"  {name:28} {quality}  worst {rows[:, 0].min():5.1f} dB  {low}  {means[3]:6.3f} s/megapixel  n={len(rows)}"


def paths_of(datasets: Path, folder: str, limit: int | None) -> list[Path]:
    """The pictures of one of SETS, or so many of them, evenly spread."""
    paths = sorted((datasets / folder).glob(SETS[folder]))
    return paths[:: max(1, len(paths) // (limit or len(paths)))][:limit]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default="enhance")
    parser.add_argument("--limit", type=int, default=None, help="so many pictures of each folder, evenly spread")
    parser.add_argument("--lpips", action="store_true", help="LPIPS too (alex), with RESTORE_BACKBONES or torchvision's download")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="run these methods alone")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    from restore.metrics import lpips

    contenders = methods(options.weights, options.parts)
    contenders = {name: method for name, method in contenders.items() if name in (options.only or contenders)}
    shown: list[np.ndarray] = []
    for folder in SETS:
        scores: dict[tuple[str, str], list[Score]] = defaultdict(list)
        faults = list(FAULTS) if folder == next(iter(SETS)) else ["none"]
        for number, path in enumerate(paths_of(options.datasets, folder, options.limit)):
            original = cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float32) / 255
            for fault in faults:
                row, given = [], faulty(original, fault, number)
                for name, method in contenders.items():
                    result, score = scored(method, given, original, lpips if options.lpips else None)
                    scores[fault, name].append(score)
                    row.append(result)
                if len(shown) < SHOWN * len(FAULTS):
                    shown.append(np.concatenate([*row, original], 1))
        for fault in faults:
            print(f"{folder}: {fault}")
            for name in contenders:
                print(line(name, scores[fault, name]), flush=True)
    if options.sheet:
        width = max(row.shape[1] for row in shown)
        rows = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in shown]
        cv2.imwrite(str(options.sheet), (np.concatenate(rows)[:, :, ::-1] * 255).round().astype(np.uint8))


if __name__ == "__main__":
    main()
