"""How far confidence maps of denoising can be trusted: rank correlation with the true error, coverage of the 90 % bound, SURE against the
true PSNR. `upscaling_confidence.py` does the same for upscaling.

    python benchmarks/confidence.py DATASETS [--suites xray,gray,color] [--limit N] [--crop 320] [--sure] [--told] [--json FILE]

Blind, as in use; noisy pictures are rounded to 8 bits and clipped with --stored, else floats. Columns, each a mean over pictures:
  rank     Spearman's correlation of the expected and the true absolute error over the pixels of a picture; blurred: of both after a
           Gaussian of 2 pixels; pooled: not blurred, over a sample of the pixels of all pictures of the row
  covered  share of the pixels whose true error is within the bound; `all` rows pool the pictures of a noise band
  error    true mean absolute error / expected one
  doubts   pictures with a warning, whose bound is not promised
  psnr     true; mean and largest absolute difference of the one expected from the map, and of SURE's (pictures for which it gives one)
  cost     seconds of the maps, and of SURE, over those of the denoiser
X-rays are those of xray/test at three sizes: random crops of the picture, of its half and of a short side of 256.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from denoise import READOUT, generator, picture
from scipy.stats import spearmanr

from restore import runtime, weights
from restore.datasets.degrade import poisson_gaussian, to_8_bits
from restore.images.noise_model import NoiseLevel
from restore.inference.confidence import TASK, WEIGHTS
from restore.inference.denoiser import Denoiser
from restore.inference.denoising_confidence import DenoisingConfidence, span_of
from restore.inference.loading import InferenceOptions, find_weights
from restore.inference.noise_estimate import Estimate
from restore.inference.sure import ESTIMATED, expected_psnr


@dataclass(frozen=True)
class Case:
    """One noisy picture: (H, W, C) float32 in [0, 1]."""

    name: str
    clean: np.ndarray
    noisy: np.ndarray
    level: NoiseLevel


def cropped(clean: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop: the centres of pictures are not like the rest of them."""
    top, left = (int(rng.integers(0, max(1, length - side + 1))) for length in clean.shape[:2])
    return np.ascontiguousarray(clean[top : top + side, left : left + side])


def xrays(root: Path, limit: int | None, side: int) -> Iterator[Case]:
    for path in sorted((root / "xray/test").glob("*"))[:limit]:
        whole = picture(path, cv2.IMREAD_GRAYSCALE)
        for size, scale in (("full", 1.0), ("half", 0.5), ("256", 256 / min(whole.shape[:2]))):
            small = whole if scale == 1 else cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:, :, None]
            clean = cropped(small, side, generator(path, size))
            for counts in (20, 50, 200):
                yield Case(f"xray {size} {counts}", clean, *poisson_gaussian(clean, counts, READOUT, generator(path, size, counts)))


def photographs(root: Path, limit: int | None, side: int, flag: int) -> Iterator[Case]:
    for path in sorted((root / "photos/bsds500/val").glob("*.jpg"))[:limit]:
        clean = cropped(picture(path, flag), side, generator(path))
        for sigma in (5, 10, 15, 25, 50):
            noise = generator(path, sigma).standard_normal(clean.shape, np.float32)
            kind = "gray" if clean.shape[2] == 1 else "color"
            yield Case(f"bsds val {kind} {sigma}", clean, clean + np.float32(sigma / 255) * noise, NoiseLevel.gaussian(sigma))


def blurred(plane: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(plane, (0, 0), 2.0)


def rank(expected: np.ndarray, error: np.ndarray) -> float:
    """Spearman's correlation over every third pixel of every third row."""
    return float(spearmanr(expected[::3, ::3].ravel(), error[::3, ::3].ravel()).statistic)


@dataclass(frozen=True)
class Models:
    """What a suite runs."""

    denoiser: Denoiser
    exact: Denoiser
    estimator: DenoisingConfidence


def measure(case: Case, models: Models, *, sure: bool, told: bool) -> dict[str, Any]:
    noise = models.denoiser.noise_level(case.noisy, case.level if told else None)
    level = noise.level if isinstance(noise, Estimate) else noise
    since = time.perf_counter()
    restored = models.denoiser.denoise(case.noisy, noise)[0]
    denoised = time.perf_counter()
    maps = models.estimator(case.noisy, restored, level)
    mapped = time.perf_counter()
    difference = np.clip(restored, 0, 1) - case.clean
    error = np.abs(difference).mean(axis=2)
    row = {
        "sigma": level.sigma() / span_of(case.noisy, level).span, "map_psnr": maps.psnr, "rank": rank(maps.expected, error),
        "sample": [plane[4::13, 4::13].ravel() for plane in (maps.expected, error)],
        "blurred": rank(blurred(maps.expected), blurred(error)), "covered": float((error <= maps.bound).mean()),
        "error": float(error.mean() / maps.expected.mean()), "doubts": list(maps.doubts),
        "psnr": float(-10 * np.log10(np.square(difference).mean())), "seconds": [denoised - since, mapped - denoised, 0.0],
    }  # fmt: skip
    if sure:
        correlated = (isinstance(noise, Estimate) and noise.correlated) or "correlation" in maps.odd
        quality = expected_psnr(
            case.noisy, restored, level, lambda one: models.exact.denoise(one, noise)[0], correlated=correlated,
            uncertainty=ESTIMATED if isinstance(noise, Estimate) else 0.0,
        )  # fmt: skip
        row["sure"] = quality.psnr
        row["seconds"][2] = time.perf_counter() - mapped
    return row


SUITES = {"xray": "denoise-xray", "gray": "denoise-gray", "color": "denoise-color"}


def models_of(suite: str, entry: weights.Entry) -> Models:
    chosen, ensemble = runtime.choose(), 1 if suite == "xray" else 2
    denoiser, exact = (
        Denoiser.load(SUITES[suite], InferenceOptions(one, ensemble=ensemble)) for one in (chosen, chosen.in_precision("fp32"))
    )  # fmt: skip
    return Models(denoiser, exact, DenoisingConfidence.load(entry.path, SUITES[suite], chosen))


def line(name: str, rows: list[dict[str, Any]]) -> str:
    rank_, blurred_, covered, error, true = (np.mean([row[key] for row in rows]) for key in ("rank", "blurred", "covered", "error", "psnr"))
    doubts = sum(bool(row["doubts"]) for row in rows)
    seconds = np.sum([row["seconds"] for row in rows], axis=0)
    off = [row["sure"] - row["psnr"] for row in rows if row.get("sure") is not None]
    mapped = [row["map_psnr"] - row["psnr"] for row in rows if row["map_psnr"] is not None]
    maps = f"map {np.mean(mapped):+.2f} {np.max(np.abs(mapped)):.2f}" if mapped else "map -"
    sure = f"SURE {np.mean(off):+.2f} {np.max(np.abs(off)):.2f} n={len(off)}" if off else "SURE -"
    cost = f"{seconds[1] / seconds[0]:5.1%} {seconds[2] / seconds[0]:4.1f}x"
    pooled = spearmanr(*(np.concatenate([row["sample"][side] for row in rows]) for side in (0, 1))).statistic
    figures = f"rank {rank_:.2f} blurred {blurred_:.2f} pooled {pooled:.2f} covered {covered:6.1%} error {error:.2f} doubts {doubts:3}"
    return f"{name:24} n={len(rows):3} {figures} psnr {true:5.2f} {maps} {sure:22} {cost}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--weights", default=WEIGHTS)
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--crop", type=int, default=320)
    parser.add_argument("--stored", action="store_true", help="round the noisy pictures to 8 bits and clip them")
    parser.add_argument("--sure", action="store_true")
    parser.add_argument("--told", action="store_true", help="tell the denoiser the noise level instead of blind runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    entry = find_weights(options.weights, TASK)
    print(f"{torch.get_num_threads()} threads, {runtime.choose().precision}")
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for suite in options.suites.split(","):
        models = models_of(suite, entry)
        flag = cv2.IMREAD_COLOR if suite == "color" else cv2.IMREAD_GRAYSCALE
        cases = (
            xrays(options.datasets, options.limit, options.crop)
            if suite == "xray"
            else photographs(options.datasets, options.limit, options.crop, flag)
        )
        bands: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for case in cases:
            shown = replace(case, noisy=to_8_bits(case.noisy)) if options.stored else case
            row = measure(shown, models, sure=options.sure, told=options.told)
            results[case.name].append(row)
            calibration = models.estimator.head.calibration
            band = next((one for one in calibration.bands if one.low <= row["sigma"] < one.high), None) if calibration else None
            bands[f"{suite} all {band.low:g}..{band.high:g}" if band else f"{suite} all outside"].append(row)
        for name in [name for name in results if name.startswith("xray") == (suite == "xray") and ("color" in name) == (suite == "color")]:
            print(line(name, results[name]), flush=True)
        for name in sorted(bands):
            print(line(name, bands[name]), flush=True)
        print(line(f"{suite} all", [row for name in bands for row in bands[name]]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, default=np.ndarray.tolist))


if __name__ == "__main__":
    main()
