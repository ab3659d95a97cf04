"""Exposure and contrast mended: ours beside CLAHE, auto-levels and histogram equalisation, on seeded faults.

    python benchmarks/enhance.py DATASETS [--weights enhance] [--limit N] [--lpips] [--parts] [--sheet FILE.png]

DATASETS is the folder with photos/bsds500/val, which no training sees. Each picture gets four faults, drawn with the picture's number as
the seed and stored in 8 bits: under- and over-exposed in linear light, faded (black raised, white lowered, a cast), low contrast; and none.
Results are rounded to 8 bits. PSNR, SSIM and LPIPS (alex) are to the original, over all colours. For the row without a fault PSNR is the
change of a good picture. Seconds are for a megapixel. --parts also leaves out one part of ours at a time, and shows a gamma
and exposure fusion. --sheet writes some pictures with
all results side by side.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

import restore
from restore.datasets import exposure
from restore.inference.strengths import Strengths
from restore.metrics import psnr, ssim

Method = Callable[[np.ndarray], np.ndarray]
SHOWN = 5
"""Pictures on a sheet."""


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


def methods(name: str, parts: bool) -> dict[str, Method]:
    """Every contender, by its name in the table."""
    enhancer = restore.load(name)
    ours: dict[str, Strengths] = {"ours": Strengths()}
    if parts:
        ours |= {f"ours, no {part}": replace(Strengths(), **{part: 0.0}) for part in vars(Strengths())}
        ours |= {f"only {part}": replace(Strengths(0, 0, 0, 0), **{part: 1.0}) for part in vars(Strengths())}
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    return {
        "as it is": lambda picture: picture,
        "CLAHE": on_lightness(clahe.apply),
        "auto-levels": auto_levels,
        "equalised": on_lightness(equalised),
        **({"auto-gamma": auto_gamma, "exposure fusion": fused} if parts else {}),
        **{key: lambda picture, strengths=strengths: enhancer(picture, strengths) for key, strengths in ours.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default="enhance")
    parser.add_argument("--limit", type=int, default=None, help="so many pictures, evenly spread")
    parser.add_argument("--lpips", action="store_true", help="LPIPS too (alex), with RESTORE_BACKBONES or torchvision's download")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.lpips:
        from restore.metrics import lpips
    contenders = methods(options.weights, options.parts)
    paths = sorted((options.datasets / "photos/bsds500/val").glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // (options.limit or len(paths)))][: options.limit]
    scores: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    shown: list[np.ndarray] = []
    for number, path in enumerate(paths):
        original = cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1].astype(np.float32) / 255
        for fault in FAULTS:
            given, row = faulty(original, fault, number), []
            for name, method in contenders.items():
                since = time.perf_counter()
                result = method(given)
                seconds = (time.perf_counter() - since) / given[..., 0].size * 1e6
                result = to_8_bits(result)
                distance = lpips(result, original) if options.lpips else np.nan
                scores[fault, name].append((min(psnr(result, original), 60.0), ssim(result, original), distance, seconds))
                row.append(result)
            if number < SHOWN:
                shown.append(np.concatenate([*row, original], 1))
    for fault in FAULTS:
        print(fault)
        for name in contenders:
            rows = np.array(scores[fault, name])
            means = rows.mean(0)
            quality = f"{means[0]:6.2f} dB  SSIM {means[1]:.4f}  LPIPS {means[2]:.4f}"
            print(f"  {name:28} {quality}  worst {rows[:, 0].min():5.1f} dB  {means[3]:6.3f} s/megapixel  n={len(rows)}")
    if options.sheet:
        width = max(row.shape[1] for row in shown)
        rows = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in shown]
        cv2.imwrite(str(options.sheet), (np.concatenate(rows)[:, :, ::-1] * 255).round().astype(np.uint8))


if __name__ == "__main__":
    main()
